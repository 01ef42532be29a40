"""AMP over dialogs: remote calls in both directions on one connection; this end adds up."""

from amp_sums import Sum
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IReactorCore
from twisted.internet.protocol import Factory
from twisted.internet.task import react
from twisted.protocols.amp import AMP


class Adding(AMP):
    """One connection."""

    @Sum.responder
    def add(self, numbers: list[int]) -> dict[str, int]:
        """Answer one call."""
        return {"total": sum(numbers)}


async def main(reactor: IReactorCore) -> None:
    """Serve until interrupted."""
    await serverFromString(reactor, "seckex:service=sums:config=home.toml").listen(Factory.forProtocol(Adding))
    print("serving sums", flush=True)
    await Deferred()


react(main)
