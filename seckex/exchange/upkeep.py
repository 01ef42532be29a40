"""What is said under an association: whether it is there, and that it is gone.

PROBE asks whether the peer is alive and holds the association, PRESENT says so;
DELETE tells that the sender has forgotten it and why, DELETED that this was
heard (docs/protocol.md, section 9). All four are authenticated by the keys of the association and
carry no secret. A copy of a PROBE is answered again, a copy of a DELETE finds
nothing to delete: neither needs a replay record, since an answer counts only
for whoever asked with its Identification.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from attrs import evolve, frozen

from seckex.crypto.secrets import equal
from seckex.errors import AuthenticationFailed
from seckex.exchange.attempt import Answer, Attempt, OtherVersions, Retry, Unknown
from seckex.exchange.messages import Received
from seckex.exchange.terms import Terms
from seckex.machine import (
    Deliver,
    Now,
    Path,
    PersistConflict,
    Persisted,
    PersistFailed,
    Send,
    Step,
    Tick,
    Transitions,
)
from seckex.sa.association import Association
from seckex.wire.extensions import Detail, Extension, clipped, encode_authenticator_start
from seckex.wire.general import Header, encode_message
from seckex.wire.numbers import Kind, Role

FIRST_WAIT: Final = 0.5
GIVE_UP: Final = 10.0

_LABELS: Final[Mapping[Kind, bytes]] = {
    Kind.PROBE: b"seckex1 probe",
    Kind.PRESENT: b"seckex1 present",
    Kind.DELETE: b"seckex1 delete",
    Kind.DELETED: b"seckex1 deleted",
}
_ANSWERS: Final[Mapping[Kind, Kind]] = {Kind.PROBE: Kind.PRESENT, Kind.DELETE: Kind.DELETED}


def _build(
    kind: Kind, association: Association, spi: int, identification: int, extensions: tuple[Extension, ...] = ()
) -> bytes:
    header = Header(kind, kind in _ANSWERS.values(), identification, spi)
    octets = encode_message(header, extensions)
    octets += encode_authenticator_start(spi, association.keys.hash.size)
    return octets + association.keys.confirm(association.role, _LABELS[kind], association.transcript, octets)


def answer(received: Received, association: Association) -> bytes:
    """Return PRESENT or DELETED, which are no longer than what they answer."""
    header = received.header
    return _build(_ANSWERS[header.kind], association, header.spi, header.identification)


def verify(received: Received, association: Association) -> None:
    """Verify that the peer of ``association`` said this under it; raises `AuthenticationFailed`."""
    header = received.header
    label = _LABELS.get(header.kind)
    if label is not None:
        theirs = Role.RESPONDER if association.role is Role.INITIATOR else Role.INITIATOR
        mac = association.keys.confirm(theirs, label, association.transcript, received.signed)
        if equal(received.mac, mac):
            return
    raise AuthenticationFailed(f"the MAC of {header.kind.name} does not verify")


@frozen
class Answered:
    """The peer has answered."""

    association: Association
    kind: Kind


@frozen
class Unanswered:
    """The peer has not answered, or an ``unknown`` association was hinted at by somebody."""

    association: Association
    kind: Kind
    unknown: bool


@frozen
class Finished:
    """The end; late copies of answers are let pass."""

    def receive(self, _event: Answer | Unknown | OtherVersions | Tick, _now: Now) -> Step:
        """Stay."""
        return Step(self)


@frozen
class ExpectAnswer:
    """Has sent PROBE or DELETE, whichever ``kind`` is; awaits the answer to it."""

    attempt: Attempt
    retry: Retry
    identification: int
    association: Association
    kind: Kind

    def receive(self, event: Answer | Unknown | OtherVersions | Tick, now: Now) -> Step:
        """See `TRANSITIONS`; raises `AuthenticationFailed` and stays."""
        match event:
            case Answer(received):
                verify(received, self.association)
                if received.header.kind is not _ANSWERS[self.kind]:
                    raise AuthenticationFailed(f"{received.header.kind.name} does not answer {self.kind.name}")
                return Step(Finished(), (Deliver(Answered(self.association, self.kind)),))
            case Unknown():
                return self._unanswered(unknown=True)
            case Tick() if now.monotonic >= self.attempt.give_up:
                return self._unanswered(unknown=False)
            case Tick():
                retry, actions = self.retry.again(self.attempt, now)
                return Step(evolve(self, retry=retry), actions)
        return Step(self)

    def _unanswered(self, *, unknown: bool) -> Step:
        return Step(Finished(), (Deliver(Unanswered(self.association, self.kind, unknown)),))


def probe(terms: Terms, path: Path, association: Association, now: Now) -> Step:
    """Ask whether the peer is there and holds the association."""
    return _ask(Kind.PROBE, terms, path, association, (), now)


def delete(terms: Terms, path: Path, association: Association, code: int, why: str, now: Now) -> Step:
    """Tell that the association is gone here."""
    return _ask(Kind.DELETE, terms, path, association, (Detail(code, 0, 0, clipped(why)),), now)


def _ask(
    kind: Kind, terms: Terms, path: Path, association: Association, extensions: tuple[Extension, ...], now: Now
) -> Step:
    attempt = Attempt(terms, path, association.spi_in, now.monotonic + GIVE_UP)
    identification = attempt.identification(now)
    octets = _build(kind, association, association.spi_out, identification, extensions)
    retry, actions = Retry(octets, 0, FIRST_WAIT).again(attempt, now)
    return Step(ExpectAnswer(attempt, retry, identification, association, kind), actions)


@frozen
class ExpectForgotten:
    """Was told of a deletion; awaits its being durable, so that DELETED means what it says."""

    then: Send

    def receive(self, event: Persisted | PersistConflict | PersistFailed, _now: Now) -> Step:
        """See `TRANSITIONS`; where it could not be stored the peer asks again."""
        return Step(Finished(), (self.then,) if isinstance(event, Persisted) else ())


UpkeepState: TypeAlias = ExpectAnswer | ExpectForgotten | Finished

TRANSITIONS: Final[Transitions] = {
    ExpectAnswer: {
        Answer: frozenset({Finished}),
        Unknown: frozenset({Finished}),
        OtherVersions: frozenset({ExpectAnswer}),
        Tick: frozenset({ExpectAnswer, Finished}),
    },
    ExpectForgotten: {
        Persisted: frozenset({Finished}),
        PersistConflict: frozenset({Finished}),
        PersistFailed: frozenset({Finished}),
    },
    Finished: {
        Answer: frozenset({Finished}),
        Unknown: frozenset({Finished}),
        OtherVersions: frozenset({Finished}),
        Tick: frozenset({Finished}),
    },
}
