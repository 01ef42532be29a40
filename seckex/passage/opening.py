"""How a hop is opened: OPEN, ACCEPT, and the first PROOF (docs/passages.md, section 4).

An OPEN proves that whoever made it had the key; it may be a copy, sent again by
somebody else. So a callee accepts it and then awaits a PROOF, which needs the
nonce of its ACCEPT. A REFUSE proves as much of the callee, save for a hint of
one that does not know the association.

Nothing can be skipped over: what is not awaited ends the hop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NoReturn

from attrs import field, frozen

from seckex.crypto.passage import (
    ProofKeys,
    accept_mac,
    admit_key,
    open_mac,
    proof_keys,
    refuse_mac,
    verify_accept,
    verify_open,
    verify_refuse,
)
from seckex.crypto.secrets import Secret
from seckex.errors import ApiMisuse, AuthenticationFailed, Malformed, UnsupportedVersion
from seckex.machine import Deliver, Now, Step, Transitions
from seckex.passage.faces import Admission, Admitted, End, Ending
from seckex.passage.times import Times
from seckex.wire.numbers import Code
from seckex.wire.passage import (
    ACCEPT_COVERED,
    NO_MAC,
    OPEN_COVERED,
    REFUSE_COVERED,
    AcceptFrame,
    OpenFrame,
    RefuseFrame,
    decode_accept,
    decode_open,
    decode_refuse,
    encode_accept,
    encode_open,
    encode_refuse,
)


@frozen
class Called:
    """The first 64 octets have come."""

    octets: bytes


@frozen
class Accepted:
    """An ACCEPT has come, whole."""

    octets: bytes


@frozen
class Refused:
    """A REFUSE has come, whole."""

    octets: bytes


@frozen
class Proved:
    """The caller's first PROOF has verified."""


@frozen
class Stopped:
    """The hop ends here."""

    ending: Ending


@frozen
class Ended:
    """The hop is over."""

    ending: Ending

    def receive(self, event: object, now: Now) -> NoReturn:  # noqa: ARG002  # the signature of all states
        """Refuse: nothing is awaited any more."""
        raise ApiMisuse("a hop that has ended awaits nothing")


@frozen
class Established:
    """What both ends know when ACCEPT is said: the ``opening`` is the OPEN, ``admit`` verifies and makes a REFUSE."""

    opening: bytes
    admit: Secret
    keys: ProofKeys

    def refusal(self, code: int) -> bytes:
        """Return a REFUSE, which stands in place of a frame."""
        return _refusal(self.admit, self.opening, code)


@frozen
class ExpectOpen:
    """At the callee: nothing is known of the caller yet.

    ``nonce`` is 16 fresh random octets, ``admitted`` finds what an SPI of ours stands for, ``verdict`` tells
    whether there is room for a passage of that.
    """

    nonce: bytes
    admitted: Callable[[int], Admitted | None] = field(repr=False)
    verdict: Callable[[Admitted], Code | None] = field(repr=False)
    times: Times = field(repr=False)

    def receive(self, event: Called | Stopped, now: Now) -> Step:
        """Accept an OPEN that verifies, is no copy and has room; refuse it otherwise, or close in silence."""
        if isinstance(event, Stopped):
            return Step(Ended(event.ending))
        octets = event.octets
        try:
            frame = decode_open(octets)
        except (Malformed, UnsupportedVersion) as error:
            return Step(Ended(Ending(End.FOREIGN, why=str(error))))
        admitted = self.admitted(frame.spi)
        if admitted is None or admitted.hop is not frame.hop:
            return _hinted(Code.UNKNOWN_ASSOCIATION, Ending(End.CLOSED, Code.UNKNOWN_ASSOCIATION))
        admit = admit_key(admitted.keys, frame.hop)
        try:
            verify_open(admit, octets)
        except AuthenticationFailed as error:
            return _hinted(Code.FAILED_AUTHENTICATION, Ending(End.FORGED, Code.FAILED_AUTHENTICATION, str(error)))
        code = self._objection(frame, admitted, now)
        if code is not None:
            return Step(Ended(Ending(End.CLOSED, code)), (Deliver(_refusal(admit, octets, code)),))
        accept = encode_accept(AcceptFrame(self.nonce))
        accept = accept[:ACCEPT_COVERED] + accept_mac(admit, octets, accept)
        established = Established(octets, admit, proof_keys(admit, octets, self.nonce))
        return Step(ExpectFirstProof(established, admitted), (Deliver(accept),))

    def _objection(self, frame: OpenFrame, admitted: Admitted, now: Now) -> Code | None:
        if now.wall > admitted.until:
            return Code.UNKNOWN_ASSOCIATION
        if not self.times.take(frame.spi, frame.time, admitted.until, now.wall):
            return Code.IDENTIFICATION_MISMATCH
        return self.verdict(admitted)


@frozen
class ExpectFirstProof:
    """At the callee, after ACCEPT: OPEN may have been a copy."""

    established: Established
    admitted: Admitted

    def receive(self, event: Proved | Stopped, now: Now) -> Step:  # noqa: ARG002  # the signature of all states
        """Carry, upon proof."""
        if isinstance(event, Stopped):
            return Step(Ended(event.ending))
        return Step(Carrying(self.established))


@frozen
class ExpectAccept:
    """At the caller, after its OPEN."""

    opening: bytes
    admit: Secret

    def receive(self, event: Accepted | Refused | Stopped, now: Now) -> Step:  # noqa: ARG002  # the signature of all states
        """Carry upon ACCEPT, end upon REFUSE, also one that is a hint, and upon what does not verify."""
        if isinstance(event, Stopped):
            return Step(Ended(event.ending))
        if isinstance(event, Refused):
            return Step(Ended(_refused(self.admit, self.opening, event.octets, hints=True)))
        try:
            verify_accept(self.admit, self.opening, event.octets)
        except AuthenticationFailed as error:
            return Step(Ended(Ending(End.FORGED, why=str(error))))
        keys = proof_keys(self.admit, self.opening, decode_accept(event.octets).nonce)
        return Step(Carrying(Established(self.opening, self.admit, keys)))


@frozen
class Carrying:
    """Both ends have proved their key; DATA and PROOFs go both ways, outside of these states."""

    established: Established

    def receive(self, event: Refused | Stopped, now: Now) -> Step:  # noqa: ARG002  # the signature of all states
        """End."""
        if isinstance(event, Stopped):
            return Step(Ended(event.ending))
        established = self.established
        return Step(Ended(_refused(established.admit, established.opening, event.octets, hints=False)))


TRANSITIONS: Final[Transitions] = {
    ExpectOpen: {
        Called: frozenset({ExpectFirstProof, Ended}),
        Stopped: frozenset({Ended}),
    },
    ExpectFirstProof: {
        Proved: frozenset({Carrying}),
        Stopped: frozenset({Ended}),
    },
    ExpectAccept: {
        Accepted: frozenset({Carrying, Ended}),
        Refused: frozenset({Ended}),
        Stopped: frozenset({Ended}),
    },
    Carrying: {
        Refused: frozenset({Ended}),
        Stopped: frozenset({Ended}),
    },
}


def begin(admission: Admission, nonce: bytes, now: Now) -> Step:
    """Return a caller's first step: its OPEN goes out; ``nonce`` is 16 fresh random octets."""
    admit = admit_key(admission.keys, admission.hop)
    opening = encode_open(OpenFrame(admission.hop, admission.spi, int(now.wall * 1_000_000), nonce))
    opening = opening[:OPEN_COVERED] + open_mac(admit, opening)
    return Step(ExpectAccept(opening, admit), (Deliver(opening),))


def _refused(admit: Secret, opening: bytes, octets: bytes, *, hints: bool) -> Ending:
    frame = decode_refuse(octets)
    hint = not any(frame.mac)
    if hint and hints:
        return Ending(End.REFUSED, frame.code, hint=True)
    try:
        verify_refuse(admit, opening, octets)
    except AuthenticationFailed as error:
        return Ending(End.FORGED, why=str(error))
    return Ending(End.REFUSED, frame.code)


def _refusal(admit: Secret, opening: bytes, code: int) -> bytes:
    octets = encode_refuse(RefuseFrame(code))
    return octets[:REFUSE_COVERED] + refuse_mac(admit, opening, octets)


def _hinted(code: Code, ending: Ending) -> Step:
    return Step(Ended(ending), (Deliver(encode_refuse(RefuseFrame(code, NO_MAC))),))
