"""What the daemons keep: KEY 0, and KEY 1, 2 and 3 of a registration, read out of databases with their master keys."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from attrs import field, frozen

from seckex.cli.demo.processes import DemoFailed
from seckex.cli.demo.roaming.world import AGENT, CENTER, HOME, NODE, World
from seckex.crypto.schedule import AgreedKeys
from seckex.crypto.secrets import Secret
from seckex.crypto.suites import SHA256
from seckex.net.daemon import DATABASE
from seckex.roles.foreign_agent import visitors
from seckex.roles.home_agent import records as of_home
from seckex.roles.home_agent.nodes import KnownNode
from seckex.roles.kdc.principals import PRINCIPAL, Principal
from seckex.roles.mobile_node import records as of_node
from seckex.sa.association import Association
from seckex.sa.store import Record, Snapshot
from seckex.storage.inspect import copy_database
from seckex.storage.masterkey import load_master_key
from seckex.storage.sqlite import SqliteStore

KEYS: Final = ("KEY 1", "KEY 2", "KEY 3")
#: Between whom each is.
ENDS: Final = {"KEY 1": (NODE, HOME), "KEY 2": (AGENT, HOME), "KEY 3": (AGENT, NODE)}


@frozen
class Held:
    """One of the keys as one of its ends holds it: its SPI there, the secret that all of it comes from."""

    spi: int
    secret: Secret = field(repr=False)

    @property
    def check(self) -> str:
        """A value that tells keys apart and says nothing of them."""
        return SHA256.mac(self.secret.octets, b"seckex demo check")[:4].hex()


def stored(state: Path) -> Snapshot:
    """Return what the database in a state directory holds, unsealed, without touching it."""
    with tempfile.TemporaryDirectory(prefix="seckex-demo-") as folder:
        copy = Path(folder) / DATABASE
        copy.touch(0o600)
        copy_database(state / DATABASE, copy)
        store = SqliteStore(copy, load_master_key(state / "master.key", copy, os.urandom), os.urandom)
        try:
            return store.load(0, time.time())
        finally:
            store.close()


def unsealed(state: Path) -> Iterator[bytes]:
    """Yield all octets that the database in a state directory holds for who has its master key."""
    found = stored(state)
    for association in found.associations:
        yield from (association.local.encode(), association.peer.encode(), association.keys.octets())
    for record in found.records:
        yield from (record.name, record.octets)


def key0(world: World) -> Secret:
    """Return KEY 0 of the node, which its center has."""
    found = Principal.read(_record(stored(world.state(CENTER)), PRINCIPAL)).key0
    if found is None:
        raise LookupError("the node has no KEY 0 any more")
    return found


def keys_of(world: World, role: str) -> dict[str, Held]:
    """Return those of `KEYS` that a node, agent or home agent has by its own database, of the one registration."""
    found = stored(world.state(role))
    return {NODE: _of_node, AGENT: _of_agent, HOME: _of_home}[role](world, found)


def keys_at(world: World, place: str) -> dict[str, Held]:
    """Return `KEYS` of the one registration, which is by way of ``place``: an agent, or the home agent itself."""
    known = _node_at_home(world, stored(world.state(HOME)))
    [binding] = known.bindings
    if binding.agent != world.nai(place):
        raise DemoFailed(f"the node is registered by way of {binding.agent}, and should be of {world.nai(place)}")
    return _of_node(world, stored(world.state(NODE))) | {"KEY 2": _held(binding.spi_in, binding.keys)}


def _of_node(world: World, found: Snapshot) -> dict[str, Held]:
    registration = of_node.Registration.read(_record(found, of_node.REGISTRATION))
    visit = registration.visit
    association = _association(found, world.nai(HOME))
    return {"KEY 1": _held(association.spi_in, association.keys), "KEY 3": _held(visit.spi_in, visit.keys)}


def _of_agent(world: World, found: Snapshot) -> dict[str, Held]:
    # There may be others: what was renewed stays there until it would have ended, under another pseudonym.
    there = [visitors.decode(record.octets) for record in found.records if record.kind == visitors.KIND]
    if not there:
        raise DemoFailed(f"there are 0 records of kind {visitors.KIND}, and there should be one")
    [binding] = _node_at_home(world, stored(world.state(HOME))).bindings
    visitor = next((each for each in there if each.spi_home == binding.spi_out), None)
    if visitor is None:
        raise DemoFailed(f"{world.nai(AGENT)} has stored nothing of the node's registration")
    return {"KEY 2": _held(visitor.spi_home, visitor.key2), "KEY 3": _held(visitor.spi_node, visitor.key3)}


def _of_home(world: World, found: Snapshot) -> dict[str, Held]:
    node = _node_at_home(world, found)
    association = _association(found, world.nai(NODE))
    [binding] = node.bindings
    return {"KEY 1": _held(association.spi_in, association.keys), "KEY 2": _held(binding.spi_in, binding.keys)}


def _node_at_home(world: World, found: Snapshot) -> KnownNode:
    return of_home.read_node(_record(found, of_home.NODE), world.nai(HOME))


def _held(spi: int, keys: AgreedKeys) -> Held:
    return Held(spi, keys.secret)


def _record(found: Snapshot, kind: str) -> Record:
    fitting = [record for record in found.records if record.kind == kind]
    if len(fitting) != 1:
        raise DemoFailed(f"there are {len(fitting)} records of kind {kind}, and there should be one")
    return fitting[0]


def _association(found: Snapshot, peer: str) -> Association:
    fitting = [association for association in found.associations if association.peer == peer]
    if not fitting:
        raise DemoFailed(f"nothing is stored that was agreed with {peer}")
    return fitting[-1]
