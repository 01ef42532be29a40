"""Single values: what is read, what is refused and what would have been right."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.config.problems import Unfit, key_path, nearest, shown
from seckex.config.values import (
    NAI,
    SERVICE,
    Octets,
    OneOf,
    Seconds,
    Several,
    Whole,
    duration,
    is_host,
    size,
)

ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers()), st.just({})
)


class NumberTests(SynchronousTestCase):
    def test_bounds_are_allowed(self) -> None:
        self.assertEqual(Whole(1, 9).read(1), 1)
        self.assertEqual(Whole(1, 9).read(9), 9)

    def test_nothing_is_converted(self) -> None:
        for raw in (0, 10, "5", 5.0, True, None, [5]):
            with self.assertRaises(Unfit) as caught:
                Whole(1, 9).read(raw)
            self.assertEqual(str(caught.exception), "must be a whole number from 1 to 9")

    def test_durations(self) -> None:
        reader = Seconds(1, 7 * 86400)
        for raw, seconds in ((90, 90), ("90s", 90), ("5m", 300), ("8 h", 28800), ("7d", 604800)):
            self.assertEqual(reader.read(raw), seconds)
        wrong: tuple[object, ...] = (0, "0s", "8d", "8", "h", "-1s", "1.5h", "1 hour", "8H", "5  m", True, "")
        for bad in wrong:
            self.assertRaises(Unfit, reader.read, bad)

    def test_sizes(self) -> None:
        reader = Octets(2**20, 2**40, step=2**20, unbounded=True)
        for raw, octets in ((0, 0), (2**21, 2**21), ("64 GiB", 2**36), ("1MiB", 2**20), ("1024 KiB", 2**20)):
            self.assertEqual(reader.read(raw), octets)
        wrong: tuple[object, ...] = (1, "1025 KiB", "2 TiB", "1 GB", "1 gib", 1.0, False)
        for bad in wrong:
            self.assertRaises(Unfit, reader.read, bad)
        self.assertRaises(Unfit, Octets(1, 9).read, 0)

    @given(st.integers(1, 30 * 86400), st.integers(1, 2**50))
    @settings(max_examples=50, deadline=None)
    def test_what_is_shown_can_be_read_again(self, seconds: int, octets: int) -> None:
        self.assertEqual(Seconds(1, 30 * 86400).read(duration(seconds)), seconds)
        self.assertEqual(Octets(1, 2**50).read(size(octets)), octets)

    def test_limits_are_told_in_units(self) -> None:
        self.assertIn('from "1m" to "8h"', Seconds(60, 28800).expected)
        self.assertIn('from "64 KiB" to "1 GiB"', Octets(2**16, 2**30).expected)
        self.assertEqual(duration(0), "0s")

    @given(ANYTHING)
    @settings(max_examples=100, deadline=None)
    def test_whatever_stands_there_is_read_or_refused(self, raw: object) -> None:
        for reader in (Whole(1, 9), Seconds(1, 9), Octets(1, 9), OneOf(("a", "b")), NAI, SERVICE):
            try:
                reader.read(raw)
            except Unfit as error:
                self.assertLess(len(shown(error.found)), 60)


class NameTests(SynchronousTestCase):
    def test_network_access_identifiers(self) -> None:
        for nai in ("node@example.net", "a.b+c@x", "tëst@exämple.org", "n@" + "a" * 251):
            self.assertEqual(NAI.read(nai), nai)
        for raw in (
            "node",
            "@example.net",
            "node@",
            "a@b@c",
            "a b@c",
            "a\n@c",
            "a@b..c",
            "a@-b",
            "n@" + "a" * 252,
            "a@b\u200b",
            7,
        ):
            self.assertRaises(Unfit, NAI.read, raw)

    def test_hosts(self) -> None:
        for host in (
            "127.0.0.1",
            "::1",
            "fe80::1%eth0",
            "example.org",
            "example.org.",
            "a-b",
            "xn--e1afmkfd",
            "_srv.x",
        ):
            self.assertTrue(is_host(host), host)
        for host in ("", "127.0.0.256", "[::1]", "a b", "-a.b", "a..b", "host:80", "a" * 64, ".".join(["a" * 60] * 5)):
            self.assertFalse(is_host(host), host)

    def test_services(self) -> None:
        self.assertEqual(SERVICE.read("web mail"), "web mail")
        for raw in ("", "a\tb", "é" * 128, 1):
            self.assertRaises(Unfit, SERVICE.read, raw)

    def test_a_misspelt_word_gets_a_suggestion(self) -> None:
        with self.assertRaises(Unfit) as caught:
            OneOf(("human", "json")).read("jsn")
        self.assertEqual(caught.exception.hint, 'did you mean "json"?')
        self.assertEqual(nearest("clock_window", ["clock-window", "links"]), 'did you mean "clock-window"?')
        self.assertEqual(nearest("zzz", ["links"]), "")

    def test_lists_have_bounds(self) -> None:
        Several(1, 2).check([1])
        for raw in ([], [1, 2, 3], "ab", {"a": 1}, None):
            self.assertRaises(Unfit, Several(1, 2).check, raw)


class ShownTests(SynchronousTestCase):
    def test_a_message_stays_one_short_line(self) -> None:
        self.assertEqual(shown("a\x1b[31m\n"), '"a\\u001b[31m\\n"')
        self.assertEqual(len(shown("x" * 1000)), 48)
        self.assertEqual([shown(True), shown(7), shown([1]), shown({})], ["true", "7", "a list of 1", "a table"])

    def test_keys_are_quoted_where_toml_would(self) -> None:
        self.assertEqual(key_path("", "half-open"), "half-open")
        self.assertEqual(key_path("services", "a.b"), 'services."a.b"')
