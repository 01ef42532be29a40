"""Pairing over a connection: who calls commits, both reveal, two people compare, both confirm.

    caller                          callee
    COMMIT       ----------------->
                 <-----------------  REVEAL
    REVEAL       ----------------->
             both show the code, and people compare
    CONFIRM      <---------------->  CONFIRM

The caller has fixed its nonce and card before it learns the callee's, and the
callee its own before the caller reveals, so neither, nor anybody between them,
can look for values that make the codes equal. The other side is stored when its
CONFIRM has come and our person has said yes, not before. No message is answered
twice; whatever is out of turn, or does not verify, is a fault that ends it.
"""

from __future__ import annotations

from enum import Enum

from seckex.crypto.identity import Identity
from seckex.crypto.pairing import (
    Acquaintance,
    check_commitment,
    check_confirmation,
    commitment,
    live_code,
    meet,
    pair_transcript,
    sign_confirmation,
)
from seckex.errors import ApiMisuse, PeerFault, PeerMisbehaved
from seckex.wire.numbers import Code
from seckex.wire.pairing import Commit, Confirm, Refuse, Reveal, decode_pairing, encode_pairing


class Awaiting(Enum):
    """What one side waits for."""

    COMMIT = "commit"
    REVEAL = "reveal"
    PEOPLE = "people"
    DONE = "done"


class Pairing:
    """One side; ``card`` is our own and ``nonce`` 32 fresh random octets. ``calls``: it is the caller.

    ``peer`` and ``code`` are there when the other side has revealed itself, and
    `paired` tells when ``peer`` may be stored.
    """

    def __init__(self, identity: Identity, card: bytes, nonce: bytes, *, calls: bool) -> None:
        self._identity = identity
        self._own = nonce, card
        self._calls = calls
        self._commitment = b""
        self._transcript = b""
        self._confirmed = self._heard = False
        self.awaits = Awaiting.REVEAL if calls else Awaiting.COMMIT
        self.peer: Acquaintance | None = None
        self.code = ""

    @property
    def paired(self) -> bool:
        """Whether both people have confirmed."""
        return self.awaits is Awaiting.DONE

    @property
    def decided(self) -> bool:
        """Whether our person has found the codes equal."""
        return self._confirmed

    def begin(self) -> bytes:
        """Return what is said first, nothing by the callee."""
        return encode_pairing(Commit(commitment(*self._own))) if self._calls else b""

    def receive(self, octets: bytes, now: float) -> bytes:
        """Take a message without its length and return what is said to it; ``now`` in wall-clock seconds.

        Raises `Malformed`, `BadCertificate`, `AuthenticationFailed` and `PeerFault`.
        """
        match decode_pairing(octets), self.awaits:
            case Commit(said), Awaiting.COMMIT:
                self._commitment = said
                self.awaits = Awaiting.REVEAL
                return encode_pairing(Reveal(*self._own))
            case Reveal(nonce, card), Awaiting.REVEAL:
                return self._revealed(nonce, card, now)
            case Confirm(signature), Awaiting.PEOPLE if not self._heard and self.peer is not None:
                check_confirmation(self.peer.voucher, signature, self._transcript, caller=not self._calls)
                self._heard = True
                self._settle()
                return b""
            case Refuse(), _:
                raise PeerFault(Code.PROHIBITED, "the other side has refused")
            case message, awaited:
                why = f"{type(message).__name__.upper()} where {awaited.value} is awaited"
                raise PeerMisbehaved(Code.PROTOCOL_ERROR, why)

    def _revealed(self, nonce: bytes, card: bytes, now: float) -> bytes:
        if not self._calls:
            check_commitment(self._commitment, nonce, card)
        self.peer = meet(card, self._identity.nai, now)
        sides = (self._own, (nonce, card)) if self._calls else ((nonce, card), self._own)
        self._transcript = pair_transcript(*sides)
        self.code = live_code(self._transcript)
        self.awaits = Awaiting.PEOPLE
        return encode_pairing(Reveal(*self._own)) if self._calls else b""

    def decide(self, *, equal: bool) -> bytes:
        """Return what is said when our person has compared the codes."""
        if self.awaits is not Awaiting.PEOPLE or self._confirmed:
            raise ApiMisuse("nobody was asked to compare codes")
        if not equal:
            return encode_pairing(Refuse())
        self._confirmed = True
        self._settle()
        return encode_pairing(Confirm(sign_confirmation(self._identity, self._transcript, caller=self._calls)))

    def _settle(self) -> None:
        if self._confirmed and self._heard:
            self.awaits = Awaiting.DONE
