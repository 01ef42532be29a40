"""The nodes of a home agent: what is known of each, how it lasts, and how one is found by a one-time SPI.

A node has one record, ``ha.node``, in which everything changes together: its
roots, the base of its chain and its bindings. What is in memory is what is durable.
When a center gives a node another KEY 0, the former roots stay until the
new ones are used, so that a node that still has the old one can be told, or be taken until a center's ``until``.
Of a node that was revoked nothing stays but its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from attrs import evolve, field, frozen

from seckex.crypto.registration import Root
from seckex.crypto.secrets import Secret
from seckex.crypto.spichain import Chain, Window
from seckex.crypto.suites import SHA256
from seckex.passage.faces import Admitted
from seckex.roles.home_agent.bindings import Binding
from seckex.wire.frames import Address
from seckex.wire.keying import NodeEntry

MOST_TRIALS: Final = 4
CHECK_SIZE: Final = 8


@frozen
class Credentials:
    """What a version of KEY 0 has left: ``root``, ``healed`` after an accepted registration, and the chain's window.

    ``check`` tells whether another KEY 0 has the same version.
    """

    kvno: int
    check: bytes
    root: Root
    healed: Root | None
    window: Window

    @property
    def roots(self) -> Iterator[Root]:
        """Those that requests may come under, the likeliest first."""
        if self.healed is not None:
            yield self.healed
        yield self.root

    def used(self, index: int, root: Root, healed: Root | None = None) -> Credentials:
        """Return what is left after a request of that index came under ``root``.

        ``healed`` is what a registration that was accepted has made of it.
        """
        window = self.window.advance(index + 1)
        if root is self.healed:
            return Credentials(self.kvno, self.check, root, healed, window)
        return Credentials(self.kvno, self.check, self.root, healed or self.healed, window)


@frozen
class KnownNode:
    """A node; ``association`` is the SPI here of the one under KEY 1, 0 for none.

    ``serial`` is that of the center's entry. ``current`` is None of who was revoked. ``former`` are the credentials of
    the version of KEY 0 before, which registrations may come under until ``grace`` (wall-clock seconds).
    """

    nai: str
    serial: int
    enabled: bool
    current: Credentials | None
    former: Credentials | None = None
    bindings: tuple[Binding, ...] = ()
    association: int = 0
    home_address: Address | None = None
    grace: float = 0.0

    @property
    def kvno(self) -> int:
        """The version of KEY 0 in use, 0 of who was revoked."""
        return 0 if self.current is None else self.current.kvno

    @property
    def credentials(self) -> Iterator[Credentials]:
        """Those that requests may come under."""
        if self.current is not None:
            yield self.current
        if self.former is not None:
            yield self.former

    def takes(self, credentials: Credentials, now: float) -> bool:
        """Tell whether a registration under these is granted at ``now`` (wall-clock seconds)."""
        return credentials is self.current or (credentials is self.former and now < self.grace)

    @property
    def spis(self) -> tuple[int, ...]:
        """The one-time SPIs that may name it now."""
        return tuple(spi for each in self.credentials for spi in each.window.spis)

    def with_credentials(self, before: Credentials, after: Credentials) -> KnownNode:
        """Return the node with ``after`` in place of ``before``, which is one of its own."""
        if before is self.former:
            return evolve(self, former=after)
        return evolve(self, current=after)

    def lived(self, now: float) -> KnownNode:
        """Return the node without the bindings that have expired at ``now``, itself where none have."""
        alive = tuple(each for each in self.bindings if each.until > now)
        if len(alive) == len(self.bindings):
            return self
        return evolve(self, bindings=alive) if alive else self.left()

    def left(self) -> KnownNode:
        """Return the node without bindings."""
        return evolve(self, bindings=(), association=0, home_address=None)


def entered(entry: NodeEntry, known: KnownNode | None, names: tuple[str, str]) -> KnownNode:
    """Return what is known of a node after its center has told of it; nothing of its keys where it was revoked."""
    if entry.revoked:
        return KnownNode(entry.node, entry.serial, False, None)
    check = SHA256.digest(entry.root)[:CHECK_SIZE]
    grace = float(entry.until)
    before = None if known is None else known.current
    if known is not None and before is not None and (before.kvno, before.check) == (entry.kvno, check):
        return evolve(known, serial=entry.serial, enabled=entry.enabled, grace=grace)
    window = Window.of(Chain.begin(Secret(entry.chain)))
    current = Credentials(entry.kvno, check, Root(Secret(entry.root), names, entry.kvno), None, window)
    if known is None:
        return KnownNode(entry.node, entry.serial, entry.enabled, current)
    return evolve(known, serial=entry.serial, enabled=entry.enabled, current=current, former=before, grace=grace)


@frozen
class _Index:
    """Which nodes an SPI may mean."""

    by_spi: dict[int, dict[str, None]] = field(factory=dict)

    def move(self, nai: str, before: tuple[int, ...], after: tuple[int, ...]) -> None:
        for spi in before:
            if spi not in after:
                names = self.by_spi.get(spi, {})
                names.pop(nai, None)
                if not names:
                    self.by_spi.pop(spi, None)
        for spi in after:
            if spi not in before:
                self.by_spi.setdefault(spi, {})[nai] = None


class NodeTable:
    """At most ``limit`` nodes, by NAI and by SPI."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._nodes: dict[str, KnownNode] = {}
        self._index = _Index()
        self._addresses: dict[Address, str] = {}
        self._associations: dict[int, str] = {}
        self._claims: dict[str, Address] = {}
        self._bound = 0
        self._by_key2: dict[int, tuple[str, Binding]] = {}
        #: Bindings that are no more, each with whether its node has another instead, for whoever takes them away.
        self.ended: list[tuple[Binding, bool]] = []

    def __len__(self) -> int:
        return len(self._nodes)

    def __iter__(self) -> Iterator[KnownNode]:
        return iter(self._nodes.values())

    @property
    def bound(self) -> int:
        """How many are registered."""
        return self._bound

    def get(self, nai: str) -> KnownNode | None:
        """Return the node of that name."""
        return self._nodes.get(nai)

    def put(self, node: KnownNode) -> None:
        """Keep ``node``, in place of what was known of it."""
        before = self._nodes.get(node.nai)
        self._index.move(node.nai, () if before is None else before.spis, node.spis)
        if before is None or before.home_address != node.home_address:
            if before is not None and before.home_address is not None:
                self._addresses.pop(before.home_address, None)
            if node.home_address is not None:
                self._addresses[node.home_address] = node.nai
        if before is not None:
            self._associations.pop(before.association, None)
        if node.association:
            self._associations[node.association] = node.nai
        self._rebind(node.nai, before, node)
        self._nodes[node.nai] = node
        self._bound += bool(node.bindings) - (before is not None and bool(before.bindings))

    def remove(self, nai: str) -> KnownNode | None:
        """Forget a node."""
        node = self._nodes.pop(nai, None)
        if node is not None:
            self._index.move(nai, node.spis, ())
            self._associations.pop(node.association, None)
            self._bound -= bool(node.bindings)
            self._rebind(nai, node, None)
            if node.home_address is not None:
                self._addresses.pop(node.home_address, None)
        return node

    def _rebind(self, nai: str, before: KnownNode | None, after: KnownNode | None) -> None:
        had = () if before is None else before.bindings
        has = () if after is None else after.bindings
        if had is has:
            return
        fresh = [each for each in has if each not in had]
        for binding in had:
            if binding not in has:
                self._by_key2.pop(binding.spi_in, None)
                self.ended.append((binding, bool(fresh)))
        for binding in fresh:
            self._by_key2[binding.spi_in] = nai, binding

    def has_key2(self, spi: int) -> bool:
        """Tell whether an SPI is ours of a KEY 2."""
        return spi in self._by_key2

    def passage(self, spi: int) -> Admitted | None:
        """Return what traffic under this SPI of a KEY 2 comes under."""
        found = self._by_key2.get(spi)
        return None if found is None else found[1].admitted(found[0])

    def candidates(self, spi: int) -> list[KnownNode]:
        """Return the nodes that a one-time SPI may mean, `MOST_TRIALS` at most."""
        names = self._index.by_spi.get(spi)
        return [] if names is None else [self._nodes[nai] for nai in list(names)[:MOST_TRIALS]]

    def holder(self, address: Address) -> str | None:
        """Return the name of the node that has a home address, or is about to."""
        return self._addresses.get(address)

    def holder_of(self, association: int) -> str | None:
        """Return the name of the node whose association has this SPI here."""
        return self._associations.get(association)

    def claim(self, nai: str, address: Address) -> None:
        """Keep a home address for a node until `yield_claim`."""
        if address not in self._addresses:
            self._addresses[address] = nai
            self._claims[nai] = address

    def yield_claim(self, nai: str) -> None:
        """Let others have what was claimed, unless the node has it now."""
        address = self._claims.pop(nai, None)
        node = self._nodes.get(nai)
        if address is not None and (node is None or node.home_address != address):
            self._addresses.pop(address, None)
