"""Prekeys come to cards by a command."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from seckex.net.delivery.pairing import prekey_commands


class Vault:
    def told_prekeys(self, now: float) -> Sequence[bytes]:
        return (b"one", str(int(now)).encode())


class PairingTests(SynchronousTestCase):
    def test_ours_are_told_in_hexadecimal(self) -> None:
        answer = prekey_commands(Vault(), lambda: 7.0)["prekeys"]({})
        self.assertEqual(answer, {"schema": "seckex.prekeys/1", "prekeys": [b"one".hex(), b"7".hex()]})
