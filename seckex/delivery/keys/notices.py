"""NOTICE, made and believed: headers are missing, or a dialog is refused. docs/messages.md, section 8.

What is missing is told in one way, whatever the reason: signed, where there is a certificate. Only where an association
vouches for the dialog and its KEK is held still, a MAC stands for the signature. Whoever has neither says nothing.
Nobody is told more than `RATE` times a second, by address, and of one dialog more than once a second.

A NOTICE is of the connection whose path is in its proof, so a copy is worth nothing on another.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from seckex.crypto.envelope import NO_PATH, mac_notice, sign_notice, verify_mac_notice, verify_notice
from seckex.crypto.identity import Voucher
from seckex.delivery.faces import Direction
from seckex.delivery.keys.faces import HeadersMissing, Refused, Vault
from seckex.delivery.keys.sources import Kek
from seckex.errors import AuthenticationFailed
from seckex.machine import Now
from seckex.wire.numbers import NoticeWhat
from seckex.wire.units import HASH_SIZE, NOTICE_MAC_SIZE, Notice, encode_unit, notice_unproven

#: Notices a second to one address.
RATE: Final = 16
#: Seconds between two notices of one dialog to one address.
PAUSE: Final = 1.0
#: Addresses, and dialogs at addresses, of which it is remembered when they were told; of more the first ones give way.
MOST_TOLD: Final = 4096


class Notices:
    """Makes notices as seldom as they may be; ``says`` is the direction of whoever does."""

    def __init__(self, vault: Vault, says: Direction) -> None:
        self._vault = vault
        self._says = says
        self._free_at: dict[Hashable, float] = {}

    def missing(
        self, refusal: HeadersMissing, size: int, kek: Kek | None, path: bytes, address: Hashable, now: Now
    ) -> bytes | None:
        """Return the unit that answers an envelope of ``size`` octets, None where nothing is said.

        ``kek`` is what is held of the dialog, if anything is.
        """
        said = Notice(NoticeWhat.MISSING, 0, refusal.dialog_id, refusal.digest)
        return self._said(said, size, kek, path, address, now)

    def refused(
        self, refusal: Refused, size: int, kek: Kek | None, path: bytes, address: Hashable, now: Now
    ) -> bytes | None:
        """Return the unit that refuses a dialog, likewise."""
        said = Notice(NoticeWhat.REFUSED, refusal.code, refusal.dialog_id, refusal.digest)
        return self._said(said, size, kek, path, address, now)

    def wanted(self, dialog_id: bytes, path: bytes, address: Hashable, now: Now) -> bytes | None:
        """Return the unit by which a target with something to say and no keys asks for all headers, likewise."""
        return self._said(Notice(NoticeWhat.MISSING, 0, dialog_id, bytes(HASH_SIZE)), None, None, path, address, now)

    def _said(
        self, notice: Notice, size: int | None, kek: Kek | None, path: bytes, address: Hashable, now: Now
    ) -> bytes | None:
        if path == NO_PATH:
            return None
        identity = self._vault.identity
        by_mac = kek is not None and kek.of_association
        if not by_mac and identity is None:
            return None
        if not self._may((address, notice.dialog_id), PAUSE, PAUSE, now.monotonic):
            return None
        # Half of them at once and half of them gained: in no second are there more.
        if not self._may(address, 2 / RATE, 1.0, now.monotonic):
            return None
        unproven = notice_unproven(notice)
        if kek is not None and by_mac:
            proof = mac_notice(kek.secret, self._says, path, unproven)
        elif identity is not None:
            proof = sign_notice(identity, path, unproven)
        octets = encode_unit(Notice(notice.what, notice.code, notice.dialog_id, notice.digest, proof))
        return octets if size is None or len(octets) <= size else None

    def _may(self, whom: Hashable, gain: float, depth: float, now: float) -> bool:
        """Take a token of a bucket that is full ``depth`` seconds after it was empty, if there is one."""
        full_at = max(self._free_at.pop(whom, now), now)
        enough = full_at + gain <= now + depth
        self._free_at[whom] = full_at + gain if enough else full_at
        if len(self._free_at) > MOST_TOLD:
            del self._free_at[next(iter(self._free_at))]
        return enough


def believed(notice: Notice, kek: Kek | None, voucher: Voucher | None, by: Direction, path: bytes) -> bool:
    """Tell whether a NOTICE of a dialog under ``kek`` is of its peer, who is ``by``, on the connection ``path``."""
    try:
        if len(notice.proof) == NOTICE_MAC_SIZE:
            if kek is None:
                return False
            verify_mac_notice(kek.secret, by, notice.proof, path, notice.unproven)
        elif voucher is None:
            return False
        else:
            verify_notice(voucher, notice.proof, path, notice.unproven)
    except AuthenticationFailed:
        return False
    return True
