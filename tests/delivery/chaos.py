"""Two houses in a world where everything fails: connections, processes, disks, clocks, programs, keys, certificates.

What goes wrong and when is drawn from a seed, and so is the order of everything that has none. In the end nothing fails
any more, and everything that was accepted has to have been processed, once and in its order; on the way it may
never be told that something has happened that has not.

A program here is one that keeps what it was given in the same transaction as its verdict: what it was given counts when
the daemon says that it is done with, and a message that comes again after that is a fault.
"""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Final

from seckex.delivery.faces import Incoming, Outgoing, Stage, Verdict
from seckex.errors import PeerIncompatible, StoreFailed
from tests.delivery.table import HOME, NODE, Host, Table
from tests.roaming.certificates import identity

SIZES: Final = (0, 1, 30, 1000, 1000, 40_000, 60_000, 130_000)
#: One in so many is longer than what is kept in memory.
SPOOLED: Final = 40
LONG: Final = (1 << 20) + 12_345


class Wrong(AssertionError):
    """What may never be was."""


class Chaos:
    """One run: ``steps`` is how much happens before it calms down; ``relay``: neither is reached but by way of one."""

    def __init__(self, seed: int, steps: int = 400, *, relay: bool = False) -> None:
        self.seed = seed
        self.random = Random(seed)  # noqa: S311  # so that a seed is a run
        self.steps = steps
        self.table = Table(f"chaos {seed}", self.random)
        if relay:
            self.node, self.home, between = self.table.behind_a_relay()
            self.hosts: tuple[Host, ...] = (self.node, self.home, between)
        else:
            self.node, self.home = self.table.pair(self.random.choice(("prekey", "auto")))
            self.hosts = (self.node, self.home)
        self.down: dict[str, int] = {}
        self.sent: dict[str, list[bytes]] = {NODE: [], HOME: []}
        self.accepted: dict[str, int] = {NODE: 0, HOME: 0}
        self.done: dict[str, list[int]] = {NODE: [], HOME: []}
        self.dialog_id = b""
        self.certificates = 0
        self.patience: dict[tuple[str, int], int] = {}
        for host in (self.node, self.home):
            host.answers = partial(self._given, host)
        self.node.receive("answers", self.random.choice((1, 3, 64)))
        self.home.receive("orders", self.random.choice((1, 3, 64)))

    # -- programs

    def _given(self, host: Host, message: Incoming) -> Verdict | None:
        other = self.home if host is self.node else self.node
        expected = self.sent[other.nai]
        if message.number > len(expected):
            raise Wrong(f"{host.nai} was given message {message.number}, which nobody has sent")
        payload = expected[message.number - 1]
        if host.octets(message.payload) != payload:
            raise Wrong(f"{host.nai} was given something else as message {message.number}")
        row = host.house._tables.known(message.dialog_id).row
        if message.number <= row.done:
            raise Wrong(f"{host.nai} was given message {message.number} again, which it was done with")
        tries = self.patience.setdefault((host.nai, message.number), self.random.choice((0, 0, 0, 0, 1, 2)))
        if tries:
            self.patience[host.nai, message.number] = tries - 1
            return Verdict.RETRY
        return Verdict.DONE

    # -- what happens

    def _send(self, host: Host) -> None:
        random = self.random
        payloads = [random.randbytes(random.choice(SIZES)) for _ in range(random.choice((1, 1, 2, 5)))]
        if not random.randrange(SPOOLED):
            payloads.append(random.randbytes(LONG))
        said = [host.spooled(each) if len(each) == LONG else each for each in payloads]
        try:
            if host is self.node:
                self.dialog_id = host.send(HOME, "orders", *said, own="answers")
            elif self.dialog_id and self.dialog_id in host.house._tables.dialogs:
                host.house.send(self.dialog_id, [Outgoing(each) for each in said], host.now())
            else:
                return
        except PeerIncompatible:
            return
        # What is not accepted when its sender crashes was never sent: `_crash` takes it back.
        self.sent[host.nai] += payloads

    def _crash(self, host: Host) -> None:
        host.crash()
        if host not in (self.node, self.home):
            self.down[host.nai] = self.table.happened + self.random.randrange(1, 200)
            return
        kept = self._durable(host)[0]
        told = host.stages.get((self.dialog_id.hex(), Stage.ACCEPTED), 0)
        if told > kept:
            raise Wrong(f"{host.nai} was told that {told} messages are durable, and has {kept}")
        del self.sent[host.nai][kept:]
        self.down[host.nai] = self.table.happened + self.random.randrange(1, 200)

    def _durable(self, host: Host) -> tuple[int, int, int]:
        """Return up to which numbers the store of a host has what it sends, was sent, and is done with."""
        row = next((each for each in host.store.durable_dialogs() if each.dialog_id == self.dialog_id), None)
        if row is None:
            return 0, 0, 0
        kept, delivered = row.next_number - 1, row.delivered
        for segment in host.store.durable_segments(self.dialog_id):
            last = segment.first + segment.count - 1
            if segment.ours:
                kept = max(kept, last)
            elif segment.first <= delivered + 1:
                delivered = max(delivered, last)
        return kept, delivered, row.done

    def _something(self) -> None:
        random, table = self.random, self.table
        host = random.choice(self.hosts)
        what = random.randrange(100)
        if not host.up:
            return
        if what < 40:
            if host in (self.node, self.home):
                self._send(host)
        elif what < 52:
            table.cut_all()
        elif what < 62:
            self._crash(host)
        elif what < 72:
            table.unreachable ^= {self.hosts[-1].nai}
        elif what < 80:
            host.store.failing = None if host.store.failing else StoreFailed("the disk is full")
        elif what < 86:
            host.vault.new_prekeys()
        elif what < 90:
            self.certificates += 1
            host.vault.renew(identity(host.nai, held=f"{host.nai} {self.certificates % 4}"))
        else:
            self._advance(random.choice((1, 1, 2, 20)))

    def _advance(self, seconds: int) -> None:
        table = self.table
        for _ in range(seconds):
            table.monotonic += 1
            table.wall += 1
            table.tick()
            for _ in range(self.random.randrange(60)):
                if not table.step():
                    break

    # -- the run

    def run(self) -> Chaos:
        """Have it all happen, and look at what has become of it."""
        for _ in range(self.steps):
            self._something()
            for _ in range(self.random.randrange(40)):
                if not self.table.step():
                    break
            self._restart()
            self._look()
        self._calm()
        self._look()
        self._look_at_the_end()
        return self

    def _restart(self, *, all_of_them: bool = False) -> None:
        for host in self.hosts:
            if not host.up and (all_of_them or self.table.happened >= self.down[host.nai]):
                host.stages.clear()
                host.start()

    def _calm(self) -> None:
        self.table.unreachable.clear()
        for host in self.hosts:
            host.store.failing = None
        self._restart(all_of_them=True)
        for _ in range(60):
            self.table.advance(10)
            if not any(self._waiting(host) for host in (self.node, self.home)):
                return

    def _waiting(self, host: Host) -> int:
        """Return how many messages of a host are not processed."""
        other = self.home if host is self.node else self.node
        return len(self.sent[host.nai]) - self._durable(other)[2] if self.sent[host.nai] else 0

    def _look(self) -> None:
        """Hold what senders are told to what receivers have on their disks."""
        for host, other in ((self.node, self.home), (self.home, self.node)):
            _, delivered, done = self._durable(other)
            for stage, has in ((Stage.DELIVERED, delivered), (Stage.PROCESSED, done)):
                told = host.stages.get((self.dialog_id.hex(), stage), 0)
                if told > has:
                    raise Wrong(f"{host.nai} was told that {told} are {stage.value}, and {other.nai} has {has}")

    def _look_at_the_end(self) -> None:
        for host, other in ((self.node, self.home), (self.home, self.node)):
            if not self.dialog_id or not self.sent[host.nai]:
                continue
            done = self._durable(other)[2]
            if done != len(self.sent[host.nai]):
                why = host.house.why(self.dialog_id.hex()[:12], host.now())
                raise Wrong(f"{other.nai} is done with {done} of {len(self.sent[host.nai])}: {why}")
            firsts: list[int] = []
            for message in other.got:
                if message.number not in firsts:
                    firsts.append(message.number)
            if firsts != sorted(firsts):
                raise Wrong(f"{other.nai} was given messages out of their order: {firsts}")
