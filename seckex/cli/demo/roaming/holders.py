"""Who could read what: what is each party's business, and what is found in all that it holds.

A party holds what is in the memory of its process, in its files, in its database
once that is opened with its master key, and in its log. The table that comes of
it is measured: nothing in it is taken from what should be so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from ipaddress import IPv6Address
from typing import Final

from attrs import define, field

from seckex.cli.demo.roaming.keys import KEYS, unsealed
from seckex.cli.demo.roaming.memory import MemoryUnreadable, Sought, held_in, held_in_memory
from seckex.cli.demo.roaming.world import AGENT, CENTER, HOME, NODE, Identity, World
from seckex.crypto.secrets import Secret

NAI, ADDRESS, LAYER2, KEY0 = "NAI", "home address", "layer 2 address", "KEY 0"
WHAT: Final = (NAI, ADDRESS, LAYER2, KEY0, *KEYS)

#: Whose business each is; an AAA server's is none of it.
MAY_HOLD: Final[Mapping[str, Collection[str]]] = {
    NAI: (NODE, HOME, CENTER),
    ADDRESS: (NODE, HOME, CENTER),
    LAYER2: (NODE, HOME, CENTER),
    # A node has it only for as long as it takes it over.
    KEY0: (CENTER,),
    "KEY 1": (NODE, HOME),
    "KEY 2": (AGENT, HOME),
    "KEY 3": (AGENT, NODE),
}
#: Who must be found to hold it, or else the search is worth nothing.
MUST_HOLD: Final[Mapping[str, Collection[str]]] = {
    NAI: (NODE, HOME),
    ADDRESS: (NODE, HOME),
    LAYER2: (NODE, HOME),
    KEY0: (CENTER,),
    "KEY 1": (NODE, HOME),
    "KEY 2": (AGENT, HOME),
    "KEY 3": (AGENT, NODE),
}

MEMORY, STATE, LOG = "m", "s", "l"


@define
class Holdings:
    """What was found: ``places`` has, for what and role, where; ``unread`` whose memory cannot be read, and why."""

    places: dict[tuple[str, str], str] = field(factory=dict)
    unread: dict[str, str] = field(factory=dict)

    def add(self, role: str, where: str, found: Collection[str]) -> None:
        """Take note of what was found with one role in one place."""
        for what in found:
            self.places[what, role] = self.places.get((what, role), "") + where

    def rows(self, roles: Collection[str]) -> list[tuple[str, ...]]:
        """Return the table: for each of `WHAT` where each role holds it."""
        return [(what, *(" ".join(self.places.get((what, role), "-")) for role in roles)) for what in WHAT]

    def leaks(self) -> list[str]:
        """Return who holds what is not its business."""
        return [
            f"{role} holds the {what} (in {', '.join(_WORDS[each] for each in where)})"
            for (what, role), where in self.places.items()
            if role not in MAY_HOLD[what]
        ]

    def misses(self) -> list[str]:
        """Return what was not found with those who have it."""
        return [
            f"{what} was not found with {role}, who has it"
            for what, holders in MUST_HOLD.items()
            for role in holders
            if not self._found(what, role)
        ]

    def _found(self, what: str, role: str) -> bool:
        where = self.places.get((what, role), "")
        # Where memory was read it must be there, too: what is in use is in memory.
        return bool(where) if role in self.unread else MEMORY in where


_WORDS: Final = {MEMORY: "memory", STATE: "its files", LOG: "its log"}


def sought(identity: Identity, keys: Mapping[str, Secret]) -> Sought:
    """Return what each of `WHAT` looks like as octets."""
    return {
        # What stands before the realm is the node's alone.
        NAI: (identity.nai.partition("@")[0].encode(),),
        ADDRESS: tuple(_forms_of_address(identity.home_address)),
        LAYER2: (identity.layer2, identity.mac.encode(), identity.layer2.hex().encode()),
        **{what: (key.octets, key.octets.hex().encode()) for what, key in keys.items()},
    }


def _forms_of_address(address: IPv6Address) -> Iterator[bytes]:
    yield str(address).encode()
    yield address.packed
    yield address.packed.hex().encode()
    # Python's own: a number in digits of 30 bits, each in four octets.
    number = int(address)
    yield b"".join((number >> at & 0x3FFFFFFF).to_bytes(4, "little") for at in range(0, 128, 30))


def held_anywhere(world: World, pids: Mapping[str, int], wanted: Sought) -> set[tuple[str, str]]:
    """Return who holds which of ``wanted``, wherever; what cannot be read holds nothing."""
    found = Holdings()
    for role, pid in pids.items():
        _look(found, world, role, pid, wanted)
    return {(role, what) for what, role in found.places}


def holdings(world: World, pids: Mapping[str, int], wanted: Sought) -> Holdings:
    """Look for what is ``wanted`` with every role, whose processes are ``pids``."""
    found = Holdings()
    for role, pid in pids.items():
        _look(found, world, role, pid, wanted)
    return found


def _look(found: Holdings, world: World, role: str, pid: int, wanted: Sought) -> None:
    try:
        found.add(role, MEMORY, held_in_memory(pid, wanted))
    except MemoryUnreadable as error:
        found.unread[role] = str(error)
    files = [file.read_bytes() for file in sorted(world.state(role).rglob("*")) if file.is_file()]
    texts = [*files, *unsealed(world.state(role))]
    found.add(role, STATE, set().union(*(held_in(octets, wanted) for octets in texts)))
    found.add(role, LOG, held_in(world.log(role).read_bytes(), wanted))
