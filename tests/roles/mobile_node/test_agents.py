"""Which agents a node knows of, and which of them it would register by."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.machine import Now
from seckex.roles.mobile_node.agents import AVOID_FIRST, MOST_AGENTS, STEADY_FOR, Agents, News
from seckex.roles.mobile_node.plan import Plan
from seckex.wire.advertisement import Advertisement, AdvertisementFlag
from seckex.wire.numbers import Kem
from tests.roles.mobile_node.world import AES

SAID = Advertisement(
    AdvertisementFlag.REGISTRATION_REQUIRED,
    30,
    1800,
    7,
    4434,
    bytes(16),
    "fa1@visited.example",
    "visited.example",
    (ip_address("2001:db8::2"), ip_address("192.0.2.2")),
)
NAMES = ("a@one.example", "b@one.example", "c@two.example")


def at(seconds: float) -> Now:
    return Now(seconds, 1_790_000_000 + seconds)


def agents(*preferred: str) -> Agents:
    return Agents(Plan("node@example.org", "home@example.org", AES, agents=preferred))


class HearingTests(SynchronousTestCase):
    def test_sequences_tell_what_is_new(self) -> None:
        cases = (
            (7, 8, News.AGAIN),
            (7, 5, News.RESTARTED),
            (300, 299, News.NOTHING),
            (300, 301, News.AGAIN),
            (300, 0, News.RESTARTED),
            (300, 255, News.RESTARTED),
            (65535, 256, News.AGAIN),
            (65535, 0, News.RESTARTED),
            (256, 65535, News.NOTHING),
        )
        for before, after, expected in cases:
            with self.subTest(before=before, after=after):
                known = agents()
                known.heard(evolve(SAID, sequence=before, challenge=bytes(15) + b"a"), "192.0.2.2", at(0))
                _, news = known.heard(evolve(SAID, sequence=after, challenge=bytes(15) + b"b"), "192.0.2.2", at(1))
                self.assertIs(news, expected)

    def test_the_same_once_more_is_a_sign_of_life_and_with_another_challenge_a_restart(self) -> None:
        known = agents()
        self.assertIs(known.heard(SAID, "192.0.2.2", at(0))[1], News.NEW)
        self.assertIs(known.heard(SAID, "192.0.2.2", at(1))[1], News.AGAIN)
        self.assertIs(known.heard(evolve(SAID, challenge=b"x" * 16), "192.0.2.2", at(2))[1], News.RESTARTED)

    def test_the_care_of_address_is_one_of_the_family_that_it_is_heard_by(self) -> None:
        self.assertEqual(agents().heard(SAID, "192.0.2.2", at(0))[0].care_of, ip_address("192.0.2.2"))
        self.assertEqual(agents().heard(SAID, "fe80::2%eth0", at(0))[0].care_of, ip_address("2001:db8::2"))
        only = evolve(SAID, care_of=SAID.care_of[:1])
        self.assertEqual(agents().heard(only, "192.0.2.2", at(0))[0].care_of, ip_address("2001:db8::2"))

    def test_one_that_is_not_heard_is_lost(self) -> None:
        known = agents()
        known.heard(SAID, "192.0.2.2", at(0))
        self.assertEqual(known.lost_at(), 30)
        self.assertEqual(known.expired(at(29)), [])
        self.assertEqual(len(known.expired(at(30))), 1)
        self.assertEqual(len(known), 0)

    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 65535)), max_size=150))
    def test_there_are_never_more_than_are_allowed(self, said: list[tuple[int, int]]) -> None:
        known = agents()
        known.heard(SAID, "192.0.2.2", at(0))
        known.in_use = (SAID.nai, "192.0.2.2", SAID.port)
        for moment, (number, sequence) in enumerate(said):
            told = evolve(SAID, nai=f"x{number}@flood.example", sequence=sequence)
            known.heard(told, "192.0.2.66", at(moment / 100))
        self.assertLessEqual(len(known), MOST_AGENTS)
        self.assertIsNotNone(known.used)


class ChoosingTests(SynchronousTestCase):
    def hear(self, known: Agents, *names: str, now: float = 0.0, **said: Any) -> None:
        for name in names:
            known.heard(evolve(SAID, nai=name, **said), "192.0.2.2", at(now))

    def best(self, known: Agents, now: float = 0.0, kem: Kem = Kem.X25519) -> str:
        found = known.best(kem, at(now))
        return "" if found is None else found.nai

    def test_the_order_of_the_configuration_comes_first_then_the_name(self) -> None:
        known = agents()
        self.hear(known, *reversed(NAMES))
        self.assertEqual(self.best(known), NAMES[0])
        known = agents("*@two.example", "*@one.example")
        self.hear(known, *NAMES)
        self.assertEqual(self.best(known), NAMES[2])

    def test_what_the_configuration_does_not_have_is_not_taken(self) -> None:
        known = agents("b@one.example")
        self.hear(known, NAMES[0])
        self.assertEqual(self.best(known), "")
        self.assertIn("registration.agents", " ".join(known.objections(Kem.X25519)))
        # Only a whole realm is meant by its name.
        self.hear(known, "b@one.example.org", "b@none.example")
        self.assertEqual(self.best(known), "")

    def test_the_hybrid_needs_an_agent_that_passes_it_on(self) -> None:
        known = agents()
        self.hear(known, NAMES[0], flags=AdvertisementFlag.HYBRID)
        self.assertEqual(self.best(known, kem=Kem.X25519_ML_KEM_768), "")
        self.hear(known, NAMES[1], flags=AdvertisementFlag.HYBRID | AdvertisementFlag.TCP)
        self.assertEqual(self.best(known, kem=Kem.X25519_ML_KEM_768), NAMES[1])

    def test_an_agent_without_time_to_give_will_not_do(self) -> None:
        known = agents()
        self.hear(known, NAMES[0], longest=59)
        self.assertEqual(self.best(known), "")

    def test_one_that_failed_comes_last_for_a_while(self) -> None:
        known = agents()
        self.hear(known, *NAMES[:2])
        first = known.best(Kem.X25519, at(0))
        assert first is not None
        known.failed(first.key, at(0))
        self.assertEqual(self.best(known), NAMES[1])
        self.assertEqual(self.best(known, AVOID_FIRST + 1), NAMES[0])

    def test_where_all_failed_it_is_the_one_that_is_avoided_the_shortest(self) -> None:
        known = agents()
        self.hear(known, *NAMES[:2])
        both = sorted((each.key for each in known), key=lambda key: key[0])
        for key in (both[0], both[0], both[1]):
            known.failed(key, at(0))
        self.assertEqual(self.best(known), NAMES[1])

    def test_a_preferred_one_has_to_stay_before_it_is_changed_to(self) -> None:
        known = agents(*reversed(NAMES))
        self.hear(known, NAMES[0])
        known.in_use = NAMES[0], "192.0.2.2", 4434
        self.hear(known, NAMES[1], now=10.0)
        self.assertEqual(self.best(known, 10.0), NAMES[0])
        self.assertEqual(self.best(known, 10.0 + STEADY_FOR), NAMES[1])
