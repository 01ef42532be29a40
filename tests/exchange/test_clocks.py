"""Clocks that are apart, wild or stepped: an Identification is corrected, a clock never, and no timer minds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from attrs import evolve

from seckex.events import AssociationEstablished, ClocksApart, NegotiationRefused
from seckex.node.node import PURGE_EVERY
from seckex.wire.numbers import Code
from tests.conversation import AES, ConversationCase, policy, sealing
from tests.exchange.test_faults import TWO_ROUNDS
from tests.link import Datagram, on
from tests.pump import WALL, Host

HOURS: Final = 2 * 3600.0
YEARS: Final = 10 * 365.25 * 86400
LASTING: Final = policy(sealing("aes-256-gcm", lifetime=30 * 86400))


class ApartTests(ConversationCase):
    def test_clocks_may_be_apart_by_the_window(self) -> None:
        for seconds in (-299.0, 299.0):
            self.anew()
            node, home = self.pair()
            node.skew = seconds
            self.established(node, home)
            self.assertArrows("OFFER 1 -->", "<-- CHOICE 1", "CONFIRM -->", "<-- CONFIRMED")

    def test_clocks_further_apart_are_corrected_for(self) -> None:
        for seconds in (-1000.0, 1000.0):
            self.anew()
            node, home = self.pair()
            node.skew = seconds
            before = node.now()
            self.established(node, home)
            self.assertArrows(
                "OFFER 1 -->",  # by a clock that is 1000 s off
                "<-- REFUSAL 1",  # identification-mismatch, and what time it is here
                "OFFER 1 -->",  # the same clock, an Identification by theirs
                "<-- CHOICE 1",
                "CONFIRM -->",
                "<-- CONFIRMED",
            )
            apart = self.assertTold(node, ClocksApart, peer=home.nai, seconds=int(-seconds))
            self.assertIn(f"{int(-seconds):+d} s from ours: correcting Identifications, not our clock", str(apart))
            refused = self.assertTold(home, NegotiationRefused, by=home.nai, code=Code.IDENTIFICATION_MISMATCH)
            self.assertEqual(refused.reason, f"clocks are {int(seconds):+d} s apart, 300 s are allowed")
            self.assertEqual(node.told(NegotiationRefused), [])
            self.assertAlmostEqual(node.now().wall - before.wall, node.now().monotonic - before.monotonic, 3)

    def test_the_correction_is_remembered(self) -> None:
        node, home = self.pair()
        node.skew = 86400
        self.established(node, home)
        said = len(self.network.sent)
        node.renew()
        self.network.run(3)
        self.assertEqual(self.network.arrows()[said:], ["OFFER 1 -->", "<-- CHOICE 1", "CONFIRM -->", "<-- CONFIRMED"])
        # Until it is wrong.
        node.skew = 0
        node.renew()
        self.network.run(5)
        self.assertEqual(self.network.arrows()[said + 4 : said + 6], ["OFFER 1 -->", "<-- REFUSAL 1"])
        self.assertConversation(node, home)

    def test_clocks_between_the_rounds(self) -> None:
        node, home = self.pair(TWO_ROUNDS, AES)

        def stepped(datagram: Datagram) -> tuple[Datagram, ...]:
            home.skew += HOURS
            return (datagram,)

        self.network.faults = [on("OFFER 2", stepped)]
        self.established(node, home)
        self.assertArrows(
            "OFFER 1 -->",
            "<-- COUNTER 1",
            "OFFER 2 -->",  # and their clock steps
            "<-- REFUSAL 2",
            "OFFER 1 -->",
            "<-- COUNTER 1",
            "OFFER 2 -->",
            "<-- CHOICE 2",
            "CONFIRM -->",
            "<-- CONFIRMED",
        )

    def test_one_correction_is_made_in_one_exchange(self) -> None:
        node, home = self.pair()

        def stepped(datagram: Datagram) -> tuple[Datagram, ...]:
            home.skew += 1000
            return (datagram,)

        self.network.faults = [on("OFFER", stepped, times=2)]
        node.want(home)
        self.network.run(0.5)
        self.assertArrows("OFFER 1 -->", "<-- REFUSAL 1", "OFFER 1 -->", "<-- REFUSAL 1")
        self.assertTold(node, NegotiationRefused, by=home.nai, code=Code.IDENTIFICATION_MISMATCH)
        self.network.run(3)
        self.assertConversation(node, home)

    def test_wild_clocks(self) -> None:
        for seconds in (-WALL, -WALL - 1000, 2.0**31, 2.0**32, 2.0**33 + 12345, 2.0**40, -YEARS, YEARS):
            for side in (0, 1):
                self.anew()
                pair = self.pair()
                pair[side].skew = seconds
                self.established(*pair)
                self.assertIn(len(self.network.sent), (4, 6))

    def test_both_clocks_wild(self) -> None:
        node, home = self.pair()
        node.skew, home.skew = 2.0**34, -WALL - 86400
        self.established(node, home)


class SteppedTests(ConversationCase):
    """The wall clock of one side steps in the middle of an exchange."""

    def test_an_exchange_survives_a_step_at_any_event(self) -> None:
        for ours in (LASTING, policy(sealing("chacha20-poly1305"), *LASTING.proposals, open_with=1)):
            for seconds in (-YEARS, -HOURS, HOURS, YEARS):
                for side in (0, 1):
                    for ordinal in range(1, 12):
                        self.anew()
                        pair = self.pair(ours, LASTING)
                        self.network.before_step = _stepping(pair[side], ordinal, seconds)
                        self.ends_well(*pair)

    def ends_well(self, node: Host, home: Host) -> None:
        """Check that an association comes about; where a step made it expire at birth, another one."""
        node.want(home)
        self.network.run(10)
        ours = node.node.associations.newest(home.nai)
        if ours is None or home.node.associations.get(ours.spi_out) is None:
            # The responder's association has expired, which the initiator's first link will hear.
            node.renew()
            self.network.run(60)
        self.assertConversation(node, home)
        self.assertLessEqual(len(node.told(AssociationEstablished)), 3)

    def test_no_timer_minds_the_wall_clock(self) -> None:
        told = []
        for seconds in (0.0, -YEARS, -HOURS, HOURS, YEARS):
            self.anew()
            node, home = self.pair()
            home.stop()
            node.want(home)
            self.network.run(3)
            node.skew += seconds
            self.network.run(60)
            times = [line.split()[0] for line in self.network.lines if "OFFER 1 -->" in line or "no answer" in line]
            told.append(times)
        self.assertEqual(told[1:], [told[0]] * 4)
        self.assertGreater(len(told[0]), 10)

    def test_an_unconfirmed_association_ends_after_60_s_of_either_clock(self) -> None:
        for seconds in (-YEARS, -HOURS, HOURS):
            self.anew()
            node, home = self.pair(LASTING, LASTING)
            node.want(home)
            self.network.run(0.015)
            node.stop()
            self.assertEqual(home.counters["unconfirmed"], 1)
            home.skew += seconds
            self.network.run(59)
            self.assertEqual(home.counters["unconfirmed"], 1)
            self.network.run(2)
            self.assertEqual((home.counters["unconfirmed"], home.counters["associations"]), (0, 0))

    def test_no_association_outlives_its_lifetime_however_the_clock_was_set_back(self) -> None:
        hour = policy(sealing("aes-256-gcm", lifetime=3600))
        for seconds in (HOURS, YEARS):
            node, home = self.pair(hour, hour)
            home.skew = node.skew = seconds
            first = self.established(node, home)
            home.skew = node.skew = 0
            for host, spi in ((node, first.spi_in), (home, first.spi_out)):
                self.assertIsNotNone(host.node.usable(spi, host.now()))
            self.network.run(3600 + 2 * PURGE_EVERY)
            for host, spi in ((node, first.spi_in), (home, first.spi_out)):
                self.assertIsNone(host.node.usable(spi, host.now()))
                self.assertNotIn(spi, host.store.associations)
            self.assertConversation(node, home)
            self.anew()

    def test_a_visit_to_the_future_does_not_fill_the_replay_records_for_good(self) -> None:
        node, home = self.pair()
        home.skew = YEARS
        self.established(node, home)
        home.skew = 0
        for _ in range(5):
            node.renew()
            self.network.run(70)
        self.assertConversation(node, home)
        self.assertEqual(home.counters["replay-records"], 6)
        # Records expire by a clock that waits for the one that came back, and does not stand still.
        self.network.run(1400)
        self.assertEqual(home.counters["replay-records"], 0)


class RecordedCase(ConversationCase):
    """Has an old offer."""

    def recorded(self) -> tuple[Host, Host, Datagram]:
        """Return two hosts with an association, and the offer that it came of."""
        self.anew()
        node, home = self.pair(LASTING, LASTING)
        self.established(node, home)
        return node, home, self.network.last("OFFER 1")

    def assertRefused(self, home: Host, offer: Datagram) -> None:
        """Check that an old offer, played again, brings nothing about."""
        before = dict(home.store.associations), dict(home.store.replays)
        said = len(self.network.sent)
        self.network.deliver(offer)
        self.network.run(0.1)
        told = [each.label for each in self.network.sent[said:]]
        self.assertIn(told, (["REFUSAL 1"], []))
        self.assertEqual((home.store.associations, home.store.replays), before)

    def assertServed(self, node: Host, home: Host) -> None:
        """Check that an honest peer gets an association all the same."""
        node.skew = home.skew
        node.restart()
        node.want(home)
        node.renew()
        self.network.run(10)
        self.assertConversation(node, home)


class SetBackTests(RecordedCase):
    """A clock that goes back: an old offer is never accepted again, whatever was forgotten, and peers are served."""

    def test_forward_and_back(self) -> None:
        for seconds in (HOURS, YEARS):
            node, home, offer = self.recorded()
            home.skew += seconds
            # Long enough for records to be purged by the clock that is wrong.
            self.network.run(130)
            self.assertEqual(home.store.replays, {})
            home.skew -= seconds
            self.assertRefused(home, offer)
            self.assertServed(node, home)

    def test_forward_and_back_with_restarts_between(self) -> None:
        for seconds in (HOURS, YEARS):
            for forward, back in ((True, False), (False, True), (True, True)):
                node, home, offer = self.recorded()
                home.skew += seconds
                if forward:
                    home.restart()
                self.network.run(130)
                self.assertEqual(home.store.replays, {})
                home.skew -= seconds
                if back:
                    home.restart()
                self.assertRefused(home, offer)
                self.assertServed(node, home)

    def test_back_after_records_have_expired(self) -> None:
        for restart in (False, True):
            node, home, offer = self.recorded()
            self.network.run(700)
            self.assertEqual(home.store.replays, {})
            home.skew -= 700
            if restart:
                home.restart()
            self.assertRefused(home, offer)
            self.assertServed(node, home)

    def test_a_wider_window_after_records_have_expired(self) -> None:
        for restart in (False, True):
            node, home, offer = self.recorded()
            self.network.run(700)
            home.knows(node, LASTING, clock_window=3600)
            if restart:
                home.restart()
            else:
                home.reconfigure()
            self.assertRefused(home, offer)
            self.assertServed(node, home)


def _stepping(host: Host, ordinal: int, seconds: float) -> Callable[[int], None]:
    def step(now: int) -> None:
        if now == ordinal:
            host.network.note(f"the wall clock of {host.name} steps by {seconds:+.0f} s")
            host.skew += seconds

    return step


class RestoredTests(RecordedCase):
    """A responder that goes on from a backup: what it answered since is not accepted again."""

    def test_what_was_answered_since_the_backup(self) -> None:
        for later, ahead in ((0, 0), (120, 0), (5, 250)):
            self.anew()
            node, home = self.pair(LASTING, LASTING)
            node.skew = ahead
            backup = evolve(home.store, associations={}, replays={})
            self.established(node, home)
            offer = self.network.last("OFFER 1")
            self.network.run(later)
            backup.restored = home.now().wall
            home.store = backup
            home.restart()
            self.assertRefused(home, offer)
            self.network.run(30)
            home.restart()
            self.assertRefused(home, offer)
            self.assertServed(node, home)
