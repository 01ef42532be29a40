"""The other end of ``order_server.py``: orders the words of the command line, and prints the receipts."""

import sys

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorCore
from twisted.internet.task import react

from seckex.delivery.faces import Verdict
from seckex.net.delivery.api import Message
from seckex.net.delivery.program import open_messages


async def main(reactor: IReactorCore, *words: str) -> None:
    """Order everything, and wait for as many receipts."""
    messages = await open_messages(reactor, "buyer.toml")
    receipts: list[str] = []
    enough: Deferred[None] = Deferred()

    def receipt(message: Message) -> Verdict:
        receipts.append(bytes(message.payload).decode())
        if len(receipts) == len(words):
            enough.callback(None)
        return Verdict.DONE

    messages.receive("receipts", receipt)
    dialog = messages.dialog("shop@example.org", "orders", own="receipts")
    for word in words:
        sent = dialog.send(word.encode(), type="order")
        # From here on it arrives, whatever happens to this program, to the shop or to what is between.
        await sent.accepted
        print(f"{word} is ordered", flush=True)
    await enough
    print(*receipts, sep="\n")


react(main, sys.argv[1:])
