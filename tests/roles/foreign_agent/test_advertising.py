"""What an agent says of itself: to everybody, and to whoever asks."""

from __future__ import annotations

import itertools
from ipaddress import IPv6Address

from seckex.config.policy import PolicySettings
from seckex.events import MessageDropped
from seckex.machine import Path, Send
from seckex.roles.foreign_agent.advertising import following
from seckex.wire.advertisement import (
    SOLICITATION_SIZE,
    AdvertisementFlag,
    decode_advertisement,
    encode_solicitation,
)
from tests.roles.foreign_agent.parts import CARE_OF, NODE_PATH, SERVER, AgentCase

GROUP = Path("239.255.67.34", 4434)


class EverybodyTests(AgentCase):
    def said(self) -> list[bytes]:
        """Return what has gone to the group."""
        return [a.octets for a in self.actions if isinstance(a, Send) and a.path == GROUP]

    def test_at_once_and_then_every_now_and_then(self) -> None:
        times = []
        for _ in range(40):
            due = self.agent.next_deadline(self.now)
            assert due is not None
            self.pass_time(due - self.monotonic)
            times.append(self.monotonic)
        pauses = [after - before for before, after in itertools.pairwise(times)]
        self.assertTrue(all(7.5 <= pause <= 12.5 for pause in pauses), pauses)
        self.assertGreater(len(set(pauses)), 30)

    def test_what_is_said(self) -> None:
        (octets,) = self.said()
        identification, advertisement = decode_advertisement(octets)
        self.assertEqual(identification, 0)
        self.assertEqual((advertisement.nai, advertisement.domain), ("agent@visited.example", "visited.example"))
        self.assertEqual((advertisement.care_of, advertisement.port), ((CARE_OF,), 4434))
        self.assertEqual((advertisement.lifetime, advertisement.longest), (30, 28800))
        flags = AdvertisementFlag.REGISTRATION_REQUIRED | AdvertisementFlag.TCP | AdvertisementFlag.HYBRID
        self.assertEqual(advertisement.flags, flags | AdvertisementFlag.TRAFFIC)

    def test_flags_tell_of_servers_and_of_the_policy(self) -> None:
        self.start(self.terms(servers=(SERVER,), policy=PolicySettings().as_policy()))
        flags = self.advertised.flags
        self.assertTrue(flags & AdvertisementFlag.AAA)
        self.assertFalse(flags & AdvertisementFlag.HYBRID)

    def test_each_has_the_next_number_and_another_challenge(self) -> None:
        seen = [(self.advertised.sequence, self.advertised.challenge)]
        for _ in range(5):
            self.next_advertisement()
            seen.append((self.advertised.sequence, self.advertised.challenge))
        self.assertEqual([sequence for sequence, _ in seen], [0, 1, 2, 3, 4, 5])
        self.assertEqual(len({challenge for _, challenge in seen}), 6)

    def test_after_the_highest_number_comes_256_so_that_a_start_is_told_from_it(self) -> None:
        self.assertEqual(following(-1), 0)
        self.assertEqual(following(0xFFFE), 0xFFFF)
        self.assertEqual(following(0xFFFF), 256)

    def test_a_restart_begins_at_0(self) -> None:
        for _ in range(3):
            self.next_advertisement()
        self.start(self.terms())
        self.assertEqual(self.advertised.sequence, 0)

    def test_without_groups_challenges_change_all_the_same(self) -> None:
        self.start(self.terms(groups=()))
        before = self.advertised
        self.next_advertisement()
        self.assertNotEqual(self.advertised.challenge, before.challenge)

    def test_what_changes_is_told_at_once(self) -> None:
        self.pass_time(1)
        before = len(self.said())
        self.run_all(self.agent.reconfigure(self.terms(longest=3600), self.now))
        self.assertEqual(len(self.said()), before + 1)
        self.assertEqual(self.advertised.longest, 3600)
        self.run_all(self.agent.reconfigure(self.terms(longest=3600), self.now))
        self.assertEqual(len(self.said()), before + 1)


class SolicitedTests(AgentCase):
    def test_whoever_asks_is_answered_where_he_is_and_with_no_more_octets(self) -> None:
        care_of = (CARE_OF, *(IPv6Address(number) for number in range(1, 8)))
        self.start(self.terms(care_of=care_of))
        solicitation = encode_solicitation(0x1234)
        answer = self.say(solicitation)
        self.assertLessEqual(len(answer), len(solicitation))
        identification, advertisement = decode_advertisement(answer)
        self.assertEqual((identification, advertisement.care_of), (0x1234, care_of))

    def test_asking_ages_nobodys_challenge(self) -> None:
        first = self.advertised
        for number in range(50):
            self.say(encode_solicitation(number), NODE_PATH._replace(host=f"192.0.2.{number}"))
        self.assertEqual((self.advertised.challenge, self.advertised.sequence), (first.challenge, first.sequence))

    def test_a_short_question_is_none(self) -> None:
        solicitation = encode_solicitation(1)
        for octets in (solicitation[:-1], solicitation[:16], solicitation + b"\0", b"\xff\x20" + solicitation[2:]):
            self.assertEqual(self.say(octets), b"")
        self.assertEqual(self.agent.counters["dropped.malformed"], 4)
        self.assertEqual(self.told(MessageDropped)[0].cause, "malformed")
        self.assertEqual(len(solicitation), SOLICITATION_SIZE)

    def test_status_tells_what_is_advertised(self) -> None:
        self.next_advertisement()
        status = self.agent.status(self.now)
        self.assertEqual((status["domain"], status["care-of"]), ("visited.example", [str(CARE_OF)]))
        self.assertEqual((status["sequence"], status["busy"], status["servers"]), (1, "", []))
