"""NOTICE, made and believed: headers are missing, or a dialog is refused. docs/messages.md, section 8.

What is missing is told in one way, whatever the reason: signed, where there is a certificate. Only where an association
vouches for the dialog and its KEK is held still, a MAC stands for the signature. Whoever has neither says nothing.
Nobody is told more than `RATE` times a second, by address, and of one dialog more than once a second.

A NOTICE is of the connection whose path is in its proof, so a copy is worth nothing on another.
"""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import suppress
from typing import Final, TypeAlias

from seckex.crypto.envelope import NO_PATH, mac_notice, sign_notice, verify_mac_notice, verify_notice
from seckex.crypto.identity import Voucher
from seckex.delivery.faces import Direction
from seckex.delivery.keys.accepting import Accepting
from seckex.delivery.keys.faces import Refused, Vault
from seckex.delivery.keys.initiating import Initiating
from seckex.errors import AuthenticationFailed
from seckex.machine import Now
from seckex.wire.numbers import NoticeWhat
from seckex.wire.units import HASH_SIZE, NOTICE_MAC_SIZE, Notice, encode_unit, notice_unproven

Keys: TypeAlias = Initiating | Accepting

#: Notices a second to one address.
RATE: Final = 16
#: Seconds between two notices of one dialog to one address.
PAUSE: Final = 1.0
#: Addresses, and dialogs at addresses, of which it is remembered when they were told; of more the first ones give way.
MOST_TOLD: Final = 4096


class Notices:
    """See the module."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._free_at: dict[Hashable, float] = {}

    def missing(
        self,
        dialog_id: bytes,
        digest: bytes,
        path: bytes,
        now: Now,
        *,
        keys: Keys | None = None,
        size: int | None = None,
        address: Hashable = None,
    ) -> bytes | None:
        """Return the unit that says that headers are missing, None where nothing is said.

        ``digest`` names the envelope of ``size`` octets that is answered; where none is, and a target asks because it
        has something to say, it is empty. ``keys`` are what is held of the dialog, ``address`` whom it is said to,
        the connection itself if that is all that is known.
        """
        said = Notice(NoticeWhat.MISSING, 0, dialog_id, digest or bytes(HASH_SIZE))
        return self._said(said, keys, path, address, size, now)

    def refused(
        self,
        refusal: Refused,
        path: bytes,
        now: Now,
        *,
        keys: Keys | None = None,
        size: int | None = None,
        address: Hashable = None,
    ) -> bytes | None:
        """Return the unit that refuses a dialog, likewise."""
        said = Notice(NoticeWhat.REFUSED, refusal.code, refusal.dialog_id, refusal.digest or bytes(HASH_SIZE))
        return self._said(said, keys, path, address, size, now)

    def _said(
        self, notice: Notice, keys: Keys | None, path: bytes, address: Hashable, size: int | None, now: Now
    ) -> bytes | None:
        whom = path if address is None else address
        unproven, kek = notice_unproven(notice), None if keys is None else keys.kek
        by_mac = kek is not None and kek.of_association
        if path == NO_PATH or not (by_mac or self._vault.identity) or not self._may_say(whom, notice.dialog_id, now):
            return None
        proof = b""
        if kek is not None and by_mac:
            proof = mac_notice(kek.secret, _direction(keys), path, unproven)
        elif self._vault.identity is not None:
            proof = sign_notice(self._vault.identity, path, unproven)
        octets = encode_unit(Notice(notice.what, notice.code, notice.dialog_id, notice.digest, proof))
        return octets if size is None or len(octets) <= size else None

    def _may_say(self, whom: Hashable, dialog_id: bytes, now: Now) -> bool:
        if not self._may((whom, dialog_id), PAUSE, PAUSE, now.monotonic):
            return False
        # Half of them at once and half of them gained: in no second are there more.
        return self._may(whom, 2 / RATE, 1.0, now.monotonic)

    def _may(self, whom: Hashable, gain: float, depth: float, now: float) -> bool:
        """Take a token of a bucket that is full ``depth`` seconds after it was empty, if there is one."""
        full_at = max(self._free_at.pop(whom, now), now)
        enough = full_at + gain <= now + depth
        self._free_at[whom] = full_at + gain if enough else full_at
        if len(self._free_at) > MOST_TOLD:
            del self._free_at[next(iter(self._free_at))]
        return enough

    def believe(self, notice: Notice, keys: Keys | None, path: bytes, now: Now) -> None:
        """Raise `AuthenticationFailed` unless a NOTICE is of the peer of the dialog of ``keys``, on this connection."""
        kek = None if keys is None else keys.kek
        if keys is None or kek is None:
            raise AuthenticationFailed("a NOTICE of a dialog that has no keys")
        if len(notice.proof) == NOTICE_MAC_SIZE:
            verify_mac_notice(kek.secret, 1 - _direction(keys), notice.proof, path, notice.unproven)
            return
        found = [each for each in (keys.voucher(now), self._told(keys, now)) if each is not None]
        if not found:
            raise AuthenticationFailed("a NOTICE is signed where nobody could")
        for voucher in found[:-1]:
            with suppress(AuthenticationFailed):
                verify_notice(voucher, notice.proof, path, notice.unproven)
                return
        verify_notice(found[-1], notice.proof, path, notice.unproven)

    def _told(self, keys: Keys, now: Now) -> Voucher | None:
        """Return what vouches for the target by the prekeys that it told last, perhaps of another certificate."""
        if not isinstance(keys, Initiating):
            return None
        prekey = self._vault.prekey(keys.terms.peer, now.wall)
        return None if prekey is None else prekey.voucher


def _direction(keys: Keys | None) -> Direction:
    """Return the direction of this end: out where the dialog began here."""
    return Direction.OUT if isinstance(keys, Initiating) else Direction.BACK
