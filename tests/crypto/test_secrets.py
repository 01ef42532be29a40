"""Secrets: none of the ways in which a value gets into a log, a file or a message shows one."""

from __future__ import annotations

import copy
import json
import pickle
import pprint
import traceback
from collections.abc import Callable
from typing import Any

import attrs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.authority import Key0
from seckex.crypto.groups.curves import X25519Share
from seckex.crypto.schedule import AgreedKeys, LinkSchedule, agree
from seckex.crypto.secrets import KEY0_SIZE, Secret, equal
from seckex.errors import ApiMisuse, SeckexError
from seckex.wire.numbers import PRF_HMAC_SHA2_256, Suite

KEY = b"hidden secret of 32 octets 12345"
NAMES = ("a@example.org", "b@example.org")

# How KEY would look in whatever shows octets, and a part of it in whatever cuts them.
TRACES = (b"hidden secret".decode(), KEY.hex(), KEY[:8].hex(), str(list(KEY[:4]))[1:-1])


def shown_in(text: str) -> list[str]:
    """Return which traces of the key a text shows."""
    return [trace for trace in TRACES if trace in text.lower()]


def keys() -> AgreedKeys:
    """Return keys that come from a secret which the test knows."""
    return AgreedKeys(PRF_HMAC_SHA2_256, Secret(KEY), b"context")


class SecretTests(SynchronousTestCase):
    def test_the_one_way_to_the_octets(self) -> None:
        self.assertEqual(Secret(KEY).octets, KEY)
        self.assertEqual(len(Secret(KEY)), KEY0_SIZE)

    def test_no_text_shows_it(self) -> None:
        secret = Secret(KEY)
        self.assertEqual(repr(secret), "<Secret of 32 octets>")
        for text in (
            str(secret),
            repr([secret]),
            f"{secret}",
            f"{secret!r:>60}",
            f"{secret:>60}",
            f"{secret!s}",
            "%s %r" % (secret, secret),  # noqa: UP031  # the old way of formatting is one of the ways
            "{0} {0:x} {0!r}".format(secret),  # noqa: UP032  # so is this one
            pprint.pformat({"key": secret}),
            ascii(secret),
        ):
            self.assertEqual(shown_in(text), [], text)
            self.assertIn("<Secret of 32 octets>", text)

    def test_a_subclass_says_its_own_name(self) -> None:
        class RootSecret(Secret):
            __slots__ = ()

        self.assertEqual(repr(RootSecret(KEY)), "<RootSecret of 32 octets>")

    def test_it_is_not_pickled_and_not_copied(self) -> None:
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            self.assertRaises(ApiMisuse, pickle.dumps, Secret(KEY), protocol)
        self.assertRaises(ApiMisuse, copy.copy, Secret(KEY))
        self.assertRaises(ApiMisuse, copy.deepcopy, {"key": [Secret(KEY)]})

    def test_it_is_neither_octets_nor_a_sequence_nor_a_number(self) -> None:
        secret: Any = Secret(KEY)
        ways: tuple[Callable[[Any], object], ...] = (bytes, bytearray, memoryview, list, iter, int, json.dumps, vars)
        for way in ways:
            fault = self.assertRaises(TypeError, way, secret)
            self.assertEqual(shown_in(str(fault)), [])

    def test_secrets_compare_with_secrets_only(self) -> None:
        self.assertEqual(Secret(KEY), Secret(bytes(KEY)))
        self.assertNotEqual(Secret(KEY), Secret(KEY[:-1] + b"6"))
        self.assertNotEqual(Secret(KEY), Secret(KEY[:-1]))
        self.assertNotEqual(Secret(KEY), KEY)
        self.assertNotEqual(KEY, Secret(KEY))

    def test_it_is_no_key_of_a_dictionary(self) -> None:
        self.assertRaises(TypeError, hash, Secret(KEY))
        self.assertRaises(TypeError, hash, keys())

    def test_octets_compare_in_constant_time(self) -> None:
        self.assertTrue(equal(KEY, bytes(KEY)))
        self.assertFalse(equal(KEY, KEY[:-1]))
        self.assertFalse(equal(KEY, KEY[:-1] + b"6"))
        self.assertFalse(equal(b"", KEY))
        self.assertTrue(equal(b"", b""))


class HolderTests(SynchronousTestCase):
    """What holds secrets shows no more than they do."""

    def holders(self) -> tuple[object, ...]:
        schedule = LinkSchedule(Suite.AES_256_GCM, PRF_HMAC_SHA2_256, Secret(KEY))
        link = schedule.body(b"\1" * 16, b"\2" * 16)
        return keys(), Key0(Secret(KEY), 0x100, 1, NAMES), schedule, link, link.initiator, X25519Share(KEY)

    def secrets_of(self, holder: object) -> list[bytes]:
        """All octets of 16 and more that can be reached from a holder, whatever they are called."""
        found: list[bytes] = []
        waiting, seen = [holder], set[int]()
        while waiting:
            one = waiting.pop()
            if id(one) in seen:
                continue
            seen.add(id(one))
            if isinstance(one, bytes):
                found.append(one)
            elif isinstance(one, dict):
                waiting.extend(one.values())
            elif isinstance(one, tuple):
                waiting.extend(one)
            elif type(one).__module__.startswith("seckex"):
                waiting.extend(getattr(one, name) for c in type(one).__mro__ for name in getattr(c, "__slots__", ()))
        return [octets for octets in found if len(octets) >= 16]

    def test_no_text_shows_them(self) -> None:
        for holder in self.holders():
            # X25519Share reaches its public value only: the private half is within the library.
            hidden = [] if isinstance(holder, X25519Share) else self.secrets_of(holder)
            self.assertEqual(bool(hidden), not isinstance(holder, X25519Share), holder)
            for text in (repr(holder), str(holder), f"{holder}", pprint.pformat([holder])):
                self.assertEqual(shown_in(text), [], text)
                for octets in hidden:
                    self.assertNotIn(octets.hex(), text)
                    self.assertNotIn(repr(octets)[2:-1], text)

    def test_they_say_what_they_are(self) -> None:
        key0 = Key0(Secret(KEY), 0x100, 7, NAMES)
        self.assertRegex(repr(key0), "^<Key0 'key0 0x00000100 kvno 7 check [0-9a-f]{8}'>$")
        self.assertEqual(
            repr(LinkSchedule(Suite.AES_128_GCM, PRF_HMAC_SHA2_256, Secret(KEY))), "<LinkSchedule AES_128_GCM>"
        )

    def test_none_is_pickled(self) -> None:
        for holder in self.holders():
            self.assertRaises((ApiMisuse, TypeError), pickle.dumps, holder)

    def test_taken_apart_they_still_hold_secrets(self) -> None:
        for text in (repr(attrs.asdict(keys())), repr(attrs.astuple(keys()))):
            self.assertEqual(shown_in(text), [])


class TracebackTests(SynchronousTestCase):
    """An error on the way of a secret is reported without it, in every form that a report can have."""

    def misuses(self) -> tuple[Callable[[], object], ...]:
        secret, held = Secret(KEY), keys()
        return (
            lambda: Key0(Secret(KEY[:-1]), 0x100, 1, NAMES),
            lambda: held.export(b"label", b"", 31),
            lambda: X25519Share(KEY).finish(bytes(32)),
            lambda: X25519Share(KEY).finish(b""),
            lambda: pickle.dumps(secret),
            lambda: copy.deepcopy(held),
            lambda: AgreedKeys.from_octets(held.octets()[:-1]),
            lambda: AgreedKeys.from_octets(b"\0\0" + held.octets()[2:]),
        )

    def test_no_report_shows_it(self) -> None:
        for misuse in self.misuses():
            try:
                misuse()
            except SeckexError as error:
                failure = Failure()
                reports = [
                    "".join(traceback.format_exception(error)),
                    repr(error),
                    str(error.args),
                    failure.getTraceback(),
                    failure.getBriefTraceback(),
                    failure.getTraceback(detail="verbose"),
                ]
            else:
                self.fail("a misuse that nobody minds")
            for report in reports:
                self.assertEqual(shown_in(report), [], report)

    def test_no_report_with_local_variables_shows_it(self) -> None:
        secret, held, transcript = Secret(KEY), keys(), b"T" * 48
        key0 = Key0(secret, 0x100, 1, NAMES)
        misuses: tuple[Callable[[], object], ...] = (
            lambda: Key0(Secret(KEY[:-1]), 0x100, 1, NAMES),
            lambda: held.export(b"label", b"", 31),
            lambda: agree(0, key0.mix, secret, transcript, NAMES, (256, 257)),
            lambda: LinkSchedule(Suite.AES_256_GCM, 0, secret),
        )
        for misuse in misuses:
            try:
                misuse()
            except (SeckexError, KeyError) as error:
                captured = traceback.TracebackException.from_exception(error, capture_locals=True)
            else:
                self.fail("a misuse that nobody minds")
            report = "".join(captured.format())
            self.assertIn("<Secret of 32 octets>", report)
            self.assertEqual(shown_in(report), [], report)
