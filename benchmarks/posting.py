"""Either end of `benchmarks.messages`: ``python -m benchmarks.posting home|node FOLDER [TEST COUNT DIALOGS PID]``.

A daemon with a program in its own process, by its own configuration file. ``home`` takes whatever comes and says so
at once; ``node`` prints two figures. ``rate``: messages processed a second, and microseconds of the processors that
each took at both ends together; PID is the process of ``home``. ``latency``: milliseconds from sending one to hearing
that it is durable at the peer, the median and the 99th of a hundred. ``dialogs``: new dialogs a second whose first
message is durable at the peer, and microseconds as above.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Final

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults
from twisted.python.failure import Failure

from benchmarks.post import SERVICE
from benchmarks.vaults import HOME
from seckex.delivery.faces import Verdict
from seckex.net.delivery.api import Dialog, Messages
from seckex.net.inprocess import hire_initiator, hire_responder

SIZE: Final = 1024
#: Messages that may be under way, over all dialogs, and that are sent at a time.
WINDOW: Final = 4000
BATCH: Final = 100
AT_ONCE: Final = 4000
#: Dialogs that may be beginning.
BEGINNING: Final = 200
#: What is not counted.
FIRST: Final = 20

reactor: Any = installed


async def _post(dialogs: list[Dialog], count: int) -> None:
    """Send so many messages, a window of them under way, and wait until all are processed."""
    payload, each = os.urandom(SIZE), WINDOW // len(dialogs)
    batch = min(BATCH, each // 2)

    async def by(dialog: Dialog, batches: int) -> None:
        window = DeferredSemaphore(each // batch)
        last: Deferred[None] | None = None
        for _ in range(batches):
            await window.acquire()
            last = dialog.send_all([payload] * batch)[-1].processed
            last.addCallback(lambda _: window.release())
        for _ in range(each // batch):
            await window.acquire()

    batches = count // len(dialogs) // batch
    await gatherResults([Deferred.fromCoroutine(by(dialog, batches)) for dialog in dialogs], consumeErrors=True)


def _used(pids: tuple[int, ...]) -> float:
    """Return the seconds of processors that processes have used."""
    fields = (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids)
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


async def _timed(work: Awaitable[Any], count: int, pid: int) -> tuple[float, float]:
    """Return how many a second there were of what ``work`` does, and microseconds of processors for each."""
    pids = os.getpid(), pid
    began, used = time.perf_counter(), _used(pids)
    await work
    return count / (time.perf_counter() - began), 1e6 * (_used(pids) - used) / count


async def rate(messages: Messages, count: int, dialogs: int, pid: int) -> tuple[float, float]:
    """Send by so many dialogs; see the module."""
    begun = [messages.dialog(HOME, SERVICE, label=str(number)) for number in range(dialogs)]
    await gatherResults([dialog.send(b"").processed for dialog in begun])
    await _post(begun, max(count // 10, WINDOW))
    return await _timed(_post(begun, count), count, pid)


async def latency(messages: Messages, count: int, _dialogs: int, _pid: int) -> tuple[float, float]:
    """Send one after another; see the module."""
    dialog = messages.dialog(HOME, SERVICE)
    took = []
    for _ in range(FIRST + count):
        began = time.perf_counter()
        await dialog.send(os.urandom(SIZE)).delivered
        took.append(1e3 * (time.perf_counter() - began))
    return statistics.median(took[FIRST:]), statistics.quantiles(took[FIRST:], n=100)[98]


async def dialogs(messages: Messages, count: int, _dialogs: int, pid: int) -> tuple[float, float]:
    """Begin one dialog after another, some at once; see the module."""
    payload = os.urandom(SIZE)
    await messages.dialog(HOME, SERVICE).send(payload).delivered
    beginning = DeferredSemaphore(BEGINNING)

    def begin(number: int) -> Deferred[None]:
        return messages.dialog(HOME, SERVICE, label=str(number)).send(payload).delivered

    return await _timed(gatherResults([beginning.run(begin, number) for number in range(count)]), count, pid)


TESTS: Final = {test.__name__: test for test in (rate, latency, dialogs)}


async def home(folder: Path) -> None:
    """Take messages until ended."""
    daemon = (await hire_responder(reactor, folder / "home.toml")).daemon
    if daemon.messages is None:
        raise SystemExit("the daemon has no messages")
    daemon.messages.receive(SERVICE, lambda _: Verdict.DONE, at_once=AT_ONCE)
    print("ready", flush=True)


async def node(folder: Path, test: str, *numbers: int) -> None:
    """Measure, print what was found, and wait to be ended."""
    daemon = (await hire_initiator(reactor, folder / "node.toml")).daemon
    if daemon.messages is None:
        raise SystemExit("the daemon has no messages")
    print(*await TESTS[test](daemon.messages, *numbers), flush=True)


def _failed(failure: Failure) -> None:
    failure.printTraceback()
    reactor.stop()


def main() -> None:
    """Run as the command line says."""
    folder = Path(sys.argv[2])
    running = home(folder) if sys.argv[1] == "home" else node(folder, sys.argv[3], *map(int, sys.argv[4:]))
    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(running).addErrback(_failed))
    reactor.run()


if __name__ == "__main__":
    main()
