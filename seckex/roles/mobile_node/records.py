"""What a mobile node must not forget: what it shares with its home agent, and its registration.

`Home` is what provisioning left, as registrations have changed it since. KEY 0 is
not in it, and neither is anything of an index that was used (docs/registration.md,
section 8). `Registration` is the present one. Both are records of the store, sealed at
rest; version and lengths are checked when they are read, since a record may be
from another version of the program.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Final, TypeVar

from attrs import field, frozen

from seckex.crypto.authority import registration_root
from seckex.crypto.registration import Root
from seckex.crypto.schedule import AgreedKeys
from seckex.crypto.secrets import Secret
from seckex.crypto.spichain import Chain
from seckex.errors import ApiMisuse, Malformed, StoreFailed
from seckex.machine import Path
from seckex.passage.faces import Admission
from seckex.roles.mobile_node.plan import Address
from seckex.sa.algorithms import named
from seckex.sa.association import Agreement, Association
from seckex.sa.store import Record, Snapshot
from seckex.wire.buffer import Reader, Writer
from seckex.wire.extensions import Layer2Extension
from seckex.wire.keying import HomeKey
from seckex.wire.numbers import Hop, Kem, Keying

HOME: Final = "mn.home"
REGISTRATION: Final = "mn.registration"

#: So many requests may go without an authenticated reply before the fallback's form is used.
MOST_UNANSWERED: Final = 7

_VERSION: Final = 1
# Those of version 1 do not say whether the agent carries traffic: the node registers anew.
_VERSION_OF_REGISTRATION: Final = 2
_MOST: Final = 16
_REAL: Final = struct.Struct(">d")

T = TypeVar("T")


@frozen
class Home:
    """What ``node`` and ``home_agent`` share.

    ``root`` is the authentication root in use, ``chain`` the chain of one-time SPIs at the next index, ``answered`` one
    above the index of the last authenticated reply, 0 before any. ``keys`` are the home agent's static KEM keys.
    ``home_address`` None is any.
    """

    node: str
    home_agent: str
    kvno: int
    root: Secret = field(repr=False)
    chain: Chain = field(repr=False)
    answered: int = 0
    keys: tuple[HomeKey, ...] = field(default=(), repr=False)
    home_address: Address | None = None
    layer2: Layer2Extension | None = None
    addresses: tuple[Address, ...] = ()

    @property
    def fallback(self) -> bool:
        """Whether the next request has to be in the fallback's form."""
        return self.chain.index - self.answered >= MOST_UNANSWERED

    @property
    def authentication(self) -> Root:
        """The root, for deriving keys."""
        return Root(self.root, (self.node, self.home_agent), self.kvno)

    def key(self, kem: Kem) -> HomeKey | None:
        """Return the home agent's static key to use: of those that are known, the one that serves longest.

        It may be over, and the home agent may have it nevertheless.
        """
        fitting = [key for key in self.keys if key.kem == kem]
        return max(fitting, key=lambda key: key.until, default=None)

    def record(self) -> Record:
        """Return what is stored."""
        writer = Writer().u8(_VERSION)
        _text(writer, self.node, self.home_agent)
        writer.u32(self.kvno).prefixed(self.root.octets).prefixed(self.chain.octets()).u32(self.answered)
        writer.u8(len(self.keys))
        for key in self.keys:
            writer.u8(key.kem).u64(key.until).prefixed(key.public)
        _addresses(writer, () if self.home_address is None else (self.home_address,))
        writer.u8(0 if self.layer2 is None else 1)
        if self.layer2 is not None:
            writer.u8(self.layer2.content).prefixed(self.layer2.address)
        _addresses(writer, self.addresses)
        return Record(HOME, self.home_agent.encode(), writer.octets())

    @classmethod
    def read(cls, record: Record) -> Home:
        """Read what `record` wrote; raises `StoreFailed`."""

        def read(reader: Reader) -> Home:
            node, home_agent = _read_text(reader), _read_text(reader)
            kvno, root = reader.u32("kvno"), Secret(_lp(reader))
            chain, answered = Chain.from_octets(_lp(reader)), reader.u32("answered")
            keys = tuple(_read_key(reader) for _ in range(_count(reader)))
            addresses = _read_addresses(reader)
            layer2 = Layer2Extension(reader.u8("content"), _lp(reader)) if reader.u8("layer 2") else None
            home = cls(
                node,
                home_agent,
                kvno,
                root,
                chain,
                answered,
                keys,
                addresses[0] if addresses else None,
                layer2,
                _read_addresses(reader),
            )
            Root(root, (node, home_agent), kvno)
            return home

        return _read(record, read, "what is shared with a home agent")


def objection_to(home: Home, local: str, home_agent: str, known: Home | None) -> str:
    """Return why ``home`` is not to be taken over in place of what is ``known``, nothing where it is."""
    if (home.node, home.home_agent) != (local, home_agent):
        return f"it is for {home.node} with {home.home_agent}, not for {local} with {home_agent}"
    if known is not None and home.kvno <= known.kvno:
        # The same version once more would begin the chain of SPIs again, and nobody would take what comes then.
        have, older = f"version {known.kvno} of KEY 0 is in use", "this is the same" if home.kvno == known.kvno else ""
        this = older or f"this is version {home.kvno}"
        return f"{have}, {this}: only a newer one takes its place, which seckex kdc rotate draws"
    return ""


@frozen
class Visit:
    """What this node has in common with the agent by way of which it is registered: KEY 3 and its SPIs.

    It admits the node's traffic there (docs/passages.md). ``spi_out`` is the agent's.
    """

    spi_in: int
    spi_out: int
    agreement: Agreement
    keys: AgreedKeys = field(repr=False)


@frozen
class Registration:
    """The present registration.

    ``path`` is where the agent is. ``lifetime`` in seconds was granted at ``since`` (wall-clock seconds), and what came
    of it ``serves`` that long or, if what was chosen lives less, less. ``spi_in`` names the association with the home
    agent here. ``rounds`` and ``fallback`` tell of the request that led to it. ``passages`` tells that links to the
    home agent are built through the agent.
    """

    home_agent: str
    agent: str
    path: Path
    care_of: Address
    home_address: Address | None
    lifetime: int
    since: float
    serves: int
    spi_in: int
    mode: Keying
    kem: Kem
    rounds: int
    fallback: bool
    passages: bool
    visit: Visit = field(repr=False)

    @property
    def expires(self) -> float:
        """When it ends, in wall-clock seconds."""
        return self.since + self.serves

    @property
    def admission(self) -> Admission | None:
        """What links to the home agent are built with, None where they go there directly."""
        if not self.passages:
            return None
        path, visit = self.path, self.visit
        return Admission(Hop.MN_FA, self.agent, path.host, path.port, visit.spi_out, self.expires, visit.keys)

    def record(self) -> Record:
        """Return what is stored; the store forgets it when it has ended."""
        writer = Writer().u8(_VERSION_OF_REGISTRATION)
        _text(writer, self.home_agent, self.agent, self.path.host)
        writer.u16(self.path.port)
        _addresses(writer, (self.care_of,))
        _addresses(writer, () if self.home_address is None else (self.home_address,))
        writer.u32(self.lifetime).raw(_REAL.pack(self.since)).u32(self.serves).u32(self.spi_in)
        writer.u8(self.mode).u8(self.kem).u8(self.rounds).u8(self.fallback).u8(self.passages)
        visit, agreement = self.visit, self.visit.agreement
        writer.u32(visit.spi_in).u32(visit.spi_out)
        _text(writer, " ".join(algorithm.name for algorithm in agreement.algorithms))
        writer.u32(agreement.lifetime).u64(agreement.mebioctets).prefixed(visit.keys.octets())
        return Record(REGISTRATION, self.home_agent.encode(), writer.octets(), self.expires)

    @classmethod
    def read(cls, record: Record) -> Registration:
        """Read what `record` wrote; raises `StoreFailed`."""

        def read(reader: Reader) -> Registration:
            home_agent, agent, host = _read_text(reader), _read_text(reader), _read_text(reader)
            path = Path(host, reader.u16("port"))
            (care_of,), homes = _read_addresses(reader), _read_addresses(reader)
            lifetime, since = reader.u32("lifetime"), _REAL.unpack(reader.take(_REAL.size, "since"))[0]
            serves, spi_in = reader.u32("lifetime"), reader.u32("SPI")
            mode, kem = Keying(reader.u8("mode")), Kem(reader.u8("Kem"))
            rounds, fallback = reader.u8("rounds"), bool(reader.u8("fallback"))
            passages = bool(reader.u8("passages"))
            spis = reader.u32("SPI"), reader.u32("SPI")
            algorithms = tuple(map(named, _read_text(reader).split()))
            agreement = Agreement(algorithms, reader.u32("lifetime"), reader.u64("mebioctets"))
            visit = Visit(*spis, agreement, AgreedKeys.from_octets(_lp(reader)))
            home = homes[0] if homes else None
            times = lifetime, since, serves
            forms = fallback, passages
            return cls(home_agent, agent, path, care_of, home, *times, spi_in, mode, kem, rounds, *forms, visit)

        return _read(record, read, "a registration", _VERSION_OF_REGISTRATION)


@frozen
class Restored:
    """What a store has of a node: ``held`` are its associations by their SPIs here, and when they end (wall-clock).

    ``damaged`` has a sentence for what could not be read.
    """

    home: Home | None
    registration: Registration | None
    held: dict[int, float]
    damaged: tuple[str, ...]


def restored(snapshot: Snapshot, local: str, home_agent: str) -> Restored:
    """Return what ``local`` has with ``home_agent``; a registration without its association is none."""
    records = {record.kind: record for record in snapshot.records if record.name == home_agent.encode()}
    ours = (each for each in snapshot.associations if each.peer == home_agent and is_of_registration(each))
    held = {each.spi_in: each.expires for each in ours}
    home: Home | None = None
    registration: Registration | None = None
    damaged: list[str] = []
    try:
        if HOME in records:
            home = Home.read(records[HOME])
        if REGISTRATION in records:
            registration = Registration.read(records[REGISTRATION])
    except StoreFailed as error:
        damaged.append(str(error))
    if home is None or home.node != local:
        return Restored(None, None, held, tuple(damaged))
    if registration is not None and registration.spi_in not in held:
        registration = None
    return Restored(home, registration, held, tuple(damaged))


def is_of_registration(association: Association) -> bool:
    """Tell whether an association came of registering."""
    return association.root.partition(" ")[0] == registration_root(0).partition(" ")[0]


def _read(record: Record, read: Callable[[Reader], T], what: str, known: int = _VERSION) -> T:
    reader = Reader(record.octets)
    try:
        version = reader.u8("version")
        if version != known:
            raise StoreFailed(f"{what} was stored by another version of this program ({version})")
        found = read(reader)
        reader.end("record")
    except (Malformed, ApiMisuse, KeyError, ValueError) as error:
        # The text of what is wrong could repeat what is stored.
        raise StoreFailed(f"{what} cannot be read from the store ({type(error).__name__})") from None
    return found


def _text(writer: Writer, *texts: str) -> None:
    for text in texts:
        writer.prefixed(text.encode())


def _lp(reader: Reader) -> bytes:
    return reader.take(reader.u32("length"), "octets")


def _read_text(reader: Reader) -> str:
    return reader.sub(reader.u32("length"), "text").text("text")


def _count(reader: Reader) -> int:
    count = reader.u8("count")
    if count > _MOST:
        raise reader.fail("count", "too many")
    return count


def _read_key(reader: Reader) -> HomeKey:
    kem, until = Kem(reader.u8("Kem")), reader.u64("until")
    return HomeKey(kem, until, _lp(reader))


def _addresses(writer: Writer, addresses: Iterable[Address]) -> None:
    listed = tuple(addresses)
    writer.u8(len(listed))
    for address in listed:
        writer.prefixed(address.packed)


def _read_addresses(reader: Reader) -> tuple[Address, ...]:
    return tuple(ip_address(_lp(reader)) for _ in range(_count(reader)))
