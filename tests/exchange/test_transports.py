"""Requests over UDP and TCP: which goes where, what USE_TCP does, and what it cannot do."""

from __future__ import annotations

from seckex.events import MessageDropped, NegotiationFailed, PeerUnreachable
from seckex.exchange.answer import reply
from seckex.exchange.messages import request_digest
from seckex.machine import Send
from seckex.wire.numbers import MAX_DATAGRAM
from tests.conversation import AES, ConversationCase, policy, proposal
from tests.exchange.test_faults import STRANGER, TWO_ROUNDS
from tests.link import Datagram, flipped, lose, on

#: So many alternatives that an offer of them is longer than a datagram may be.
LONG = policy(
    *(
        proposal(
            "aes-256-gcm chacha20-poly1305 aes-128-gcm hmac-sha-256 hmac-sha-384 "
            "prf-hmac-sha-256 prf-hmac-sha-384 x25519",
            lifetime=3600 + number,
            mebioctets=64 + number,
        )
        for number in range(7)
    )
)


def use_tcp(request: bytes, digest: bytes | None = None) -> bytes:
    """Return a USE_TCP for a request."""
    return b"\xff\x11\x00\x09" + request[4:16] + b"\x7f\x18\x00\x20" + (digest or request_digest(request))


class LongTests(ConversationCase):
    def test_what_is_too_long_for_a_datagram_goes_over_tcp_and_nothing_else_does(self) -> None:
        node, home = self.pair(LONG, AES)
        self.established(node, home)
        self.assertArrows("OFFER 1 -->", "<-- CHOICE 1", "CONFIRM -->", "<-- CONFIRMED")
        self.assertGreater(len(self.network.sent[0].octets), MAX_DATAGRAM)
        self.assertEqual([d.destination.tcp for d in self.network.sent], [True, True, False, False])

    def test_it_is_repeated_over_tcp(self) -> None:
        node, home = self.pair(LONG, AES)
        self.network.faults = [on("OFFER", lose, times=2), on("CHOICE", lose)]
        self.established(node, home)
        offers = [d for d in self.network.sent if d.called("OFFER")]
        self.assertEqual(len({d.octets for d in offers}), 1)
        self.assertTrue(all(d.destination.tcp for d in offers))

    def test_where_it_comes_by_udp_it_is_dropped_with_the_reason(self) -> None:
        node, home = self.pair(LONG, AES)
        self.network.faults = [lose]
        node.want(home)
        home.receive(self.network.last("OFFER").octets, node.path)
        self.assertDropped(home, "too-long", "octets where a datagram has 1232 at most")
        self.assertEqual(len(self.network.sent), 1)

    def test_a_farewell_that_is_too_long_goes_over_tcp_as_well(self) -> None:
        node, home = self.pair(LONG, policy(proposal("aes-256-gcm prf-hmac-sha-256 x25519", lifetime=30)))
        node.want(home)
        self.network.run(1)
        self.assertArrows("OFFER 1 -->", "<-- COUNTER 1", "ABANDON 2 -->")
        self.assertTrue(all(d.destination.tcp for d in self.network.sent))

    def test_an_exchange_whose_path_is_over_tcp_never_leaves_it(self) -> None:
        node, home = self.pair(TWO_ROUNDS, AES)
        peer = node.peers[home.nai]
        node.peers[home.nai] = type(peer)(peer.terms, home.path._replace(tcp=True))
        node.restart()
        self.established(node, home)
        self.assertTrue(all(d.destination.tcp for d in self.network.sent))


class UseTcpTests(ConversationCase):
    def answered_so(self, request: str, times: int = 1) -> None:
        """Have the first requests of a kind over UDP met with USE_TCP in place of their answers."""
        left = times

        def fault(datagram: Datagram) -> tuple[Datagram, ...]:
            nonlocal left
            if datagram.called(request) and not datagram.destination.tcp and left:
                left -= 1
                answer = Datagram(datagram.destination, datagram.source, use_tcp(datagram.octets))
                self.network.send(answer)
                return ()
            return (datagram,)

        self.network.faults.append(fault)

    def test_the_same_octets_go_over_tcp(self) -> None:
        for request in ("OFFER", "CONFIRM"):
            self.anew()
            node, home = self.pair()
            self.answered_so(request)
            self.established(node, home)
            sent = [d for d in self.network.sent if d.called(request)]
            self.assertEqual([d.destination.tcp for d in sent], [False, True])
            self.assertEqual(sent[0].octets, sent[1].octets)
            self.assertEqual(sent[1].destination[:2], home.path[:2])

    def test_if_that_fails_it_is_repeated_by_udp_and_told_again(self) -> None:
        node, home = self.pair()
        self.answered_so("OFFER", times=3)
        self.network.faults.append(lambda d: () if d.destination.tcp else (d,))
        self.established(node, home)
        offers = [d for d in self.network.sent if d.called("OFFER")]
        self.assertEqual([d.destination.tcp for d in offers], [False, True] * 3 + [False])
        self.assertEqual(len({d.octets for d in offers}), 1)

    def test_if_it_never_succeeds_the_exchange_fails(self) -> None:
        node, home = self.pair()
        self.answered_so("OFFER", times=1000)
        self.network.faults.append(lambda d: () if d.destination.tcp else (d,))
        node.want(home)
        self.network.run(30.5)
        self.assertEqual(len(node.told(NegotiationFailed)), 1)
        self.assertEqual(len({d.octets for d in self.network.sent if d.called("OFFER")}), 1)

    def test_a_forged_one_has_one_sending_go_over_tcp_and_changes_nothing_else(self) -> None:
        node, home = self.pair()
        self.network.faults = [on("OFFER", lose)]
        node.want(home)
        offer = self.network.last("OFFER").octets
        self.network.faults = [lose]
        for _ in range(50):
            node.receive(use_tcp(offer), STRANGER)
        self.assertEqual([d.destination for d in self.network.sent], [home.path, home.path._replace(tcp=True)])
        self.network.faults = []
        self.network.run(2)
        self.assertConversation(node, home)
        self.assertFalse(self.network.last("CONFIRM").destination.tcp)

    def test_for_another_request_it_has_no_effect(self) -> None:
        node, home = self.pair()
        self.network.faults = [lose]
        node.want(home)
        hint = use_tcp(self.network.last("OFFER").octets)
        for bit in range(8 * len(hint)):
            # The SPI is not looked at: the digest says which request it is.
            if not 8 * 12 <= bit < 8 * 16:
                node.receive(flipped(hint, bit), home.path)
        self.assertEqual(len(self.network.sent), 1)

    def test_many_forged_ones_leave_nothing(self) -> None:
        node, home = self.pair()
        home.stop()
        node.want(home)
        timers = len(node.node._asking._timers)
        for number in range(100):
            node.receive(use_tcp(self.network.sent[0].octets, number.to_bytes(32, "big")), home.path)
        self.assertEqual(len(node.node._asking._timers), timers)
        self.assertEqual(len(self.network.sent), 1)

    def test_it_is_for_whoever_asked_and_awaits_an_answer(self) -> None:
        node, home = self.pair()
        self.established(node, home)
        said = len(self.network.sent)
        for request in ("OFFER", "CONFIRM"):
            hint = use_tcp(self.network.last(request).octets)
            for host in (node, home):
                host.receive(hint, STRANGER)
        self.assertEqual(len(self.network.sent), said)

    def test_after_an_offer_with_a_cookie_too(self) -> None:
        node, home = self.pair()
        self.network.faults = [on("OFFER", lose, times=2)]
        node.want(home)
        first = self.network.last("OFFER").octets
        node.receive(b"\xff\x11\x00\x08" + first[4:16] + b"\x7f\x17\x00\x01c", home.path)
        second = self.network.last("OFFER").octets
        self.assertNotEqual(first, second)
        self.assertEqual(request_digest(first), request_digest(second))
        node.receive(use_tcp(first), home.path)
        # OFFER 1 -->   the one with the cookie
        self.assertEqual(self.network.last("OFFER").octets, second)
        self.assertTrue(self.network.last("OFFER").destination.tcp)
        self.network.run(0.2)
        self.assertConversation(node, home)


class TooLongAnswerTests(ConversationCase):
    def test_an_answer_that_does_not_fit_is_had_over_tcp(self) -> None:
        node, home = self.pair()
        self.network.faults = [lose]
        node.want(home)
        offer = self.network.last("OFFER").octets
        over_tcp = STRANGER._replace(via=3, tcp=True)
        for size, fits in ((768, True), (769, False), (1300, False)):
            answer = b"\xff\x11\0\2" + bytes(size - 4)
            self.assertEqual(reply(answer, offer, STRANGER), (Send(answer if fits else use_tcp(offer), STRANGER),))
            self.assertEqual(reply(answer, offer, over_tcp), (Send(answer, over_tcp),))
        # However long the request is, no answer is longer than a datagram may be.
        long = offer + bytes(1232 - len(offer))
        for size, fits in ((1232, True), (1233, False)):
            (said,) = reply(bytes(size), long, STRANGER)
            self.assertEqual(len(said.octets), size if fits else 52)

    def test_where_not_even_the_hint_fits_nothing_is_said(self) -> None:
        self.assertEqual(reply(bytes(100), b"\xff\x10\0\5" + bytes(47), STRANGER), ())
        self.assertEqual(
            len(reply(bytes(100), b"\xff\x10\0\5" + bytes(12) + b"\x7f\x14\0\x20" + bytes(32), STRANGER)), 1
        )

    def test_the_same_request_over_both_is_one(self) -> None:
        node, home = self.pair(TWO_ROUNDS, AES)
        self.established(node, home)
        before, said = home.tables(), len(self.network.sent)
        for request, answer in (("OFFER 1", "COUNTER 1"), ("OFFER 2", "CHOICE 2"), ("CONFIRM", "CONFIRMED")):
            octets, first = self.network.last(request).octets, self.network.last(answer).octets
            home.receive(octets, STRANGER._replace(via=9, tcp=True))
            self.assertEqual(self.network.sent[-1].octets, first)
        self.assertEqual(len(self.network.sent), said + 3)
        self.assertEqual(home.tables(), before)


class UnreachableTests(ConversationCase):
    def test_why_nothing_could_be_sent_is_told_once_and_among_the_causes(self) -> None:
        node, home = self.pair()
        home.stop()
        node.want(home)
        why = "the name home.example.org cannot be looked up, or has no address"
        for _ in range(5):
            node._run(node.node.unreachable(*home.path[:2], why, node.now()))
        self.assertTold(node, PeerUnreachable, peer=home.nai, address=str(home.path), why=why)
        self.network.run(31)
        self.assertIn(why, self.assertTold(node, NegotiationFailed).causes)

    def test_it_concerns_those_who_ask_there_only(self) -> None:
        node, home = self.pair()
        home.stop()
        node.want(home)
        for host, port in (("192.0.2.99", 4434), (home.path.host, 4435)):
            node._run(node.node.unreachable(host, port, "no route", node.now()))
        self.assertEqual(node.told(PeerUnreachable), [])

    def test_it_ends_nothing(self) -> None:
        node, home = self.pair()
        self.network.faults = [on("OFFER", lose)]
        node.want(home)
        node._run(node.node.unreachable(*home.path[:2], "no route", node.now()))
        self.network.run(2)
        self.assertConversation(node, home)
        self.assertEqual(node.told(MessageDropped), [])
