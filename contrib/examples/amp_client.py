"""The other end of ``amp_server.py``: prints the sum of the numbers of the command line."""

import sys

from amp_sums import Sum
from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.interfaces import IReactorCore
from twisted.internet.task import react
from twisted.protocols.amp import AMP


async def main(reactor: IReactorCore, *numbers: str) -> None:
    """Call once."""
    endpoint = clientFromString(reactor, "seckex:home@example.org:service=sums:config=node.toml")
    connection = await connectProtocol(endpoint, AMP())
    answer = await connection.callRemote(Sum, numbers=[int(number) for number in numbers])
    print(answer["total"])
    connection.transport.loseConnection()


react(main, sys.argv[1:])
