"""The key schedule against the formulas of docs/protocol.md, written down a second time with the standard library."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any, Final

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.authority import Key0
from seckex.crypto.schedule import PRF_HASHES, AgreedKeys, LinkSchedule, RecordKey, agree, lp
from seckex.crypto.secrets import Secret
from seckex.crypto.suites import KEY_SIZES, Hash
from seckex.errors import ApiMisuse
from seckex.wire.numbers import PRF_HMAC_SHA2_256, PRF_HMAC_SHA2_384, Role, SaContent, Suite
from tests.crypto.plain import expand, extract, prefixed, u32

KEY: Final = bytes(range(32))
NAMES: Final = ("zoë@example.org", "alice@example.org")
T: Final = hashlib.sha384(b"a transcript").digest()
FIELDS: Final = ("confirm_i", "confirm_r", "auth_i", "auth_r", "dialog", "exporter", "rekey")


def key0_of(key: bytes, kvno: int, names: tuple[str, str]) -> dict[str, bytes]:
    """Section 1."""
    lower, higher = sorted(name.encode() for name in names)
    context = prefixed(lower) + prefixed(higher) + u32(kvno)
    prk0 = extract("sha256", b"seckex1 key 0", key)
    auth = expand("sha256", prk0, b"seckex1 key0 authentication" + context, 32)
    return {
        "auth_i": expand("sha256", auth, b"seckex1 initiator", 32),
        "auth_r": expand("sha256", auth, b"seckex1 responder", 32),
        "identity": expand("sha256", prk0, b"seckex1 key0 identity" + context, 32),
        "mix": expand("sha256", prk0, b"seckex1 key0 mix" + context, 32),
    }


def agreed_of(
    name: str,
    mix: bytes,
    dh: bytes,
    transcript: bytes,
    names: tuple[str, str],
    spis: tuple[int, int],
    content: int = 7,
) -> dict[str, bytes]:
    """Section 7."""
    size = hashlib.new(name).digest_size
    prk = extract(name, transcript, prefixed(mix) + prefixed(dh))
    context = bytes([content]) + prefixed(names[0].encode()) + prefixed(names[1].encode()) + u32(spis[0]) + u32(spis[1])
    return {
        field: expand(name, prk, b"seckex1 " + field.replace("_", " ").encode() + context, size) for field in FIELDS
    }


class Key0Tests(SynchronousTestCase):
    def test_section_1(self) -> None:
        key0, keys = Key0(Secret(KEY), 0x100, 3, NAMES), key0_of(KEY, 3, NAMES)
        for role, name in ((Role.INITIATOR, "auth_i"), (Role.RESPONDER, "auth_r")):
            mac = hmac.digest(keys[name], b"seckex1 offer" + T, "sha256")
            self.assertEqual(key0.authenticate(role, b"seckex1 offer", T), mac)
        self.assertEqual(key0.mix, Secret(keys["mix"]))

    def test_the_key_of_sealed_extensions_section_4(self) -> None:
        key0, identity = Key0(Secret(KEY), 0x100, 3, NAMES), key0_of(KEY, 3, NAMES)["identity"]
        identification, nonce = 0x0102030405060708, b"N" * 32
        for role in Role:
            prk = extract("sha256", identification.to_bytes(8, "big") + nonce, identity)
            key = expand("sha256", prk, b"seckex1 extensions" + bytes([role]), 32)
            self.assertEqual(key0.extension_key(role, identification, nonce), key)

    def test_names_go_in_by_the_order_of_their_octets(self) -> None:
        one, other = Key0(Secret(KEY), 0x100, 3, NAMES), Key0(Secret(KEY), 0x100, 3, NAMES[::-1])
        self.assertEqual(one.mix, other.mix)
        for role in Role:
            self.assertEqual(one.authenticate(role, b"label", T), other.authenticate(role, b"label", T))
            self.assertEqual(one.extension_key(role, 1, b"N" * 32), other.extension_key(role, 1, b"N" * 32))

    def test_names_cannot_run_into_each_other(self) -> None:
        one = Key0(Secret(KEY), 0x100, 3, ("a@x", "b@xy"))
        self.assertNotEqual(one.mix, Key0(Secret(KEY), 0x100, 3, ("a@xb", "@xy")).mix)

    def test_any_other_size_is_refused(self) -> None:
        for size in (0, 16, 31, 33, 64):
            self.assertRaises(ApiMisuse, Key0, Secret(bytes(size)), 0x100, 1, NAMES)

    def test_every_key_changes_with_every_input(self) -> None:
        inputs: dict[str, Any] = {"key": Secret(KEY), "spi": 0x100, "kvno": 3, "names": NAMES}
        changes: tuple[tuple[str, object], ...] = (
            ("key", Secret(KEY[:-1] + b"\0")),
            ("key", Secret(b"\1" + KEY[1:])),
            ("kvno", 4),
            ("kvno", 3 << 24),
            ("names", (NAMES[0], "alicf@example.org")),
            ("names", ("zoe@example.org", NAMES[1])),
        )
        before = self.all_of(Key0(**inputs))
        for name, value in changes:
            after = self.all_of(Key0(**{**inputs, name: value}))
            self.assertTrue(all(before[key] != after[key] for key in before), f"{name} = {value!r}")

    def all_of(self, key0: Key0) -> dict[str, bytes]:
        return {
            "mix": key0.mix.octets,
            "auth_i": key0.authenticate(Role.INITIATOR, b"label", T),
            "auth_r": key0.authenticate(Role.RESPONDER, b"label", T),
            "extensions_i": key0.extension_key(Role.INITIATOR, 1, b"N" * 32),
            "extensions_r": key0.extension_key(Role.RESPONDER, 1, b"N" * 32),
        }

    def test_one_role_cannot_be_reflected_as_the_other(self) -> None:
        keys = self.all_of(Key0(Secret(KEY), 0x100, 3, NAMES))
        self.assertEqual(len(set(keys.values())), len(keys))

    def test_an_authenticator_covers_label_and_transcript(self) -> None:
        key0 = Key0(Secret(KEY), 0x100, 3, NAMES)
        mac = key0.authenticate(Role.INITIATOR, b"seckex1 offer", T)
        self.assertNotEqual(mac, key0.authenticate(Role.INITIATOR, b"seckex1 abandon", T))
        self.assertNotEqual(mac, key0.authenticate(Role.INITIATOR, b"seckex1 offer", T[:-1] + b"\0"))

    def test_a_key_of_extensions_serves_one_message_of_one_role(self) -> None:
        key0 = Key0(Secret(KEY), 0x100, 3, NAMES)
        keys = {
            key0.extension_key(role, identification, nonce)
            for role in Role
            for identification in (0, 1, 1 << 63)
            for nonce in (bytes(32), b"\1" + bytes(31), bytes(31) + b"\1")
        }
        self.assertEqual(len(keys), 18)


class AgreedKeysTests(SynchronousTestCase):
    inputs: Mapping[str, Any] = {
        "prf": PRF_HMAC_SHA2_256,
        "mix": Secret(b"m" * 32),
        "shared": Secret(b"s" * 32),
        "transcript": T,
        "names": NAMES,
        "spis": (0x1234, 0x5678),
        "content": SaContent.PRINCIPALS,
    }

    def all_of(self, keys: AgreedKeys) -> dict[str, bytes]:
        return {name: getattr(keys, name).octets for name in FIELDS}

    def test_section_7(self) -> None:
        for prf, name in ((PRF_HMAC_SHA2_256, "sha256"), (PRF_HMAC_SHA2_384, "sha384")):
            keys = agree(**{**self.inputs, "prf": prf})
            self.assertEqual(self.all_of(keys), agreed_of(name, b"m" * 32, b"s" * 32, T, NAMES, (0x1234, 0x5678)))
            self.assertEqual((keys.prf, keys.hash.name), (prf, name))
            self.assertEqual({len(octets) for octets in self.all_of(keys).values()}, {keys.hash.size})

    def test_without_a_key_agreement_there_is_nothing_in_its_place(self) -> None:
        keys = agree(**{**self.inputs, "shared": Secret(b"")})
        self.assertEqual(self.all_of(keys), agreed_of("sha256", b"m" * 32, b"", T, NAMES, (0x1234, 0x5678)))

    def test_every_key_is_another(self) -> None:
        keys = self.all_of(agree(**self.inputs))
        self.assertEqual(len(set(keys.values())), len(FIELDS))

    def test_every_key_changes_with_every_input(self) -> None:
        changes: tuple[tuple[str, object], ...] = (
            ("prf", PRF_HMAC_SHA2_384),
            ("mix", Secret(b"M" + b"m" * 31)),
            ("shared", Secret(b"s" * 31 + b"S")),
            ("shared", Secret(b"")),
            ("transcript", T[:-1] + b"\0"),
            ("names", NAMES[::-1]),
            ("names", (NAMES[0], "Alice@example.org")),
            ("names", ("zoe@example.org", NAMES[1])),
            ("names", (NAMES[0] + "a", "lice@example.org")),
            ("spis", (0x1234, 0x5679)),
            ("spis", (0x1235, 0x5678)),
            ("spis", (0x5678, 0x1234)),
            ("content", SaContent.MN_FA),
        )
        self.assertEqual({name for name, _ in changes}, set(self.inputs))
        before = self.all_of(agree(**self.inputs))
        for name, value in changes:
            after = self.all_of(agree(**{**self.inputs, name: value}))
            # Not even the beginnings are the same, where the hash is another.
            differ = (before[key][:16] != after[key][:16] for key in FIELDS)
            self.assertTrue(all(differ), f"{name} = {value!r}")

    @settings(max_examples=60, deadline=None)
    @given(st.binary(max_size=8), st.binary(max_size=8), st.binary(max_size=8), st.binary(max_size=8))
    def test_mix_and_secret_cannot_run_into_each_other(self, a: bytes, b: bytes, c: bytes, d: bytes) -> None:
        one = agree(**{**self.inputs, "mix": Secret(a), "shared": Secret(b)})
        other = agree(**{**self.inputs, "mix": Secret(c), "shared": Secret(d)})
        self.assertEqual(one == other, (a, b) == (c, d))

    def test_confirmations_of_section_6(self) -> None:
        for prf, name in ((PRF_HMAC_SHA2_256, "sha256"), (PRF_HMAC_SHA2_384, "sha384")):
            keys = agree(**{**self.inputs, "prf": prf})
            for role, key in ((Role.INITIATOR, keys.confirm_i), (Role.RESPONDER, keys.confirm_r)):
                mac = hmac.digest(key.octets, b"seckex1 confirm" + T + b"header", name)
                self.assertEqual(keys.confirm(role, b"seckex1 confirm", T, b"header"), mac)
                mac = hmac.digest(key.octets, b"seckex1 choice" + T, name)
                self.assertEqual(keys.confirm(role, b"seckex1 choice", T), mac)

    def test_one_role_cannot_confirm_for_the_other(self) -> None:
        keys = agree(**self.inputs)
        self.assertNotEqual(*(keys.confirm(role, b"seckex1 confirm", T, b"header") for role in Role))

    def test_at_rest_and_back(self) -> None:
        for prf in PRF_HASHES:
            keys = agree(**{**self.inputs, "prf": prf})
            self.assertEqual(AgreedKeys.from_octets(keys.octets()), keys)

    def test_what_is_not_the_keys_of_an_association_is_refused(self) -> None:
        for prf in PRF_HASHES:
            octets = agree(**{**self.inputs, "prf": prf}).octets()
            for cut in range(len(octets)):
                self.assertRaises(ApiMisuse, AgreedKeys.from_octets, octets[:cut])
            self.assertRaises(ApiMisuse, AgreedKeys.from_octets, octets + b"\0")
            for other in (0, 4, 7, 0xFFFF):
                self.assertRaises(ApiMisuse, AgreedKeys.from_octets, other.to_bytes(2, "big") + octets[2:])
        one = agree(**self.inputs).octets()
        self.assertRaises(ApiMisuse, AgreedKeys.from_octets, PRF_HMAC_SHA2_384.to_bytes(2, "big") + one[2:])

    def test_each_hash_belongs_to_one_prf(self) -> None:
        self.assertEqual({prf: one.name for prf, one in PRF_HASHES.items()}, {5: "sha256", 6: "sha384"})


class ExportTests(SynchronousTestCase):
    keys: AgreedKeys

    def setUp(self) -> None:
        self.keys = agree(**AgreedKeysTests.inputs)

    def test_the_formula_of_section_7(self) -> None:
        for prf, name in ((PRF_HMAC_SHA2_256, "sha256"), (PRF_HMAC_SHA2_384, "sha384")):
            keys = evolve(self.keys, prf=prf)
            for length in (32, 33, 64, 1000):
                info = prefixed(b"label") + prefixed(hashlib.new(name, b"context").digest()) + length.to_bytes(2, "big")
                octets = expand(name, keys.exporter.octets, info, length)
                self.assertEqual(keys.export(b"label", b"context", length), Secret(octets))

    def test_less_than_32_octets_are_not_exported(self) -> None:
        for length in (-1, 0, 1, 16, 31):
            self.assertRaises(ApiMisuse, self.keys.export, b"label", b"context", length)

    def test_each_label_context_and_length_has_its_own(self) -> None:
        asked = (
            (b"label", b"context", 32),
            (b"label", b"contexts", 32),
            (b"label", b"", 32),
            (b"labels", b"context", 32),
            (b"labelc", b"ontext", 32),
            (b"", b"labelcontext", 32),
            (b"label", b"context", 33),
            (b"label", b"context", 64),
        )
        # A longer export does not begin like a shorter one.
        self.assertEqual(len({self.keys.export(*one).octets[:32] for one in asked}), len(asked))

    def test_exports_depend_on_the_exporter_alone(self) -> None:
        function = self.keys.hash
        info = lp(b"label") + lp(function.digest(b"context")) + (32).to_bytes(2, "big")
        expected = function.expand(self.keys.exporter.octets, info, 32)
        self.assertEqual(self.keys.export(b"label", b"context", 32), Secret(expected))


class LinkTests(SynchronousTestCase):
    dialog = Secret(b"d" * 32)
    salt_i, salt_r = b"i" * 16, b"r" * 16

    def split(self, octets: bytes, suite: Suite) -> RecordKey:
        return RecordKey(suite, Secret(octets[:-4]), octets[-4:])

    def test_section_10(self) -> None:
        for prf, name in ((PRF_HMAC_SHA2_256, "sha256"), (PRF_HMAC_SHA2_384, "sha384")):
            for suite, size in KEY_SIZES.items():
                dialog = self.dialog.octets
                schedule = LinkSchedule(suite, prf, self.dialog)
                prk = extract(name, self.salt_i, dialog)
                hello_i = expand(name, prk, b"seckex1 hello i", size + 4)
                self.assertEqual(schedule.hello_i(self.salt_i), self.split(hello_i, suite))
                dsk = extract(name, self.salt_i + self.salt_r, dialog)
                hello_r = expand(name, dsk, b"seckex1 hello r", size + 4)
                self.assertEqual(schedule.hello_r(self.salt_i, self.salt_r), self.split(hello_r, suite))
                keys = schedule.body(self.salt_i, self.salt_r)
                body_i = expand(name, dsk, b"seckex1 body i", size + 4)
                body_r = expand(name, dsk, b"seckex1 body r", size + 4)
                self.assertEqual(keys.initiator, self.split(body_i, suite))
                self.assertEqual(keys.responder, self.split(body_r, suite))
                self.assertEqual(keys.context, int.from_bytes(expand(name, dsk, b"seckex1 context", 4), "big"))

    def all_of(self, schedule: LinkSchedule, salt_i: bytes, salt_r: bytes) -> dict[str, bytes]:
        body = schedule.body(salt_i, salt_r)
        keys = {
            "hello_i": schedule.hello_i(salt_i),
            "hello_r": schedule.hello_r(salt_i, salt_r),
            "body_i": body.initiator,
            "body_r": body.responder,
        }
        prefixes = {f"prefix of {name}": key.prefix for name, key in keys.items()}
        return {
            **{name: key.key.octets for name, key in keys.items()},
            **prefixes,
            "context": body.context.to_bytes(4, "big"),
        }

    def test_the_two_directions_have_nothing_in_common(self) -> None:
        for suite in Suite:
            for prf in PRF_HASHES:
                keys = self.all_of(LinkSchedule(suite, prf, self.dialog), self.salt_i, self.salt_r)
                self.assertEqual(len(set(keys.values())), len(keys))

    def test_every_key_changes_with_every_input(self) -> None:
        suite = Suite.AES_256_GCM
        schedule = LinkSchedule(suite, PRF_HMAC_SHA2_256, self.dialog)
        before = self.all_of(schedule, self.salt_i, self.salt_r)
        others = {
            "dialog": self.all_of(
                LinkSchedule(suite, PRF_HMAC_SHA2_256, Secret(b"D" + b"d" * 31)), self.salt_i, self.salt_r
            ),
            "prf": self.all_of(LinkSchedule(suite, PRF_HMAC_SHA2_384, self.dialog), self.salt_i, self.salt_r),
            "salt_i": self.all_of(schedule, b"I" + self.salt_i[1:], self.salt_r),
            "salts swapped": self.all_of(schedule, self.salt_r, self.salt_i),
        }
        for name, after in others.items():
            self.assertTrue(all(before[key] != after[key] for key in before), name)
        after = self.all_of(schedule, self.salt_i, self.salt_r[:-1] + b"R")
        same = {key for key in before if before[key] == after[key]}
        self.assertEqual(same, {"hello_i", "prefix of hello_i"})  # it is sent before the responder's salt is known


class LabelTests(SynchronousTestCase):
    """No two keys are made from the same key with the same label, or with one that the other begins with."""

    def watched(self, name: str, watch: Callable[[bytes, tuple[bytes, ...]], None]) -> None:
        original = getattr(Hash, name)

        def watching(function: Hash, key: bytes, *parts: Any) -> bytes:
            watch(key, tuple(part for part in parts if isinstance(part, bytes)))
            made: bytes = original(function, key, *parts)
            return made

        self.patch(Hash, name, watching)

    def test_every_label_is_different_from_every_other(self) -> None:
        used: set[tuple[bytes, bytes]] = set()
        self.watched("expand", lambda key, parts: used.add((key, parts[0])))
        key0 = Key0(Secret(KEY), 0x100, 3, NAMES)
        for role in Role:
            key0.extension_key(role, 1, b"N" * 32)
        keys = agree(PRF_HMAC_SHA2_256, key0.mix, Secret(b"s" * 32), T, NAMES, (0x1234, 0x5678))
        made = {name: getattr(keys, name) for name in FIELDS}
        authenticating = [made[name] for name in ("confirm_i", "confirm_r", "auth_i", "auth_r")]
        keys.export(b"seckex1 ike-psk", b"context", 32)
        schedule = LinkSchedule(Suite.AES_256_GCM, keys.prf, keys.dialog)
        schedule.hello_i(b"i" * 16)
        schedule.hello_r(b"i" * 16, b"r" * 16)
        schedule.body(b"i" * 16, b"r" * 16)

        self.assertEqual(len(used), 5 + 2 + 7 + 1 + 1 + 1 + 3)
        for key, info in used:
            self.assertTrue(info.startswith((b"seckex1 ", lp(b"seckex1 ike-psk"))), info)
            same = [other for _, other in used if other.startswith(info)]
            self.assertEqual(same, [info])
            # What authenticates is not what other keys are made from.
            self.assertNotIn(Secret(key), authenticating)

    def test_lengths_are_prefixed(self) -> None:
        self.assertEqual(lp(b""), b"\0\0\0\0")
        self.assertEqual(lp(b"abc"), b"\0\0\0\3abc")
