"""What must hold at every step, whatever goes wrong.

`Invariants` looks at what becomes durable and what is said, as it happens, and at all memory and stores now and then:

- keys: nobody makes a key that is not his, and no two ends have different keys of one context;
- index: a node says nothing new under an SPI that it used, and a home agent's base never goes back;
- acceptance: a request of a node's is accepted once, with one reply;
- durable first: a home agent's reply leaves after it is stored, an agent's after its visitor is, a node's request after
  its index is, keys of a center after they are;
- privacy: what relays, agents and centers hold, show or say has no identity, address or key that they must not have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from seckex.crypto.suites import SHA256
from seckex.roles.foreign_agent.visitors import KIND as VISITOR
from seckex.roles.home_agent.records import NODE, REPLY, read_node
from seckex.sa.store import PutRecord, Unit
from seckex.wire.hop import Issued, Relay, Relayed, decode_hop
from seckex.wire.mobileip import decode_home_reply, decode_node_request
from seckex.wire.numbers import ANSWER_FLAG, Code, Kind, SaContent
from tests.link import Datagram
from tests.roaming.hop import Parcel
from tests.roaming.host import Host
from tests.roaming.knowledge import Ledger, memory, said, shown, stored
from tests.roaming.world import HOME, World, home_address, layer2_address
