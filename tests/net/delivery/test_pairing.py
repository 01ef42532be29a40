"""Prekeys come to cards by a command, and from cards to the vault."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from twisted.trial.unittest import SynchronousTestCase

from seckex.net.delivery.pairing import learn_cards, prekey_commands


class Vault:
    def __init__(self) -> None:
        self.learned: list[tuple[str, tuple[bytes, ...], float]] = []

    def told_prekeys(self, now: float) -> Sequence[bytes]:
        return (b"one", str(int(now)).encode())

    def learn_prekeys(self, peer: str, prekeys: Iterable[bytes], now: float) -> None:
        self.learned.append((peer, tuple(prekeys), now))


class PairingTests(SynchronousTestCase):
    def test_ours_are_told_in_hexadecimal(self) -> None:
        answer = prekey_commands(Vault(), lambda: 7.0)["prekeys"]({})
        self.assertEqual(answer, {"schema": "seckex.prekeys/1", "prekeys": [b"one".hex(), b"7".hex()]})

    def test_those_of_cards_are_taken(self) -> None:
        vault = Vault()
        learn_cards(vault, {"a@b": (b"x", b"y"), "c@d": ()}, 5.0)
        self.assertEqual(vault.learned, [("a@b", (b"x", b"y"), 5.0)])
