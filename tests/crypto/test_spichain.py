"""Chains of one-time SPIs against the formulas of docs/registration.md, section 8, one index after the other."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from itertools import count, islice

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.secrets import Secret
from seckex.crypto.spichain import FARTHEST, LAST_INDEX, Chain, Window
from seckex.errors import ApiMisuse

START = Secret(bytes(range(32)))


def hm(key: bytes, label: str) -> bytes:
    return hmac.digest(key, label.encode(), "sha256")


def keys(start: bytes = START.octets) -> Iterator[tuple[bytes, bytes]]:
    """Yield c_i and e_{j+1} of each index."""
    epoch = start
    for index in count():
        if index % 256 == 0:
            key, epoch = hm(epoch, "chain"), hm(epoch, "epoch")
        else:
            key = hm(key, "next")
        yield key, epoch


def spi_of(key: bytes) -> int:
    spi = int.from_bytes(hm(key, "spi")[:4], "big")
    return spi if spi > 255 else spi + 256


class ChainTests(SynchronousTestCase):
    def test_section_8_across_epochs(self) -> None:
        chain = Chain.begin(START)
        for index, (key, epoch) in enumerate(islice(keys(), 800)):
            self.assertEqual(chain.octets(), index.to_bytes(4, "big") + key + epoch)
            self.assertEqual((chain.index, chain.spi), (index, spi_of(key)))
            chain = chain.after()

    @settings(max_examples=60, deadline=None)
    @given(st.integers(0, 600), st.integers(0, 600), st.integers(0, 600))
    def test_any_way_leads_to_the_same_place(self, first: int, second: int, third: int) -> None:
        chain = Chain.begin(START)
        self.assertEqual(chain.after(first).after(second).after(third), chain.after(first + second + third))

    def test_the_farthest_step(self) -> None:
        key, epoch = next(islice(keys(), FARTHEST + 6, None))
        self.assertEqual(Chain.begin(START).after(5).after(FARTHEST + 1).octets()[4:], key + epoch)
        self.assertRaises(ApiMisuse, Chain.begin(START).after, FARTHEST + 2)

    def test_there_is_no_way_back(self) -> None:
        self.assertRaises(ApiMisuse, Chain.begin(START).after(3).after, -1)

    def test_a_chain_holds_nothing_of_what_was_before_it(self) -> None:
        before: set[bytes] = {START.octets}
        for index, (key, epoch) in enumerate(islice(keys(), 520)):
            chain = Chain.begin(START).after(index)
            held = {value.octets for value in (chain._key, chain._next_epoch)}
            self.assertEqual(held & before, set())
            self.assertEqual(len(chain.octets()), 68)
            # The key of the next epoch is held until that has come; it says nothing of this one.
            before |= {key} if (index + 1) % 256 else {key, epoch}

    def test_spis_of_bundles_are_left_out(self) -> None:
        # Found by trying some ten million keys: their MACs begin with 38 and 206 in 32 bits.
        for number, raw in ((3_112_032, 38), (31_171_042, 206)):
            key = number.to_bytes(32, "big")
            self.assertEqual(hm(key, "spi")[:4], raw.to_bytes(4, "big"))
            self.assertEqual(Chain.from_octets(bytes(4) + key + bytes(32)).spi, raw + 256)

    def test_the_end(self) -> None:
        last = Chain.from_octets(b"\xff" * 4 + bytes(64))
        self.assertEqual(last.index, LAST_INDEX)
        self.assertRaises(ApiMisuse, last.after)
        self.assertEqual(last.after(0), last)

    def test_at_rest_and_back(self) -> None:
        chain = Chain.begin(START).after(300)
        self.assertEqual(Chain.from_octets(chain.octets()), chain)
        for octets in (b"", chain.octets()[1:], chain.octets() + b"\0"):
            self.assertRaises(ApiMisuse, Chain.from_octets, octets)
        self.assertRaises(ApiMisuse, Chain.begin, Secret(bytes(31)))

    def test_nothing_is_shown(self) -> None:
        chain = Chain.begin(START).after(7)
        self.assertEqual(repr(chain), "Chain(index=7)")
        self.assertEqual(repr(Window.of(chain)), "Window(chain=Chain(index=7))")


class WindowTests(SynchronousTestCase):
    def test_it_has_the_spis_of_eight_indices(self) -> None:
        window = Window.of(Chain.begin(START))
        self.assertEqual(window.spis, tuple(spi_of(key) for key, _ in islice(keys(), 8)))
        for base in (1, 2, 5, 5, 12, 250, 251, 256, 257, 1000, 1000 + FARTHEST + 1):
            window = window.advance(base)
            chain = Chain.begin(START).after(min(base, 1000)).after(max(0, base - 1000))
            self.assertEqual((window, window.base), (Window.of(chain), base))
        self.assertEqual(window.spis, tuple(spi_of(key) for key, _ in islice(keys(), base, base + 8)))

    def test_advancing_drops_the_key_of_what_was_used(self) -> None:
        window = Window.of(Chain.begin(START))
        for base in range(1, 300):
            used = window.chain._key.octets
            window = window.advance(base)
            held = {window.chain._key.octets, window._last._key.octets}
            self.assertNotIn(used, held | {window.chain._next_epoch.octets, window._last._next_epoch.octets})

    def test_which_indices_it_takes(self) -> None:
        window = Window.of(Chain.begin(START).after(10))
        taken = {0: False, 9: False, 10: True, 17: True, 18: True, 10 + FARTHEST: True, 11 + FARTHEST: False}
        self.assertEqual({index: window.takes(index) for index in taken}, taken)
        # What is taken can be advanced beyond.
        self.assertEqual(window.advance(11 + FARTHEST).base, 11 + FARTHEST)
        self.assertRaises(ApiMisuse, window.advance, 9)
        self.assertRaises(ApiMisuse, window.advance, 12 + FARTHEST)

    def test_it_grows_short_at_the_end(self) -> None:
        window = Window.of(evolve(Chain.begin(START), index=LAST_INDEX - 9))
        sizes = []
        while window.base < LAST_INDEX:
            self.assertTrue(window.takes(window.base))
            sizes.append(len(window.spis))
            window = window.advance(window.base + 1)
        self.assertEqual((sizes, len(window.spis)), ([8, 8, 8, 7, 6, 5, 4, 3, 2], 1))
        self.assertFalse(window.takes(LAST_INDEX))
