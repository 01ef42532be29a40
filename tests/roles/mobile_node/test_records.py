"""What a mobile node stores is what it reads, and what was not stored by it is refused without being repeated."""

from __future__ import annotations

from ipaddress import ip_address

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.registration import key3
from seckex.crypto.secrets import Secret
from seckex.crypto.spichain import Chain
from seckex.errors import StoreFailed
from seckex.machine import Path
from seckex.roles.mobile_node.records import Home, Registration, Visit, objection_to
from seckex.sa.algorithms import named
from seckex.sa.association import Agreement
from seckex.sa.store import Record
from seckex.wire.extensions import Layer2Extension
from seckex.wire.keying import HomeKey
from seckex.wire.numbers import PRF_HMAC_SHA2_256, Kem, Keying

SECRET = bytes(range(100, 132))
BARE = Home("node@example.org", "home@example.org", 3, Secret(SECRET), Chain.begin(Secret(bytes(32))))
FULL = evolve(
    BARE,
    chain=BARE.chain.after(300),
    answered=299,
    keys=(HomeKey(Kem.X25519, 1_800_000_000, bytes(32)), HomeKey(Kem.X25519_ML_KEM_768, 1, bytes(1216))),
    home_address=ip_address("2001:db8::7"),
    layer2=Layer2Extension(0, bytes(6)),
    addresses=(ip_address("192.0.2.1"), ip_address("2001:db8::1")),
)
KEYS = key3(
    PRF_HMAC_SHA2_256, Secret(SECRET), Secret(SECRET), bytes(48), ("@example.org", "fa@example.com"), (256, 257)
)
VISIT = Visit(256, 257, Agreement((named("aes-256-gcm"), named("x25519")), 3600, 1 << 40), KEYS)
REGISTRATION = Registration(
    home_agent="home@example.org",
    agent="fa@example.com",
    path=Path("192.0.2.2", 4434),
    care_of=ip_address("192.0.2.2"),
    home_address=None,
    lifetime=28800,
    since=1_790_000_000.25,
    serves=3600,
    spi_in=0x1000,
    mode=Keying.SEMI_STATEFUL,
    kem=Kem.X25519_ML_KEM_768,
    rounds=2,
    fallback=True,
    passages=True,
    visit=VISIT,
)


class RecordTests(SynchronousTestCase):
    def test_what_is_stored_is_what_is_read(self) -> None:
        for home in BARE, FULL:
            self.assertEqual(Home.read(home.record()), home)
        for registration in REGISTRATION, evolve(REGISTRATION, home_address=ip_address("10.0.0.7"), fallback=False):
            self.assertEqual(Registration.read(registration.record()), registration)

    def test_a_registration_is_forgotten_when_what_came_of_it_ends(self) -> None:
        self.assertEqual(REGISTRATION.record().expires, 1_790_003_600.25)
        self.assertEqual(FULL.record().expires, float("inf"))

    def test_what_cannot_be_read_is_not_repeated(self) -> None:
        octets = FULL.record().octets
        for end in range(len(octets)):
            with self.assertRaises(StoreFailed) as caught:
                Home.read(Record("mn.home", b"", octets[:end]))
            self.assertNotIn(SECRET.hex(), str(caught.exception))
        self.assertRaises(StoreFailed, Home.read, Record("mn.home", b"", octets + b"\0"))
        other = Record("mn.home", b"", b"\2" + octets[1:])
        self.assertIn("another version", str(self.assertRaises(StoreFailed, Home.read, other)))

    @settings(max_examples=150, deadline=None)
    @given(st.binary(max_size=300))
    def test_rubbish_raises_nothing_else(self, octets: bytes) -> None:
        for kind in Home, Registration:
            try:
                kind.read(Record("mn.home", b"", b"\1" + octets))
            except StoreFailed:
                continue

    def test_no_secret_is_shown(self) -> None:
        for shown in repr(FULL), repr(REGISTRATION), repr(FULL.record()):
            self.assertNotIn(SECRET.hex(), shown)
            self.assertNotIn(repr(SECRET), shown)


class HomeTests(SynchronousTestCase):
    def test_the_key_that_serves_longest_is_used(self) -> None:
        keys = tuple(HomeKey(Kem.X25519, until, bytes((until,)) * 32) for until in (5, 9, 7))
        home = evolve(BARE, keys=keys)
        self.assertEqual(home.key(Kem.X25519), keys[1])
        self.assertIsNone(home.key(Kem.X25519_ML_KEM_768))

    def test_more_than_seven_past_the_last_reply_it_is_the_fallback(self) -> None:
        answered = evolve(BARE, chain=BARE.chain.after(101), answered=101)
        told = [evolve(answered, chain=answered.chain.after(steps)).fallback for steps in range(9)]
        self.assertEqual(told, [False] * 7 + [True] * 2)

    def test_what_is_not_to_be_taken_over(self) -> None:
        local, home = "node@example.org", "home@example.org"
        self.assertEqual(objection_to(BARE, local, home, None), "")
        self.assertEqual(objection_to(evolve(BARE, kvno=4), local, home, BARE), "")
        self.assertIn("is in use, this is the same", objection_to(FULL, local, home, BARE))
        self.assertIn("this is version 2", objection_to(evolve(BARE, kvno=2), local, home, BARE))
        self.assertIn("not for other@example.org", objection_to(BARE, "other@example.org", home, None))
        self.assertIn("it is for", objection_to(BARE, local, "elsewhere@example.org", None))
