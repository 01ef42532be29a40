"""What somebody on the way can do without KEY 0 beside what `tests.attacks` has: replays in time, and odd offers."""

from __future__ import annotations

from typing import Final

from seckex.events import MessageDropped, NegotiationRefused
from seckex.exchange.messages import build_offer
from seckex.exchange.transcript import Transcript
from seckex.wire.extensions import Exchange, SaPayloadExtension
from seckex.wire.numbers import Code, ExtensionSub, Role
from tests.conversation import AES, CHACHA, HOME, NODE, ConversationCase, policy, sealing
from tests.exchange.parts import extension, parts, sa_of
from tests.exchange.test_faults import STRANGER, TWO_ROUNDS
from tests.link import flipped, lose, on
from tests.pump import Host

WINDOW: Final = 300


class ReplayTests(ConversationCase):
    def replayed(self, host: Host, label: str) -> list[str]:
        """Replay a message from elsewhere and return what it is answered with."""
        said = len(self.network.sent)
        host.receive(self.network.last(label).octets, STRANGER)
        self.network.run(0.5)
        return [datagram.label for datagram in self.network.sent[said:]]

    def test_each_request_again_has_the_same_answer_and_no_effect(self) -> None:
        node, home = self.pair(TWO_ROUNDS, AES)
        self.established(node, home)
        before = home.tables()
        for request, answer in (("OFFER 1", "COUNTER 1"), ("OFFER 2", "CHOICE 2"), ("CONFIRM", "CONFIRMED")):
            first = self.network.last(answer).octets
            for _ in range(3):
                # OFFER 2 -->   the same octets again, from somewhere else
                # <-- CHOICE 2  the same octets again, to there
                self.assertEqual(self.replayed(home, request), [answer])
                self.assertEqual(self.network.last(answer).octets, first)
                self.assertEqual(self.network.sent[-1].destination, STRANGER)
        self.assertEqual(home.tables(), before)

    def test_each_answer_again_has_no_effect(self) -> None:
        node, home = self.pair(TWO_ROUNDS, AES)
        self.established(node, home)
        before = node.tables()
        for answer in ("COUNTER 1", "CHOICE 2", "CONFIRMED"):
            self.assertEqual(self.replayed(node, answer), [])
        self.assertEqual(node.tables(), before)
        self.assertEqual(node.counters["answers-unexpected"], 3)

    def test_a_refused_offer_again_is_refused_from_memory(self) -> None:
        node, home = self.pair(CHACHA, AES)
        node.want(home)
        self.network.run(0.5)
        node.stop()
        self.assertEqual(self.replayed(home, "ABANDON 2"), [])
        self.assertEqual(self.replayed(home, "OFFER 1"), ["COUNTER 1"])
        self.assertEqual(len(home.told(NegotiationRefused)), 1)
        self.assertEqual(home.counters["half-open"], 0)

    def test_after_a_restart_the_answer_comes_from_the_store(self) -> None:
        node, home = self.pair(TWO_ROUNDS, AES)
        ours = self.established(node, home)
        home.restart()
        before = home.tables()
        for request, answer in (("OFFER 1", "COUNTER 1"), ("OFFER 2", "CHOICE 2"), ("CONFIRM", "CONFIRMED")):
            first = self.network.last(answer).octets
            self.assertEqual(self.replayed(home, request), [answer])
            self.assertEqual(self.network.last(answer).octets, first)
        self.assertEqual(home.tables(), before)
        self.assertEqual(len(home.node.associations), 1)
        theirs = home.node.associations.get(ours.spi_out)
        self.assertEqual(theirs and theirs.keys, ours.keys)

    def test_the_same_identification_with_other_octets_is_dropped(self) -> None:
        node, home = self.pair()
        self.established(node, home)
        before = home.tables()
        octets = self.network.last("OFFER").octets
        # One with the same stem is a copy, whatever is behind it: it gets the same answer, and nothing else.
        home.receive(octets[:-1] + bytes((octets[-1] ^ 1,)), node.path)
        self.assertEqual(self.network.sent[-1].octets, self.network.last("CHOICE").octets)
        self.assertEqual(home.tables(), before)
        home.receive(flipped(octets, 8 * 40), node.path)
        self.assertDropped(home, "replay", "was used before")
        # Not even somebody who holds KEY 0 can say something else under it.
        key0 = node.peers[home.nai].terms.authority
        number = int.from_bytes(octets[4:12], "big")
        sa = SaPayloadExtension(sa_of(octets))
        exchange = Exchange(1, 0x4000, 0, bytes(32))
        forged, _ = build_offer(key0, number, exchange, (NODE, HOME), sa, Transcript.between(NODE, HOME))
        home.receive(forged, node.path)
        self.assertEqual(home.counters["dropped.replay"], 2)
        self.assertEqual(home.tables(), before)

    def test_while_the_first_is_being_stored_as_well(self) -> None:
        node, home = self.pair()
        home.hold_commits()
        node.want(home)
        self.network.run(0.1)
        octets = self.network.last("OFFER").octets
        home.receive(flipped(octets, 8 * 40), STRANGER)
        self.assertDropped(home, "replay")
        said = len(self.network.sent)
        home.receive(octets[:-1] + bytes((octets[-1] ^ 1,)), STRANGER)
        self.assertEqual(len(self.network.sent), said)
        home.release_commits()
        self.network.run()
        self.assertConversation(node, home)

    def test_a_request_from_outside_of_the_window_leaves_no_record(self) -> None:
        node, home = self.pair()
        self.established(node, home)
        octets = self.network.last("OFFER").octets
        node.stop()
        self.network.run(2 * WINDOW + 120)
        self.assertEqual(home.counters["replay-records"], 0)
        before, units = home.tables(), len(home.units)
        for _ in range(3):
            # OFFER 1 -->    a day old, so to say
            # <-- REFUSAL 1  clocks are apart
            self.assertEqual(self.replayed(home, "OFFER"), ["REFUSAL 1"])
        self.assertEqual(home.tables(), before)
        self.assertEqual(len(home.units), units)
        self.assertEqual(home.told(NegotiationRefused)[-1].code, Code.IDENTIFICATION_MISMATCH)
        self.assertEqual(octets, self.network.last("OFFER").octets)

    def test_a_request_is_known_as_long_as_its_identification_is_in_the_window(self) -> None:
        for ahead in (-WINDOW, 0, WINDOW):
            self.anew()
            node, home = self.pair()
            node.skew = ahead
            self.established(node, home)
            offered = self.network.last("OFFER").octets
            node.stop()
            # To the second, in steps that meet every fraction of it.
            for _ in range(2500):
                self.network.run(0.26)
                home.tick()
                home.receive(offered, STRANGER)
                self.assertIn(self.network.sent[-1].label, ("CHOICE 1", "REFUSAL 1"))
                if self.network.sent[-1].label == "REFUSAL 1":
                    break
                self.assertEqual(len(home.units), len([u for u in home.units if len(u) == 1]) + 1)
            self.assertEqual(self.network.sent[-1].label, "REFUSAL 1")
            self.assertEqual(len(home.node.associations), 1)

    def test_an_old_CONFIRM_proves_nothing_to_a_new_association(self) -> None:
        node, home = self.pair()
        first = self.established(node, home)
        confirm = self.network.last("CONFIRM").octets
        self.network.faults = [on("CONFIRM", lose, times=1000)]
        node.renew()
        self.network.run(3)
        second = self.assertAgreed(node, home)
        self.assertNotEqual(first.spi_in, second.spi_in)
        home.receive(confirm[:12] + second.spi_out.to_bytes(4, "big") + confirm[16:], node.path)
        home.receive(
            confirm[:12] + 2 * (second.spi_out.to_bytes(4, "big") + confirm[16:20])[:8] + confirm[24:], node.path
        )
        self.assertEqual(home.counters["unconfirmed"], 1)
        held = home.node.associations.get(second.spi_out)
        self.assertEqual(held and held.confirmed, False)


class ReflectionTests(ConversationCase):
    def test_an_offer_cannot_be_turned_into_one_of_the_other(self) -> None:
        # Both may initiate with one KEY 0, so only names and roles tell whose offer it was.
        node, home = self.pair()
        node.want(home)
        octets = self.network.last("OFFER").octets
        node.receive(octets, home.path)
        self.assertDropped(node, "unauthenticated", "the MAC of OFFER")
        home.want(node)
        self.network.run(3)
        self.assertEqual((len(node.node.associations), len(home.node.associations)), (2, 2))


class DowngradeTests(ConversationCase):
    def test_no_counter_offer_can_be_slipped_in_for_a_choice(self) -> None:
        node, home = self.pair(policy(sealing("aes-256-gcm"), sealing("aes-128-gcm"), open_with=1), AES)
        self.network.faults = [on("CHOICE", lose)]
        node.want(home)
        self.network.run(0.1)
        choice = self.network.last("CHOICE")
        before = node.tables()
        for kind in (3, 4):
            node.receive(choice.octets[:3] + bytes((kind,)) + choice.octets[4:], home.path)
        self.assertEqual(node.tables(), before)
        self.assertEqual([event.cause for event in node.told(MessageDropped)], ["unauthenticated"] * 2)


class ShortOfferTests(ConversationCase):
    def test_an_offer_without_its_padding_is_met_with_silence(self) -> None:
        # Its sender holds KEY 0, but an answer could be longer than it.
        node, home = self.pair()
        self.network.faults = [lose]
        node.want(home)
        octets = self.network.last("OFFER").octets
        key0 = node.peers[home.nai].terms.authority
        header, exchange, *names = parts(octets)[:4]
        for body in (exchange, exchange + b"".join(names), b"".join(parts(octets)[1:-2])):
            # An Identification of its own for each.
            header = header[:11] + bytes((header[11] ^ len(body) & 0xFF,)) + header[12:]
            signed = header + body + extension(ExtensionSub.AUTHENTICATOR, header[12:] + bytes(32))[:-32]
            heard = Transcript.between(NODE, HOME).heard(1, Role.INITIATOR, signed)
            home.receive(signed + key0.authenticate(Role.INITIATOR, b"seckex1 offer", heard.digest), STRANGER)
        self.network.run(0.1)
        self.assertArrows("OFFER 1 -->")
        self.assertEqual([event.cause for event in home.told(MessageDropped)], ["malformed"] * 3)
        self.assertDropped(home, "malformed", "768")
        self.assertEqual(home.units, [])
