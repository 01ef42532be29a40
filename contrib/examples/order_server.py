"""A shop that takes orders as messages, each once and in order, and answers each with a receipt."""

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorCore
from twisted.internet.task import react

from seckex.delivery.faces import Verdict
from seckex.net.delivery.api import Message
from seckex.net.delivery.program import open_messages


def order(message: Message) -> Verdict:
    """Take one order; if this raised, it would be given again."""
    what = bytes(message.payload)
    print(f"{message.peer} orders {what.decode()}, {message.name}", flush=True)
    message.dialog.send(b"a receipt for " + what)
    return Verdict.DONE


async def main(reactor: IReactorCore) -> None:
    """Serve until interrupted."""
    messages = await open_messages(reactor, "shop.toml")
    messages.receive("orders", order)
    print("taking orders", flush=True)
    await Deferred()


react(main)
