"""The keys of a registration against docs/registration.md, section 7, written down a second time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address
from itertools import combinations, product
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.authority import Key0
from seckex.crypto.registration import (
    NO_PREVIOUS,
    Root,
    equation5,
    fallback_kid,
    key1,
    key2,
    key3,
    mac,
    next_previous,
    provisioned,
    sub_seeds,
    transcript,
    verify_mac,
)
from seckex.crypto.schedule import AgreedKeys
from seckex.crypto.secrets import Secret
from seckex.errors import ApiMisuse, AuthenticationFailed
from seckex.wire.numbers import PRF_HMAC_SHA2_256, PRF_HMAC_SHA2_384, SaContent
from tests.crypto.plain import expand, extract, prefixed, u32

MN, HA, FA, REALM = "zoë@home.example", "agent@home.example", "fa@visited.example", "@home.example"
NAMES: Final = (MN, HA)
KEY: Final = bytes(range(32))
ES, EE, SS, A = (bytes([fill]) * 32 for fill in b"esSa")
HD: Final = b"the request up to the seal"
TR: Final = hashlib.sha384(b"a transcript").digest()
IP4, IP6 = IPv4Address("192.0.2.1"), IPv6Address("2001:db8::1")
LABELS: Final = ("confirm i", "confirm r", "auth i", "auth r", "dialog", "exporter", "rekey")


def e(prk: bytes, info: bytes) -> bytes:
    return expand("sha256", prk, info, 32)


def x(salt: bytes, secret: bytes) -> bytes:
    return extract("sha256", salt, secret)


def context0(names: tuple[str, str] = NAMES, kvno: int = 3) -> bytes:
    low, high = sorted(name.encode() for name in names)
    return prefixed(low) + prefixed(high) + u32(kvno)


def changed(octets: bytes) -> list[bytes]:
    """Return octets with one bit turned, at either end and in the middle."""
    return [octets[:at] + bytes([octets[at] ^ 1]) + octets[at + 1 :] for at in (0, len(octets) // 2, len(octets) - 1)]


class RootTests(SynchronousTestCase):
    root = Root(Secret(KEY), NAMES, 3)

    def derived(self, label: str) -> bytes:
        return e(KEY, f"seckex1 registration {label}".encode() + context0())

    def test_provisioning(self) -> None:
        prk0 = x(b"seckex1 key 0", KEY)
        found = provisioned(Secret(KEY), NAMES, 3)
        self.assertEqual(found.root.octets, e(prk0, b"seckex1 registration root" + context0()))
        self.assertEqual(found.chain.octets, e(prk0, b"seckex1 spi chain" + context0()))
        self.assertEqual(provisioned(Secret(KEY), NAMES[::-1], 3), found)
        # Exchanges between the same two under the same KEY 0 have nothing in common with it.
        self.assertNotIn(Key0(Secret(KEY), 0x100, 3, NAMES).mix, found)

    def test_keys_of_the_request(self) -> None:
        keys = self.root.request_keys(Secret(ES), HD)
        digest = hashlib.sha256(HD).digest()
        self.assertEqual(keys.ka.octets, e(x(ES, self.derived("auth")), b"seckex1 ka" + digest))
        self.assertEqual(keys.kid.octets, e(x(ES, self.derived("id")), b"seckex1 kid" + digest))

    def test_the_fallbacks_key_needs_no_root(self) -> None:
        expected = e(x(b"seckex1 fallback", ES), b"seckex1 kid" + hashlib.sha256(HD).digest())
        self.assertEqual(fallback_kid(Secret(ES), HD).octets, expected)

    def test_key_of_the_reply(self) -> None:
        prk = x(TR, prefixed(self.derived("mix")) + prefixed(ES) + prefixed(EE))
        self.assertEqual(self.root.reply_key(Secret(ES), Secret(EE), TR).octets, e(prk, b"seckex1 registration"))

    def test_healing(self) -> None:
        expected = e(x(EE, self.derived("heal")), b"seckex1 heal" + hashlib.sha256(TR).digest())
        self.assertEqual(self.root.healed(Secret(EE), TR).octets, expected)
        # The node's name and the version of its key stay with it.
        after = Root(self.root.healed(Secret(EE), TR), NAMES, 3)
        self.assertNotEqual(after.request_keys(Secret(ES), HD), self.root.request_keys(Secret(ES), HD))

    def all_of(self, **inputs: Any) -> dict[str, Secret]:
        given: dict[str, Any] = {
            "root": KEY,
            "names": NAMES,
            "kvno": 3,
            "es": ES,
            "ee": EE,
            "hd": HD,
            "tr": TR,
        } | inputs
        root = Root(Secret(given["root"]), given["names"], given["kvno"])
        es, ee = Secret(given["es"]), Secret(given["ee"])
        ka, kid = root.request_keys(es, given["hd"])
        return {
            "ka": ka,
            "kid": kid,
            "kid'": fallback_kid(es, given["hd"]),
            "k": root.reply_key(es, ee, given["tr"]),
            "root'": root.healed(ee, given["tr"]),
        }

    def test_every_key_is_another(self) -> None:
        for one, other in combinations(self.all_of().values(), 2):
            self.assertNotEqual(one, other)

    def test_a_key_changes_with_its_inputs_and_with_no_other(self) -> None:
        all_keys = {"ka", "kid", "k", "root'"}
        depends: Mapping[str, set[str]] = {
            "root": all_keys,
            "names": all_keys,
            "kvno": all_keys,
            "es": {"ka", "kid", "kid'", "k"},
            "ee": {"k", "root'"},
            "hd": {"ka", "kid", "kid'"},
            "tr": {"k", "root'"},
        }
        values: Mapping[str, list[Any]] = {
            "root": changed(KEY),
            "names": [(MN, "agenu@home.example"), ("zoe@home.example", HA), (MN + "a", "gent@home.example")],
            "kvno": [2, 3 << 24],
            "es": [*changed(ES), EE],
            "ee": [*changed(EE), ES],
            "hd": [*changed(HD), HD[:-1], HD + b"\0"],
            "tr": changed(TR),
        }
        before = self.all_of()
        for name, others in values.items():
            for value in others:
                after = self.all_of(**{name: value})
                self.assertEqual(
                    {key for key in before if before[key] != after[key]}, depends[name], f"{name} {value!r}"
                )

    def test_es_and_ee_cannot_change_places(self) -> None:
        self.assertNotEqual(self.all_of()["k"], self.all_of(es=EE, ee=ES)["k"])

    def test_other_sizes_are_refused(self) -> None:
        for size in (0, 31, 33):
            self.assertRaises(ApiMisuse, Root, Secret(bytes(size)), NAMES, 1)
            self.assertRaises(ApiMisuse, provisioned, Secret(bytes(size)), NAMES, 1)
            self.assertRaises(ApiMisuse, sub_seeds, Secret(bytes(size)))

    def test_nothing_is_shown(self) -> None:
        shown = repr((self.root, self.root.request_keys(Secret(ES), HD), provisioned(Secret(KEY), NAMES, 3)))
        secret = "<Secret of 32 octets>"
        self.assertEqual(
            shown,
            f"(<Root>, RequestKeys(ka={secret}, kid={secret}), Provisioned(root={secret}, chain={secret}))",
        )


class MacTests(SynchronousTestCase):
    def test_the_formula(self) -> None:
        self.assertEqual(mac(Secret(KEY), HD), hmac.digest(KEY, HD, "sha256")[:16])

    def test_only_the_right_one_verifies(self) -> None:
        right = mac(Secret(KEY), HD)
        verify_mac(Secret(KEY), HD, right)
        for wrong in (*changed(right), b"", right[:15], right + b"\0", hmac.digest(KEY, HD, "sha256")):
            self.assertRaises(AuthenticationFailed, verify_mac, Secret(KEY), HD, wrong)
        for covered in (*changed(HD), HD[1:], HD + b"\0"):
            self.assertRaises(AuthenticationFailed, verify_mac, Secret(KEY), covered, right)
        for key in changed(KEY):
            self.assertRaises(AuthenticationFailed, verify_mac, Secret(key), HD, right)


class TranscriptTests(SynchronousTestCase):
    def test_the_formula(self) -> None:
        expected = hashlib.sha384(b"seckex1 registration" + prefixed(b"req") + prefixed(b"shares") + prefixed(b"Y"))
        self.assertEqual(transcript(b"req", b"shares", b"Y"), expected.digest())

    @settings(max_examples=100, deadline=None)
    @given(*(st.tuples(*[st.binary(max_size=3)] * 3) for _ in range(2)))
    def test_parts_cannot_run_into_each_other(
        self, one: tuple[bytes, bytes, bytes], other: tuple[bytes, bytes, bytes]
    ) -> None:
        self.assertEqual(transcript(*one) == transcript(*other), one == other)
        both = next_previous(NO_PREVIOUS, *one[:2]), next_previous(NO_PREVIOUS, *other[:2])
        self.assertEqual(both[0] == both[1], one[:2] == other[:2])

    def test_rounds(self) -> None:
        second = hashlib.sha256(bytes(32) + prefixed(b"req 1") + prefixed(b"answer 1")).digest()
        self.assertEqual(next_previous(NO_PREVIOUS, b"req 1", b"answer 1"), second)
        third = hashlib.sha256(second + prefixed(b"req 2") + prefixed(b"answer 2")).digest()
        self.assertEqual(next_previous(second, b"req 2", b"answer 2"), third)


def agreed(keys: AgreedKeys) -> list[bytes]:
    return [getattr(keys, label.replace(" ", "_")).octets for label in LABELS]


def agreed_of(
    prf: str, left: bytes, right: bytes, names: tuple[str, str], spis: tuple[int, int], content: int
) -> list[bytes]:
    prk = extract(prf, TR, prefixed(left) + prefixed(right))
    context = bytes([content]) + prefixed(names[0].encode()) + prefixed(names[1].encode()) + u32(spis[0]) + u32(spis[1])
    size = hashlib.new(prf).digest_size
    return [expand(prf, prk, f"seckex1 {label}".encode() + context, size) for label in LABELS]


class KeyTests(SynchronousTestCase):
    spis = (0x1111, 0x2222)

    def test_the_formulas(self) -> None:
        for prf, name in ((PRF_HMAC_SHA2_256, "sha256"), (PRF_HMAC_SHA2_384, "sha384")):
            common = prf, Secret(A), Secret(SS), TR
            one = key1(*common, (MN, HA), self.spis)
            self.assertEqual(agreed(one), agreed_of(name, A, SS, (MN, HA), self.spis, 2))
            mobility = key1(*common, (MN, HA), self.spis, SaContent.MN_SMM)
            self.assertEqual(agreed(mobility), agreed_of(name, A, SS, (MN, HA), self.spis, 6))
            two = key2(*common, (FA, HA), self.spis)
            self.assertEqual(agreed(two), agreed_of(name, A, SS, (FA, HA), self.spis, 1))
            three = key3(*common, (REALM, FA), self.spis)
            self.assertEqual(agreed(three), agreed_of(name, A, SS, (REALM, FA), self.spis, 0))

    def test_without_mixing(self) -> None:
        two = key2(PRF_HMAC_SHA2_256, Secret(A), None, TR, (FA, HA), self.spis)
        self.assertEqual(agreed(two), agreed_of("sha256", A, b"", (FA, HA), self.spis, 1))

    def test_each_key_changes_with_each_input(self) -> None:
        functions: tuple[Callable[..., AgreedKeys], ...] = (key1, key2, key3)
        base: dict[str, Any] = {"a": A, "b": SS, "tr": TR, "names": (MN, HA), "spis": self.spis}
        others: dict[str, list[Any]] = {
            "a": [*changed(A), SS],
            "b": [*changed(SS), A],
            "tr": changed(TR),
            "names": [(HA, MN), (MN, FA), (REALM, HA)],
            "spis": [(0x1111, 0x2223), (0x1112, 0x2222), (0x2222, 0x1111)],
        }
        found: list[list[bytes]] = []
        for function in functions:
            for inputs in (base, *({**base, name: value} for name, values in others.items() for value in values)):
                prf, a, b = PRF_HMAC_SHA2_256, Secret(inputs["a"]), Secret(inputs["b"])
                found.append(agreed(function(prf, a, b, inputs["tr"], inputs["names"], inputs["spis"])))
        # None of the keys of any is a key of another.
        flat = [octets for keys in found for octets in keys]
        self.assertEqual(len(set(flat)), len(flat))

    def test_at_rest_and_back(self) -> None:
        one = key1(PRF_HMAC_SHA2_384, Secret(A), Secret(SS), TR, (MN, HA), self.spis)
        self.assertEqual(AgreedKeys.from_octets(one.octets()), one)


class SemiStatefulTests(SynchronousTestCase):
    seed = Secret(KEY)

    def test_sub_seeds(self) -> None:
        seeds = sub_seeds(self.seed)
        for which in ("mh", "hf", "mf"):
            self.assertEqual(getattr(seeds, which).octets, e(KEY, f"seckex1 {which}".encode()))

    def test_two_of_them_never_make_the_third(self) -> None:
        for octets in (KEY, *changed(KEY), bytes(32), b"\xff" * 32):
            seeds = sub_seeds(Secret(octets))
            self.assertEqual(len({Secret(octets).octets, *(one.octets for one in seeds)}), 4)
            self.assert_apart(seeds)

    @settings(max_examples=50, deadline=None)
    @given(st.binary(min_size=32, max_size=32))
    def test_whatever_the_seed_is(self, octets: bytes) -> None:
        self.assert_apart(sub_seeds(Secret(octets)))

    def assert_apart(self, seeds: tuple[Secret, ...]) -> None:
        """Nothing that whoever has two of the three can derive in the ways that the protocol derives is the third's."""
        labels = (b"mh", b"hf", b"mf")
        parties = [(HA, MN), (HA, FA), (FA, REALM), (MN, HA)]
        for at, third in enumerate(seeds):
            known = [one for one in seeds if one is not third]
            made = {e(one.octets, b"seckex1 " + label) for one in known for label in labels}
            made |= {hmac.digest(one.octets, other.octets, "sha256") for one, other in product(known, known)}
            self.assertNotIn(third.octets, made, at)
            keys = {equation5(third, *names, IP4, IP6, TR).octets for names in parties}
            known_keys = {equation5(one, *names, IP4, IP6, TR).octets for one in known for names in parties}
            self.assertEqual(keys & (known_keys | made), set())

    def test_equation_5(self) -> None:
        parts = prefixed(HA.encode()) + prefixed(MN.encode()) + prefixed(IP4.packed) + prefixed(IP6.packed)
        expected = hmac.digest(KEY, parts + TR, "sha256")
        self.assertEqual(equation5(self.seed, HA, MN, IP4, IP6, TR).octets, expected)

    def test_equation_5_changes_with_every_input(self) -> None:
        found = [
            equation5(Secret(seed), *names, addresses[0], addresses[1], tr)
            for seed in (KEY, *changed(KEY))
            for names in ((HA, MN), (MN, HA), (HA + "z", MN[1:]), (HA, FA))
            for addresses in (
                (IP4, IP4),
                (IP4, IP6),
                (IP6, IP4),
                (IPv4Address("192.0.2.2"), IP4),
                # The same number in the other family is another address.
                (IPv6Address(int(IP4)), IP4),
            )
            for tr in (TR, *changed(TR))
        ]
        self.assertEqual(len({key.octets for key in found}), len(found))
