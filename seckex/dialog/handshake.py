"""How a link comes to its keys: HELLO and HELLO, then proof.

docs/protocol.md, section 10. A HELLO of the initiator proves that whoever made
it held the keys once; it may be a copy, sent again by somebody else. So the
responder answers it and then waits for a record under the keys that its own
salt is in; only that proves a peer that is there. An initiator therefore sends
a record at once.

Nothing here can be skipped over: octets that are not what a state awaits end
the link, since a stream cannot be followed past them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NoReturn

from attrs import field, frozen

from seckex.crypto.schedule import LinkKeys, RecordKey
from seckex.dialog.faces import Cause, Closure, LinkAssociation
from seckex.dialog.plain import open_record, seal_record
from seckex.errors import ApiMisuse, AuthenticationFailed, Malformed
from seckex.machine import Deliver, Now, Step, Transitions
from seckex.wire.dialog import Hello, Notice, Record, decode_hello, encode_hello, encode_notice, encode_record
from seckex.wire.numbers import Code, RecordType, Suite


@frozen
class Arrived:
    """A record has come, whole."""

    record: Record


@frozen
class Proved:
    """A record under the link's own keys has verified."""


@frozen
class Stopped:
    """The link ends here."""

    closure: Closure


@frozen
class Closed:
    """The link is over."""

    closure: Closure

    def receive(self, event: object, now: Now) -> NoReturn:  # noqa: ARG002  # the signature of all states
        """Refuse: nothing is awaited any more."""
        raise ApiMisuse("a closed link awaits nothing")


@frozen
class Established:
    """Both salts are known: what an open link works with.

    ``peer`` is what the other side's HELLO allows, ``salts`` are the initiator's and the responder's.
    """

    association: LinkAssociation
    keys: LinkKeys
    peer: Hello
    salts: tuple[bytes, bytes]


@frozen
class ExpectHelloOfInitiator:
    """At the responder: nothing is known of the peer yet."""

    salt: bytes
    limits: Hello
    find: Callable[[int], LinkAssociation | None] = field(repr=False)

    def receive(self, event: Arrived | Stopped, now: Now) -> Step:
        """Answer a HELLO that verifies; hint at an association that is not known; close upon anything else."""
        if isinstance(event, Stopped):
            return Step(Closed(event.closure))
        record = event.record
        if record.kind is not RecordType.HELLO or record.from_responder or record.counter:
            return _closed(Cause.MALFORMED, "the first record is not the HELLO of an initiator")
        association = self.find(record.spi)
        if association is None:
            hint = _hint(record.suite, now)
            return Step(Closed(Closure(Cause.UNKNOWN_ASSOCIATION, Code.UNKNOWN_ASSOCIATION)), (Deliver(hint),))
        schedule = association.schedule
        try:
            peer = decode_hello(open_record(record, schedule.hello_i(record.salt)))
        except AuthenticationFailed as error:
            return _closed(Cause.FORGED, f"HELLO of the initiator: {error}")
        except Malformed as error:
            return _closed(Cause.MALFORMED, str(error))
        answer = _hello(self.salt, association, self.limits, schedule.hello_r(record.salt, self.salt), True, now)
        salts = (record.salt, self.salt)
        established = Established(association, schedule.body(*salts), peer, salts)
        return Step(ExpectProof(established), (Deliver(answer),))


@frozen
class ExpectHelloOfResponder:
    """At the initiator, after its HELLO."""

    salt: bytes
    association: LinkAssociation

    def receive(self, event: Arrived | Stopped, now: Now) -> Step:  # noqa: ARG002  # the signature of all states
        """Open upon the HELLO of the responder; take a hint; close upon anything else."""
        if isinstance(event, Stopped):
            return Step(Closed(event.closure))
        record = event.record
        if not record.from_responder:
            return _closed(Cause.MALFORMED, "the record is not from a responder")
        if not record.sealed and record.body[:2] == Code.UNKNOWN_ASSOCIATION.to_bytes(2, "big"):
            return Step(Closed(Closure(Cause.UNKNOWN_ASSOCIATION, Code.UNKNOWN_ASSOCIATION)))
        if record.kind is not RecordType.HELLO or record.counter or record.spi != self.association.spi:
            return _closed(Cause.MALFORMED, "the first record is not the HELLO of this responder")
        schedule = self.association.schedule
        try:
            peer = decode_hello(open_record(record, schedule.hello_r(self.salt, record.salt)))
        except AuthenticationFailed as error:
            return _closed(Cause.FORGED, f"HELLO of the responder: {error}")
        except Malformed as error:
            return _closed(Cause.MALFORMED, str(error))
        salts = (self.salt, record.salt)
        return Step(Open(Established(self.association, schedule.body(*salts), peer, salts)))


@frozen
class ExpectProof:
    """At the responder, after both HELLOs: the initiator's may have been a copy."""

    established: Established

    def receive(self, event: Proved | Stopped, now: Now) -> Step:  # noqa: ARG002  # the signature of all states
        """Open upon proof."""
        if isinstance(event, Stopped):
            return Step(Closed(event.closure))
        return Step(Open(self.established))


@frozen
class Open:
    """Both sides have proved their keys; records go both ways, outside of these states."""

    established: Established

    def receive(self, event: Stopped, now: Now) -> Step:  # noqa: ARG002  # the signature of all states
        """Close."""
        return Step(Closed(event.closure))


TRANSITIONS: Final[Transitions] = {
    ExpectHelloOfInitiator: {
        Arrived: frozenset({ExpectProof, Closed}),
        Stopped: frozenset({Closed}),
    },
    ExpectHelloOfResponder: {
        Arrived: frozenset({Open, Closed}),
        Stopped: frozenset({Closed}),
    },
    ExpectProof: {
        Proved: frozenset({Open}),
        Stopped: frozenset({Closed}),
    },
    Open: {
        Stopped: frozenset({Closed}),
    },
}


def begin(salt: bytes, association: LinkAssociation, limits: Hello, now: Now) -> Step:
    """Return an initiator's first step: its HELLO goes out."""
    hello = _hello(salt, association, limits, association.schedule.hello_i(salt), False, now)
    return Step(ExpectHelloOfResponder(salt, association), (Deliver(hello),))


def _hello(
    salt: bytes, association: LinkAssociation, limits: Hello, key: RecordKey, from_responder: bool, now: Now
) -> bytes:
    record = Record(
        suite=association.schedule.suite,
        from_responder=from_responder,
        created=_microseconds(now),
        kind=RecordType.HELLO,
        body=encode_hello(limits),
        salt=salt,
        spi=association.spi,
    )
    return encode_record(seal_record(record, key))


def _hint(suite: Suite, now: Now) -> bytes:
    return encode_record(
        Record(
            suite=suite,
            from_responder=True,
            created=_microseconds(now),
            kind=RecordType.CLOSE,
            body=encode_notice(Notice(Code.UNKNOWN_ASSOCIATION)),
            sealed=False,
        )
    )


def _microseconds(now: Now) -> int:
    return int(now.wall * 1_000_000)


def _closed(cause: Cause, text: str) -> Step:
    return Step(Closed(Closure(cause, text=text)))
