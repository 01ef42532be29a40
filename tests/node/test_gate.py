"""Floods of offers: who is asked for a cookie, whose cookie is good, and who is still served."""

from __future__ import annotations

from typing import Final

from attrs import evolve

from seckex.events import LoadBegan, LoadEnded, MessageDropped
from seckex.machine import Path
from seckex.node.gate import COOKIE_FOR, ROTATE_EVERY
from seckex.node.limits import Flood, Limits
from seckex.wire.extensions import Cookie
from seckex.wire.general import decode_message
from seckex.wire.numbers import Kind
from seckex.wire.stem import stem_of
from tests.conversation import AES, ConversationCase
from tests.exchange.test_faults import STRANGER, TWO_ROUNDS
from tests.link import Datagram, Fault, altered, flipped, lose, on
from tests.pump import Host

ALWAYS: Final = Limits(flood=Flood(cookies="always"))


def cookie_of(octets: bytes) -> bytes:
    """Return the cookie of a COOKIE or of an OFFER."""
    (found,) = (each for each in decode_message(octets).extensions if isinstance(each, Cookie))
    return found.cookie


def forged(offer: bytes, number: int) -> bytes:
    """Return an offer with a MAC that does not verify, another one for each number."""
    return offer[:-4] + (int.from_bytes(offer[-4:], "big") ^ number + 1).to_bytes(4, "big")


class GateCase(ConversationCase):
    def asked(self, host: Host, octets: bytes, source: Path) -> bytes:
        """Have a datagram arrive, and return the answer that it gets at once, empty for none."""
        said = len(self.network.sent)
        host.receive(octets, source)
        answers = self.network.sent[said:]
        for answer in answers:
            self.assertEqual(answer.destination, source)
            self.assertLessEqual(len(answer.octets), len(octets))
        return answers[0].octets if answers else b""

    def offers(self, node: Host, home: Host) -> tuple[bytes, bytes]:
        """Return an offer of ``node`` without a cookie and with one, neither of which has arrived, nor will more."""
        self.network.faults = [on("OFFER", lose)]
        node.want(home)
        first = self.network.last("OFFER").octets
        self.network.faults = [lose]
        node.receive(self.asked(home, first, node.path), home.path)
        second = self.network.last("OFFER").octets
        node.stop()
        self.assertEqual(stem_of(second)[1], cookie_of(second))
        return first, second


class AskingTests(GateCase):
    def test_who_is_asked_sends_the_same_with_the_cookie(self) -> None:
        node, home = self.pair(AES, AES, ALWAYS)
        self.established(node, home)
        self.assertArrows("OFFER 1 -->", "<-- COOKIE", "OFFER 1 -->", "<-- CHOICE 1", "CONFIRM -->", "<-- CONFIRMED")
        first, second = (d.octets for d in self.network.sent if d.called("OFFER"))
        stem, cookie = stem_of(second)
        self.assertEqual((len(first), len(second), stem), (768, 768, stem_of(first)[0]))
        self.assertEqual(first[:stem], second[:stem])
        self.assertEqual(cookie, cookie_of(self.network.last("COOKIE").octets))
        self.assertNotEqual(first[-32:], second[-32:])

    def test_each_round_is_asked(self) -> None:
        node, home = self.pair(TWO_ROUNDS, AES, ALWAYS)
        self.established(node, home)
        self.assertArrows(
            "OFFER 1 -->", "<-- COOKIE", "OFFER 1 -->", "<-- COUNTER 1",
            "OFFER 2 -->", "<-- COOKIE", "OFFER 2 -->", "<-- CHOICE 2", "CONFIRM -->", "<-- CONFIRMED",
        )  # fmt: skip

    def test_nothing_is_kept_decoded_or_counted_against_whoever_is_asked(self) -> None:
        node, home = self.pair(AES, AES, ALWAYS)
        first, _ = self.offers(node, home)
        before, dropped = home.tables(), home.counters.get("dropped.unauthenticated")
        for number in range(1000):
            rubbish = first[:12] + number.to_bytes(4, "big") + first[16:]
            self.assertEqual(decode_message(self.asked(home, rubbish, STRANGER)).header.kind, Kind.COOKIE)
        self.assertEqual(home.tables(), before)
        self.assertEqual(home.counters.get("dropped.unauthenticated"), dropped)
        self.assertEqual((home.counters["gate.cookies-asked"], home.counters["gate.sources"]), (1001, 0))

    def test_never_means_never(self) -> None:
        node, home = self.pair(AES, AES, Limits(flood=Flood(cookies="never", threshold=1, source_burst=3)))
        self.network.faults = [lose]
        node.want(home)
        offer = self.network.last("OFFER").octets
        for _ in range(10):
            self.assertEqual(self.asked(home, forged(offer, 1), STRANGER), b"")
        self.assertDropped(home, "source-rate", "more than 50 requests a second")
        self.assertEqual(home.counters["dropped.source-rate"], 7)

    def test_only_offers_are_asked(self) -> None:
        node, home = self.pair(AES, AES, ALWAYS)
        self.network.faults = [on("CONFIRM", lose, times=2)]
        self.established(node, home)
        self.assertEqual(home.counters["gate.cookies-asked"], 1)

    def test_what_cannot_be_read_is_asked_nothing(self) -> None:
        node, home = self.pair(AES, AES, ALWAYS)
        first, _ = self.offers(node, home)
        for octets in (first[:17], first[:40], first[:16] + bytes(60)):
            self.assertEqual(self.asked(home, octets, STRANGER), b"")
        self.assertEqual(home.counters["dropped.malformed"], 3)


class LoadTests(GateCase):
    LIMITS: Final = Limits(flood=Flood(threshold=20, source_burst=1000))

    def test_it_begins_with_too_many_offers_in_a_second_and_ends_by_itself(self) -> None:
        node, home = self.pair(AES, AES, self.LIMITS)
        self.network.faults = [lose]
        node.want(home)
        offer = self.network.last("OFFER").octets
        node.stop()
        answers = [self.asked(home, forged(offer, number), STRANGER) for number in range(30)]
        self.assertEqual([bool(answer) for answer in answers], [False] * 20 + [True] * 10)
        self.assertTold(home, LoadBegan, why="more than 20 unproved offers in a second")
        self.network.run(4)
        self.assertNotEqual(self.asked(home, offer, STRANGER), b"")
        self.network.run(4)
        self.assertTold(home, LoadEnded, asked=11)
        self.network.faults = []
        node.start()
        self.network.run(2)
        self.assertConversation(node, home)

    def test_a_slow_stream_is_no_load(self) -> None:
        node, home = self.pair(AES, AES, self.LIMITS)
        self.network.faults = [lose]
        node.want(home)
        offer = self.network.last("OFFER").octets
        node.stop()
        for number in range(200):
            self.assertEqual(self.asked(home, forged(offer, number), STRANGER), b"")
            self.network.run(0.06)
        self.assertEqual(home.told(LoadBegan), [])

    def test_a_peer_is_served_meanwhile(self) -> None:
        node, home = self.pair(AES, AES, self.LIMITS)
        attacker = self.network.host("nobody@example.com")
        attacker.knows(home, AES, key=bytes(32))
        self.network.faults = [on("OFFER", lose)]
        attacker.start()
        attacker.want(home)
        offer = self.network.last("OFFER").octets

        def flood(left: int) -> None:
            home.receive(forged(offer, left), Path(f"198.51.{left % 256}.7", 4434))
            if left:
                self.network.at(0.001, lambda: flood(left - 1))

        flood(2000)
        self.network.run(0.5)
        node.want(home)
        self.network.run_until(lambda: node.ready, 0.2)
        self.network.run(0.2)
        self.assertConversation(node, home)

    def test_a_table_that_is_more_than_half_full_is_load(self) -> None:
        for limits in (Limits(half_open=3), Limits(unconfirmed=3)):
            self.anew()
            node, home = self.pair(TWO_ROUNDS, AES, limits)
            other = self.network.host("other@example.net")
            other.knows(home, TWO_ROUNDS, spi=0x2000)
            home.knows(other, AES, spi=0x2000)
            third = self.network.host("third@example.net")
            third.knows(home, AES, spi=0x3000)
            home.knows(third, AES, spi=0x3000)
            home.restart()
            other.start()
            third.start()
            self.network.faults = [on("OFFER 2" if limits.half_open == 3 else "CONFIRM", lose, times=100)]
            node.want(home)
            other.want(home)
            self.network.run(0.3)
            self.assertEqual(home.counters["gate.cookies-asked"], 0)
            third.want(home)
            self.network.run(0.3)
            self.assertTold(home, LoadBegan, why="a table is more than half full")
            self.assertEqual(home.counters["gate.cookies-asked"], 1)
            self.assertTrue(third.ready)


class SourceTests(GateCase):
    def test_a_source_that_sends_too_much_is_asked_while_others_are_not(self) -> None:
        node, home = self.pair(AES, AES, Limits(flood=Flood(source_burst=5)))
        self.network.faults = [lose]
        node.want(home)
        offer = self.network.last("OFFER").octets
        node.stop()
        near, far = Path("203.0.113.5", 9), Path("203.0.114.5", 9)
        answers = [bool(self.asked(home, forged(offer, number), STRANGER)) for number in range(8)]
        self.assertEqual(answers, [False] * 5 + [True] * 3)
        self.assertNotEqual(self.asked(home, forged(offer, 1), near), b"")
        self.assertEqual(self.asked(home, forged(offer, 1), far), b"")
        self.assertEqual(home.told(LoadBegan), [])

    def test_nobody_can_shut_a_peer_out_by_sending_in_its_name(self) -> None:
        node, home = self.pair(AES, AES, Limits(flood=Flood(source_burst=5)))
        self.network.faults = [on("OFFER", lose)]
        node.want(home)
        offer = self.network.last("OFFER").octets
        for number in range(100):
            home.receive(forged(offer, number), node.path)
        # OFFER 1 -->
        # <-- COOKIE        since its part of the net sends too much
        # OFFER 1 -->       and so on
        self.network.run(2)
        self.assertConversation(node, home)

    def test_proved_sources_have_a_rate_as_well(self) -> None:
        node, home = self.pair(AES, AES, Limits(flood=Flood(cookies="always", source_rate=2, source_burst=3)))
        _, offer = self.offers(node, home)
        for _ in range(5):
            home.receive(offer, node.path)
        self.assertEqual(home.counters["gate.cookies-right"], 5)
        self.assertEqual(home.counters["dropped.source-rate"], 2)
        self.assertDropped(home, "source-rate", "more than 2 requests a second")
        self.network.run(0.6)
        home.receive(offer, node.path)
        self.assertEqual(home.counters["dropped.source-rate"], 2)

    def test_over_tcp_too(self) -> None:
        node, home = self.pair(AES, AES, Limits(flood=Flood(cookies="always", source_rate=2, source_burst=3)))
        offer, _ = self.offers(node, home)
        for number in range(5):
            home.receive(offer, node.path._replace(via=number, tcp=True))
        self.assertEqual(home.counters["gate.cookies-asked"], 1)
        self.assertEqual(home.counters["dropped.source-rate"], 2)

    def test_the_tables_are_bounded(self) -> None:
        node, home = self.pair(AES, AES, Limits(flood=Flood(threshold=10**9, sources=10)))
        self.network.faults = [lose]
        node.want(home)
        offer = self.network.last("OFFER").octets
        for number in range(300):
            home.receive(forged(offer, 1), Path(f"203.0.{number % 256}.1", 4434))
        self.assertEqual(home.counters["gate.sources"], 10)
        self.network.run(400)
        self.assertEqual(home.counters["gate.sources"], 0)


class CookieTests(GateCase):
    """Which cookies are good: those made for this address, port and request, by this process, a minute ago at most."""

    def good(self, home: Host, offer: bytes, source: Path) -> bool:
        before = home.counters["gate.cookies-right"], home.counters["gate.cookies-wrong"]
        answer = self.asked(home, offer, source)
        right, wrong = home.counters["gate.cookies-right"], home.counters["gate.cookies-wrong"]
        self.assertEqual((right + wrong) - sum(before), 1)
        # Who has a wrong one is asked for a right one.
        self.assertEqual(bool(answer) and decode_message(answer).header.kind is Kind.COOKIE, wrong > before[1])
        return right > before[0]

    def test_the_one_that_was_made_for_it(self) -> None:
        node, home = self.pair(AES, AES, ALWAYS)
        _, offer = self.offers(node, home)
        self.assertTrue(self.good(home, offer, node.path))
        self.network.run(0.1)
        self.assertEqual(len(home.node.associations), 1)

    def test_for_another_source(self) -> None:
        node, home = self.pair(AES, AES, ALWAYS)
        _, offer = self.offers(node, home)
        for path in (STRANGER, node.path._replace(port=4435), node.path._replace(host="192.0.2.10")):
            self.assertFalse(self.good(home, offer, path), path)
        self.assertTrue(self.good(home, offer, node.path))

    def test_for_another_request(self) -> None:
        node, home = self.pair(AES, AES, ALWAYS)
        _, offer = self.offers(node, home)
        stem, _ = stem_of(offer)
        # The Identification, the SPI, the nonce, a sealed name, the SA payload.
        for at in (4, 11, 12, 15, 40, 90, stem - 1):
            self.assertFalse(self.good(home, flipped(offer, 8 * at), node.path), at)

    def test_with_any_bit_of_it_changed(self) -> None:
        node, home = self.pair(AES, AES, ALWAYS)
        _, offer = self.offers(node, home)
        stem, cookie = stem_of(offer)
        for bit in range(8 * len(cookie)):
            self.assertFalse(self.good(home, flipped(offer, 8 * (stem + 4) + bit), node.path), bit)

    def test_of_any_other_size(self) -> None:
        node, home = self.pair(AES, AES, ALWAYS)
        _, offer = self.offers(node, home)
        stem, cookie = stem_of(offer)
        for size in (1, 20, 22, 64):
            other = (cookie + bytes(64))[:size]
            octets = offer[:stem] + b"\x7f\x17" + size.to_bytes(2, "big") + other + offer[stem + 4 + len(cookie) :]
            self.assertFalse(self.good(home, octets, node.path), size)

    def test_what_is_behind_it_may_change(self) -> None:
        node, home = self.pair(AES, AES, ALWAYS)
        _, offer = self.offers(node, home)
        self.assertTrue(self.good(home, flipped(offer, 8 * len(offer) - 1), node.path))

    def test_later(self) -> None:
        node, home = self.pair(AES, AES, evolve(ALWAYS, replay_records=0))
        _, offer = self.offers(node, home)
        self.network.run(COOKIE_FOR - 1)
        self.assertTrue(self.good(home, offer, node.path))
        self.network.run(2)
        self.assertFalse(self.good(home, offer, node.path))

    def test_secrets_change_places_and_the_one_before_is_still_good(self) -> None:
        node, home = self.pair(AES, AES, ALWAYS)
        _, first = self.offers(node, home)
        self.network.run(ROTATE_EVERY - 1)
        version = cookie_of(self.asked(home, flipped(first, 8 * 40), node.path))[0]
        node.start()
        _, second = self.offers(node, home)
        self.assertEqual(cookie_of(second)[0], version)
        self.network.run(2)
        self.assertEqual(cookie_of(self.asked(home, flipped(first, 8 * 40), node.path))[0], version + 1)
        self.assertTrue(self.good(home, second, node.path))

    def test_after_a_long_silence_both_secrets_are_new(self) -> None:
        node, home = self.pair(AES, AES, ALWAYS)
        self.offers(node, home)
        gate = home.node._gate
        before = list(gate._secrets)
        self.network.run(3 * ROTATE_EVERY)
        self.asked(home, self.network.last("OFFER").octets, STRANGER)
        self.assertFalse(set(before) & set(gate._secrets))

    def test_of_another_process(self) -> None:
        node, home = self.pair(AES, AES, ALWAYS)
        _, offer = self.offers(node, home)
        home.restart()
        self.assertFalse(self.good(home, offer, node.path))

    def test_where_none_is_asked_for_a_wrong_one_does_not_matter(self) -> None:
        node, home = self.pair(AES, AES, ALWAYS)
        _, offer = self.offers(node, home)
        home.limits = Limits()
        home.restart()
        home.receive(offer, node.path)
        self.network.run(0.1)
        self.assertEqual(len(home.node.associations), 1)

    def test_two_behind_one_address_are_both_served(self) -> None:
        node, home = self.pair(AES, AES, ALWAYS)
        _, first = self.offers(node, home)
        node.start()
        _, second = self.offers(node, home)
        self.assertTrue(self.good(home, first, node.path))
        self.assertTrue(self.good(home, second, node.path))


class ReflectionTests(GateCase):
    def test_a_cookie_that_comes_back_to_its_responder_has_no_effect(self) -> None:
        node, home = self.pair(AES, AES, ALWAYS)
        self.established(node, home)
        before = home.tables()
        cookie = self.network.last("COOKIE").octets
        self.assertEqual(self.asked(home, cookie, node.path), b"")
        self.assertEqual(self.asked(home, cookie[:1] + b"\x10" + cookie[2:], node.path), b"")
        self.assertEqual(home.tables(), before)

    def test_an_offer_that_comes_back_to_its_initiator_has_no_effect(self) -> None:
        node, home = self.pair(AES, AES, ALWAYS)
        self.network.faults = [on("OFFER", lose)]
        node.want(home)
        before = node.tables()
        self.assertEqual(self.asked(node, self.network.last("OFFER").octets, home.path), b"")
        self.assertEqual(node.tables(), before)
        self.assertEqual(len(node.told(MessageDropped)), 1)


class RetransmissionTests(GateCase):
    def test_the_record_is_looked_up_behind_the_gate(self) -> None:
        node, home = self.pair(AES, AES, ALWAYS)
        self.network.faults = [on("CHOICE", lose)]
        self.established(node, home)
        # OFFER 1 -->    with its cookie, again
        # <-- CHOICE 1   again
        self.assertArrows(
            "OFFER 1 -->", "<-- COOKIE", "OFFER 1 -->", "<-- CHOICE 1", "OFFER 1 -->", "<-- CHOICE 1",
            "CONFIRM -->", "<-- CONFIRMED",
        )  # fmt: skip
        first = next(d.octets for d in self.network.sent if d.called("OFFER"))
        self.assertEqual(decode_message(self.asked(home, first, node.path)).header.kind, Kind.COOKIE)

    def test_a_load_that_begins_between_an_answer_and_its_repetition(self) -> None:
        for ours, opening in ((AES, "CHOICE 1"), (TWO_ROUNDS, "COUNTER 1")):
            self.anew()
            node, home = self.pair(ours, AES, Limits(flood=Flood(threshold=5)))
            self.network.faults = [on(opening, self.begin_load(home))]
            self.established(node, home)
            # OFFER 1 -->
            # <-- CHOICE 1   lost; the load begins
            # OFFER 1 -->    the same octets
            # <-- COOKIE
            # OFFER 1 -->    the same stem, with a cookie
            # <-- CHOICE 1   the same octets: an answer to the first sending
            arrows = ["OFFER 1 -->", f"<-- {opening}", "OFFER 1 -->", "<-- COOKIE", "OFFER 1 -->", f"<-- {opening}"]
            own = [self.network.arrow(d) for d in self.network.sent if STRANGER not in (d.source, d.destination)]
            self.assertEqual(own[:6], arrows)
            self.assertEqual(len(home.node.associations), 1)

    def begin_load(self, home: Host) -> Fault:
        def lose_and_flood(_datagram: Datagram) -> tuple[Datagram, ...]:
            offer = self.network.last("OFFER").octets
            for number in range(10):
                home.node.receive(flipped(offer, 8 * 40 + number), STRANGER, home.now())
            return ()

        return lose_and_flood

    def test_an_answer_to_an_earlier_sending_is_believed(self) -> None:
        node, home = self.pair()
        self.network.faults = [on("CHOICE", lambda d: (evolve(d, delay=0.3),))]
        node.want(home)
        self.network.run(0.1)
        self.network.faults = [on("OFFER", lose)]
        # A COOKIE out of nowhere, while the CHOICE is on its way.
        node.receive(hint(self.network.last("OFFER").octets, bytes(21)), STRANGER)
        self.network.run(1)
        self.assertConversation(node, home)
        self.assertEqual([d.label for d in self.network.sent][:3], ["OFFER 1", "CHOICE 1", "OFFER 1"])


def hint(offer: bytes, cookie: bytes) -> bytes:
    """Return a COOKIE for an offer."""
    return b"\xff\x11\x00\x08" + offer[4:16] + b"\x7f\x17" + len(cookie).to_bytes(2, "big") + cookie


class ForgedHintTests(GateCase):
    """A COOKIE is not authenticated: what whoever forges one can have an initiator do."""

    def test_a_few_are_followed_in_a_round_and_no_more(self) -> None:
        node, home = self.pair()
        self.network.faults = [on("OFFER", lose, times=100)]
        node.want(home)
        offer = self.network.last("OFFER").octets
        for number in range(100):
            node.receive(hint(offer, number.to_bytes(21, "big")), home.path)
        sent = [d.octets for d in self.network.sent]
        self.assertEqual(len(sent), 1 + 4)
        self.assertEqual({len(octets) for octets in sent}, {768})
        self.assertEqual({octets[: stem_of(offer)[0]] for octets in sent}, {offer[: stem_of(offer)[0]]})
        self.network.faults = []
        self.network.run(2)
        self.assertConversation(node, home)

    def test_the_same_one_again_is_not_followed(self) -> None:
        node, home = self.pair()
        self.network.faults = [on("OFFER", lose, times=100)]
        node.want(home)
        offer = self.network.last("OFFER").octets
        for _ in range(5):
            node.receive(hint(offer, bytes(21)), home.path)
        self.assertEqual(len(self.network.sent), 2)

    def test_for_another_exchange_or_spi_or_after_the_answer_it_is_not_followed(self) -> None:
        node, home = self.pair()
        self.network.faults = [on("OFFER", lose)]
        node.want(home)
        offer = self.network.last("OFFER").octets
        forged = hint(offer, bytes(21))
        for bit in range(8 * 4, 8 * 16):
            node.receive(flipped(forged, bit), home.path)
        self.assertEqual(len(self.network.sent), 1)
        self.network.run(2)
        self.assertConversation(node, home)
        said = len(self.network.sent)
        node.receive(forged, home.path)
        self.assertEqual(len(self.network.sent), said)

    def test_any_bit_of_one_changed_never_hinders_the_exchange(self) -> None:
        for bit in (0, 9, 17, 31, 40, 100, 130, 140, 160, 170, 300):
            self.anew()
            node, home = self.pair(AES, AES, ALWAYS)
            self.network.faults = [on("COOKIE", altered(lambda octets, bit=bit: flipped(octets, bit)))]  # type: ignore[misc]  # a lambda with a default
            node.want(home)
            self.network.run_until(lambda node=node: node.ready, 3)  # type: ignore[misc]  # the same
            self.network.run(1)
            self.assertConversation(node, home)

    def test_it_weakens_nothing_that_is_agreed(self) -> None:
        node, home = self.pair(TWO_ROUNDS, AES)

        def insert(datagram: Datagram) -> tuple[Datagram, ...]:
            if datagram.called("OFFER") and not stem_of(datagram.octets)[1]:
                node.receive(hint(datagram.octets, b"\x66" * 64), STRANGER)
            return (datagram,)

        self.network.faults = [insert]
        ours = self.established(node, home)
        self.assertEqual(str(ours.agreement), str(self.plain()))

    def plain(self) -> object:
        self.anew()
        node, home = self.pair(TWO_ROUNDS, AES)
        return self.established(node, home).agreement
