"""Programs that are wrong in one way each: a simulation that holds for one of them sees nothing.

Each is a context in which something of the product, or the ground that it stands on, is other than it should be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Final
from unittest.mock import patch

from attrs import evolve

from seckex.crypto.registration import Root, key1
from seckex.machine import Now
from seckex.node.actions import Commit
from seckex.roles.foreign_agent import agent as foreign_agent
from seckex.roles.foreign_agent import revoking
from seckex.roles.foreign_agent.revoking import Revoking
from seckex.roles.home_agent import answer, keeping, nodes, recognition
from seckex.roles.home_agent.nodes import Credentials, KnownNode
from seckex.roles.home_agent.pseudonyms import Pseudonyms
from seckex.roles.home_agent.records import NODE
from seckex.roles.home_agent.records import REVOCATION as ENDED
from seckex.roles.home_agent.replies import Replies
from seckex.roles.home_agent.revocations import Revocations
from seckex.roles.kdc.issued import ISSUED
from seckex.roles.mobile_node import request
from seckex.roles.mobile_node.keeping import Keeping
from seckex.roles.mobile_node.records import HOME as NODES_HOME
from seckex.roles.mobile_node.records import Home
from seckex.sa.store import DeleteRecord, MemoryStore, Outcome, PutRecord, Unit
from seckex.wire.keying import NodeEntry
from tests.roaming.host import Host

Breaking = Callable[[], AbstractContextManager[object]]


def _impatient(name: str) -> Breaking:
    """Have the hosts of a name go on before what they store is durable."""

    @contextmanager
    def breaking() -> Iterator[None]:
        patiently = Host._commit

        def commit(host: Host, action: Commit) -> None:
            if not host.name.startswith(name):
                patiently(host, action)
                return
            told = host._running.committed(action.token, Outcome.STORED, host.now())
            life = host.life

            def store() -> None:
                if life == host.life:
                    host.store.commit([action.unit])
                    host.network.storing(host, action.unit)

            host.network.at(host.commit_delay, store)
            host._run(told)

        with patch.object(Host, "_commit", commit):
            yield

    return breaking


def _puts(operation: object, kind: str) -> bool:
    return isinstance(operation, PutRecord) and operation.record.kind == kind


def _forgetting(kind: str) -> Breaking:
    """Have stores keep the first record of a kind only, and say that they keep all."""

    @contextmanager
    def breaking() -> Iterator[None]:
        store = MemoryStore.commit

        def commit(self: MemoryStore, units: Sequence[Unit]) -> list[Outcome]:
            if any(key[0] == kind for key in self.records):
                units = [tuple(op for op in unit if not _puts(op, kind)) for unit in units]
            return store(self, units)

        with patch.object(MemoryStore, "commit", commit):
            yield

    return breaking


@contextmanager
def _base_stays() -> Iterator[None]:
    used = Credentials.used

    def stays(self: Credentials, *how: Any) -> Credentials:
        return evolve(used(self, *how), window=self.window)

    with patch.object(Credentials, "used", stays):
        yield


@contextmanager
def _replies_forgotten() -> Iterator[None]:
    """Have a home agent look up no reply, and take an index that was used."""
    with ExitStack() as stack:
        stack.enter_context(_base_stays())
        stack.enter_context(patch.object(Replies, "get", lambda *_: None))
        stack.enter_context(patch.object(Replies, "answered", lambda *_: False))
        yield


@contextmanager
def _apart() -> Iterator[None]:
    """Have a home agent store its reply without what it leaves of the node."""
    unit = answer.Said.unit

    def without(self: answer.Said, digest: bytes) -> Unit:
        return tuple(op for op in unit(self, digest) if not _puts(op, NODE))

    with patch.object(answer.Said, "unit", without):
        yield


@contextmanager
def _heals_at_once() -> Iterator[None]:
    """Have a home agent forget the root of before as soon as it has accepted."""
    used = Credentials.used

    def healed(self: Credentials, index: int, root: Root, by: Root | None = None) -> Credentials:
        after = used(self, index, root, by)
        return after if by is None else evolve(after, root=by, healed=None)

    with patch.object(Credentials, "used", healed):
        yield


@contextmanager
def _keeps_what_is_over() -> Iterator[None]:
    with patch.object(Keeping, "_erase", lambda *_: None):
        yield


@contextmanager
def _no_fallback() -> Iterator[None]:
    with patch.object(Home, "fallback", property(lambda _: False)):
        yield


@contextmanager
def _in_the_clear() -> Iterator[None]:
    """Have nodes seal their identity with nothing."""
    with ExitStack() as stack:
        stack.enter_context(patch.object(request, "seal_identity", lambda _key, _hd, block: block + bytes(16)))
        stack.enter_context(patch.object(recognition, "open_identity", lambda _key, _hd, sealed: sealed[:-16]))
        yield


@contextmanager
def _telling_pseudonyms() -> Iterator[None]:
    """Have a home agent call nodes by their names where agents hear it."""

    def named(_self: Pseudonyms, node: KnownNode, *_more: object) -> bytes:
        return node.nai.partition("@")[0].encode().ljust(16)[:16]

    with patch.object(Pseudonyms, "give", named):
        yield


@contextmanager
def _showing_keys() -> Iterator[None]:
    shown = foreign_agent._shown

    def more(visitor: Any, now: Now) -> dict[str, Any]:
        return {**shown(visitor, now), "key": visitor.key2.secret.octets.hex()}

    with patch.object(foreign_agent, "_shown", more):
        yield


@contextmanager
def _key_by_position() -> Iterator[None]:
    """Have nodes take the agent's share of the keys for their own."""
    with patch.object(request, "key3", lambda prf, mix, _shared, *more: key1(prf, mix, mix, *more)):
        yield


@contextmanager
def _telling_nobody() -> Iterator[None]:
    """Have a home agent end what it has itself, and no more."""
    with patch.object(Revocations, "_at", lambda *_: None):
        yield


@contextmanager
def _behind_forgotten() -> Iterator[None]:
    """Have a home agent forget what a node has left behind at the agent where it registers again."""
    with patch.object(Revocations, "behind", lambda *_: ()):
        yield


@contextmanager
def _disabled_only() -> Iterator[None]:
    """Have a home agent keep the keys of who was revoked."""
    made = nodes.entered

    def entered(entry: NodeEntry, known: KnownNode | None, names: tuple[str, str]) -> KnownNode:
        if entry.revoked and known is not None:
            return evolve(known, serial=entry.serial, enabled=False)
        return made(entry, known, names)

    with patch.object(keeping, "entered", entered):
        yield


@contextmanager
def _answering_at_once() -> Iterator[None]:
    """Have agents answer before it is durable that a visitor is gone."""
    store = Revoking._store

    def at_once(self: Revoking, pending: Any, actions: list[Any]) -> None:
        actions.append(revoking._answer(pending.gone, pending.said, pending.digest, pending.path))
        store(self, pending, actions)

    with patch.object(Revoking, "_store", at_once):
        yield


@contextmanager
def _gone_in_memory_only() -> Iterator[None]:
    """Have agents end visitors in memory, and leave them in their stores."""
    end = Revoking._store

    def without(self: Revoking, pending: Any, actions: list[Any]) -> None:
        pending.unit = tuple(op for op in pending.unit if not isinstance(op, DeleteRecord))
        end(self, pending, actions)

    with patch.object(Revoking, "_store", without):
        yield


#: What a wrong program does, and what of the failure tells that it was seen.
BREAKING: Final[Mapping[str, tuple[Breaking, str]]] = {
    "a home agent that replies before it has stored": (_impatient("home"), "not durable"),
    "an agent that passes on before it has stored": (_impatient("agent"), "not stored"),
    "a node that asks before its index is durable": (_impatient("node"), "not durable as used"),
    "a center that gives keys away before it has stored": (_impatient("kdc"), "not durable"),
    "a node whose store forgets indices": (_forgetting(NODES_HOME), "not durable as used"),
    "a center whose store forgets keys": (_forgetting(ISSUED), "not durable"),
    "a home agent that does not move the base": (_base_stays, "without spending its index"),
    "a home agent that looks up no replies": (_replies_forgotten, "index"),
    "a home agent that stores reply and node apart": (_apart, "without spending its index"),
    "a home agent that heals at once": (_heals_at_once, "not done within"),
    "a node that keeps what is over": (_keeps_what_is_over, "of what is over"),
    "a node without the fallback": (_no_fallback, "not done within"),
    "a node that says who it is": (_in_the_clear, "identity"),
    "a home agent that tells agents who nodes are": (_telling_pseudonyms, "identity"),
    "an agent that shows its keys": (_showing_keys, "a key of"),
    "a home agent that tells no agents of ends": (_telling_nobody, "not done within"),
    "a home agent that forgets what nodes leave behind": (_behind_forgotten, "not done within"),
    "a home agent whose store forgets ends": (_forgetting(ENDED), "a revocation that is not durable"),
    "a home agent that keeps the keys of who was revoked": (_disabled_only, "not done within"),
    "an agent that answers before it has stored an end": (_answering_at_once, "still has stored"),
    "an agent that ends visitors in memory only": (_gone_in_memory_only, "still has stored"),
    "keys that are not the same at both ends": (_key_by_position, "is not the same at both ends"),
}
