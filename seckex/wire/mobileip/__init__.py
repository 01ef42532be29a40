"""Registration messages, as RFC 5944 frames them: docs/registration.md, sections 2 to 6.

What is sealed in them is in `seckex.wire.registration`. Every message is read
whole or not at all: extensions stand in one order, none twice, and nothing
follows. Nothing here is authenticated yet.
"""

from seckex.wire.mobileip.headers import REPLY_HEADER_SIZE as REPLY_HEADER_SIZE
from seckex.wire.mobileip.headers import REQUEST_HEADER_SIZE as REQUEST_HEADER_SIZE
from seckex.wire.mobileip.headers import ReplyHeader as ReplyHeader
from seckex.wire.mobileip.headers import RequestHeader as RequestHeader
from seckex.wire.mobileip.headers import encode_reply_header as encode_reply_header
from seckex.wire.mobileip.reply import AgentRefusal as AgentRefusal
from seckex.wire.mobileip.reply import HomeReply as HomeReply
from seckex.wire.mobileip.reply import NodeReply as NodeReply
from seckex.wire.mobileip.reply import decode_home_reply as decode_home_reply
from seckex.wire.mobileip.reply import decode_node_reply as decode_node_reply
from seckex.wire.mobileip.reply import encode_agent_refusal as encode_agent_refusal
from seckex.wire.mobileip.reply import encode_home_reply as encode_home_reply
from seckex.wire.mobileip.reply import encode_node_reply as encode_node_reply
from seckex.wire.mobileip.request import AgentRequest as AgentRequest
from seckex.wire.mobileip.request import NodeRequest as NodeRequest
from seckex.wire.mobileip.request import RequestParts as RequestParts
from seckex.wire.mobileip.request import decode_agent_request as decode_agent_request
from seckex.wire.mobileip.request import decode_node_request as decode_node_request
from seckex.wire.mobileip.request import encode_agent_request as encode_agent_request
from seckex.wire.mobileip.request import encode_node_request as encode_node_request
from seckex.wire.mobileip.request import with_cookie as with_cookie
from seckex.wire.shares import SIZES as SIZES
from seckex.wire.shares import AgentShares as AgentShares
