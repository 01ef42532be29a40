"""A line protocol over dialogs: says each line back in capitals, and who it was that sent it."""

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IReactorCore
from twisted.internet.protocol import Factory
from twisted.internet.task import react
from twisted.protocols.basic import LineReceiver


class Shouting(LineReceiver):
    """One connection; nothing here knows of dialogs, save that the peer has a name."""

    def connectionMade(self) -> None:
        """Greet."""
        self.sendLine(f"hello {self.transport.getPeer().principal}".encode())

    def lineReceived(self, line: bytes) -> None:
        """Answer."""
        self.sendLine(line.upper())


async def main(reactor: IReactorCore) -> None:
    """Serve until interrupted."""
    await serverFromString(reactor, "seckex:service=lines:config=home.toml").listen(Factory.forProtocol(Shouting))
    print("serving lines", flush=True)
    await Deferred()


react(main)
