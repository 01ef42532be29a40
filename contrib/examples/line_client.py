"""The other end of ``line_server.py``: sends the words of the command line, a line each, and prints what comes."""

import sys

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.interfaces import IReactorCore
from twisted.internet.protocol import connectionDone
from twisted.internet.task import react
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure


class Saying(LineReceiver):
    """One connection; ``done`` fires when it is over."""

    def __init__(self, words: list[str]) -> None:
        self.done: Deferred[None] = Deferred()
        self._words = words
        self._expected = len(words) + 1

    def connectionMade(self) -> None:
        """Say everything."""
        for word in self._words:
            self.sendLine(word.encode())

    def lineReceived(self, line: bytes) -> None:
        """Print it, and close after the last."""
        print(line.decode())
        self._expected -= 1
        if not self._expected:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002  # the signature is Twisted's
        """Tell that it is over."""
        self.done.callback(None)


async def main(reactor: IReactorCore, *words: str) -> None:
    """Connect, and wait for the end."""
    endpoint = clientFromString(reactor, "seckex:home@example.org:service=lines:config=node.toml")
    saying = await connectProtocol(endpoint, Saying(list(words)))
    await saying.done


react(main, sys.argv[1:])
