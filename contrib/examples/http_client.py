"""The other end of ``http_server.py``: prints what stands at the paths of the command line."""

import sys

from twisted.internet.endpoints import clientFromString
from twisted.internet.interfaces import IReactorCore, IStreamClientEndpoint
from twisted.internet.task import react
from twisted.web.client import Agent, HTTPConnectionPool, readBody
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer


@implementer(IAgentEndpointFactory)
class OverDialogs:
    """Connects to one service, whatever the address says."""

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint

    def endpointForURI(self, uri: object) -> IStreamClientEndpoint:  # noqa: ARG002  # wherever it leads, it is there
        """Return the endpoint."""
        return self._endpoint


async def main(reactor: IReactorCore, *paths: str) -> None:
    """Fetch one path after the other, over one connection."""
    endpoint = clientFromString(reactor, "seckex:home@example.org:service=site:config=node.toml")
    pool = HTTPConnectionPool(reactor)
    agent = Agent.usingEndpointFactory(reactor, OverDialogs(endpoint), pool)
    for path in paths:
        response = await agent.request(b"GET", f"http://home.example.org{path}".encode())
        body = await readBody(response)
        print(response.code, body.decode(), end="")
    await pool.closeCachedConnections()


react(main, sys.argv[1:])
