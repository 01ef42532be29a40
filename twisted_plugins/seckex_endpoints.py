"""Makes ``seckex:`` known to ``clientFromString`` and ``serverFromString``."""

from twisted.internet.interfaces import (
    IStreamClientEndpoint,
    IStreamClientEndpointStringParserWithReactor,
    IStreamServerEndpoint,
    IStreamServerEndpointStringParser,
)
from twisted.plugin import IPlugin
from twisted.python.reflect import namedAny
from zope.interface import implementer

_ENDPOINTS = "seckex.net.endpoints"


@implementer(IPlugin, IStreamClientEndpointStringParserWithReactor, IStreamServerEndpointStringParser)
class _Parser:
    """Loads what it needs when a string is parsed: Twisted makes all parsers for any string."""

    prefix = "seckex"

    def parseStreamClient(self, reactor: object, *places: str, **named: str) -> IStreamClientEndpoint:  # type: ignore[override]  # open in the interface
        endpoint: IStreamClientEndpoint = namedAny(f"{_ENDPOINTS}.parse_client")(reactor, *places, **named)
        return endpoint

    def parseStreamServer(self, reactor: object, *places: str, **named: str) -> IStreamServerEndpoint:  # type: ignore[override]  # as above
        endpoint: IStreamServerEndpoint = namedAny(f"{_ENDPOINTS}.parse_server")(reactor, *places, **named)
        return endpoint


endpoints = _Parser()
