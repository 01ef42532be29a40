"""Which nodes there are: asked of the key distribution centers, one after the other.

At the start, when a center says that there are changes, every `REFRESH` seconds, and at
once, `AT_ONCE` seconds after the last time at the soonest, when a request
is said to be of a node that is not known. The static keys go along, for the provisioning files of the nodes. Where
no center answers it is tried again after growing pauses, `LONGEST_PAUSE` seconds at most;
the nodes that are known stay so.
"""

from __future__ import annotations

from typing import Final

from seckex.exchange.terms import Entropy
from seckex.machine import Now
from seckex.roles.faces import Relay
from seckex.wire import hop
from seckex.wire.keying import MAX_ENTRIES, HomeKey, NodeEntries, NodeQuery

# A center that cannot reach us, since we call it, is heard of this late at most: who was revoked has 5 s.
REFRESH: Final = 3.0
PATIENCE: Final = 3.0
AT_ONCE: Final = 2.0
SHORTEST_PAUSE: Final = 1.0
# Who was revoked meanwhile is to be known as soon as a center is there again.
LONGEST_PAUSE: Final = 4.0


class Syncing:
    """See the module.

    ``serial`` is up to where the nodes are known, durably, and ``told`` whether a center has answered.
    """

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self.serial = 0
        self.told = False
        self.center = ""
        self.failing = ""
        self._awaited: int | None = None
        self._left: tuple[str, ...] = ()
        self._pause = SHORTEST_PAUSE
        self._asked = float("-inf")
        self._again = False
        self._storing = False
        #: When to ask, or to give up waiting (monotonic); None while nothing is to be asked for, or it is being stored.
        self.due: float | None = None

    def awaits(self, identification: int) -> bool:
        """Tell whether an answer with this Identification is awaited."""
        return identification == self._awaited

    def begin(self, now: Now) -> None:
        """Ask as soon as possible, of what is to be known by the answer to a question of now."""
        if self._awaited is not None or self._storing:
            self._again = True
        else:
            self.due = now.monotonic

    def hasten(self, now: Now) -> None:
        """Ask soon: there is something to be known."""
        soon = max(now.monotonic, self._asked + AT_ONCE)
        if self._awaited is not None or self._storing or self.due is None:
            self._again = True
        elif soon < self.due:
            self.due = soon

    def ask(self, centers: tuple[str, ...], keys: tuple[HomeKey, ...], now: Now) -> list[Relay]:
        """Ask the first of ``centers``; the others follow where it does not answer."""
        if not centers:
            self.due = None
            return []
        self._again = False
        self._asked = now.monotonic
        self.center, self._left = centers[0], centers[1:]
        self._awaited = int.from_bytes(self._entropy(8), "big")
        self.due = now.monotonic + PATIENCE
        query = NodeQuery(self.serial, MAX_ENTRIES)
        return [Relay(self.center, hop.encode_hop(hop.Nodes(self._awaited, query, keys)))]

    @property
    def waiting(self) -> bool:
        """Whether an answer is awaited."""
        return self._awaited is not None

    def missed(self, why: str, now: Now) -> tuple[str, ...]:
        """Take note that nothing of use came, and why; return which centers are left to ask."""
        left, self._left, self._awaited, self._storing = self._left, (), None, False
        self.failing = f"{self.center}: {why}"
        if not left:
            self.due = now.monotonic + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        return left

    def objection(self, entries: NodeEntries) -> str:
        """Return what is wrong with an answer, if anything is."""
        serials = [entry.serial for entry in entries.entries]
        out_of_order = serials != sorted(serials) or (serials and serials[0] <= self.serial)
        return "its answer is out of order" if out_of_order or (entries.more and not serials) else ""

    def answered(self) -> None:
        """Take note that an answer came, which is being taken over."""
        self._awaited = self.due = None
        self._left, self._storing = (), True

    def taken(self, serial: int, *, more: bool, now: Now) -> None:
        """Take note that it has been."""
        self.serial, self._storing, self.told = max(self.serial, serial), False, True
        self.failing, self._pause = "", SHORTEST_PAUSE
        soon = now.monotonic if more else max(now.monotonic, self._asked + AT_ONCE)
        self.due = soon if more or self._again else now.monotonic + REFRESH
