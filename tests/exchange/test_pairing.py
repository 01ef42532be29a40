"""Pairing over a connection, with and without somebody in between."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.identity import Identity
from seckex.crypto.issuing import issue_alone
from seckex.crypto.pairing import make_card
from seckex.errors import ApiMisuse, AuthenticationFailed, BadCertificate, Malformed, PeerFault, PeerMisbehaved
from seckex.exchange.pairing import Awaiting, Pairing
from seckex.wire.pairing import Confirm, Refuse, Reveal, encode_pairing
from tests.conversation import HOME, NODE

NOW = 1_790_000_000.0


def identity(nai: str) -> Identity:
    issued = issue_alone(nai, NOW, 10)
    return Identity.from_pem(issued.certificate, issued.key.octets)


def side(nai: str, nonce: bytes, *, calls: bool, days: int = 10) -> Pairing:
    issued = issue_alone(nai, NOW, days)
    own = Identity.from_pem(issued.certificate, issued.key.octets)
    return Pairing(own, make_card(own, "host:4434"), nonce * 32, calls=calls)


class PairCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.node, self.home = side(NODE, b"n", calls=True), side(HOME, b"h", calls=False)

    def reveal(self, caller: Pairing, callee: Pairing) -> None:
        """Let both come as far as a code."""
        answer = callee.receive(caller.begin()[2:], NOW)
        callee.receive(caller.receive(answer[2:], NOW)[2:], NOW)


class PairedTests(PairCase):
    def test_two_see_the_same_code_and_are_paired_when_both_say_so(self) -> None:
        self.reveal(self.node, self.home)
        self.assertEqual(self.node.code, self.home.code)
        self.assertRegex(self.node.code, r"^(\d{4} ){3}\d{4}$")
        said = self.node.decide(equal=True)
        self.home.receive(said[2:], NOW)
        self.assertFalse(self.node.paired or self.home.paired)
        said = self.home.decide(equal=True)
        self.assertTrue(self.home.paired)
        self.node.receive(said[2:], NOW)
        self.assertTrue(self.node.paired)
        assert self.node.peer is not None
        assert self.home.peer is not None
        self.assertEqual((self.node.peer.nai, self.home.peer.nai), (HOME, NODE))

    def test_where_one_says_no_nobody_is_paired(self) -> None:
        self.reveal(self.node, self.home)
        said = self.home.decide(equal=False)
        self.assertEqual(said, encode_pairing(Refuse()))
        self.node.decide(equal=True)
        self.assertRaises(PeerFault, self.node.receive, said[2:], NOW)
        self.assertFalse(self.node.paired or self.home.paired)

    def test_the_code_depends_on_everything(self) -> None:
        codes = set()
        for caller, callee in ((b"a", b"b"), (b"c", b"b"), (b"a", b"c")):
            node, home = side(NODE, caller, calls=True), side(HOME, callee, calls=False)
            self.reveal(node, home)
            codes.add(node.code)
        self.assertEqual(len(codes), 3)


class AttackTests(PairCase):
    def test_who_is_between_them_makes_two_codes_that_differ(self) -> None:
        as_home, as_node = side(HOME, b"x", calls=False), side(NODE, b"y", calls=True)
        self.reveal(self.node, as_home)
        self.reveal(as_node, self.home)
        self.assertNotEqual(self.node.code, self.home.code)

    def test_a_caller_cannot_choose_after_it_has_heard(self) -> None:
        self.home.receive(self.node.begin()[2:], NOW)
        other = side(NODE, b"z", calls=True)
        reveal = encode_pairing(Reveal(b"z" * 32, make_card(other._identity, "")))
        self.assertRaises(AuthenticationFailed, self.home.receive, reveal[2:], NOW)
        self.assertEqual((self.home.peer, self.home.code, self.home.awaits), (None, "", Awaiting.REVEAL))

    def test_a_confirmation_by_somebody_else_counts_for_nothing(self) -> None:
        self.reveal(self.node, self.home)
        self.node.decide(equal=True)
        other = encode_pairing(Confirm(identity(HOME).sign(b"seckex1 pair callee", bytes(32))))
        self.assertRaises(AuthenticationFailed, self.node.receive, other[2:], NOW)
        # Nor does our own, sent back.
        node, home = side(NODE, b"n", calls=True), side(HOME, b"h", calls=False)
        self.reveal(node, home)
        self.assertRaises(AuthenticationFailed, node.receive, node.decide(equal=True)[2:], NOW)
        self.assertFalse(node.paired)

    def test_a_card_that_is_ours_or_not_of_now(self) -> None:
        again = side(NODE, b"h", calls=False)
        answer = again.receive(self.node.begin()[2:], NOW)
        self.assertRaises(BadCertificate, self.node.receive, answer[2:], NOW)
        old, node = side(HOME, b"h", calls=False, days=1), side(NODE, b"n", calls=True)
        answer = old.receive(node.begin()[2:], NOW)
        self.assertRaises(BadCertificate, node.receive, answer[2:], NOW + 2 * 86400)


class OutOfTurnTests(PairCase):
    def test_whatever_is_out_of_turn_ends_it(self) -> None:
        commit = self.node.begin()
        reveal = encode_pairing(Reveal(b"x" * 32, b"card"))
        confirm = encode_pairing(Confirm(b"signature"))
        for message in (reveal, confirm):
            self.assertRaises(PeerMisbehaved, self.home.receive, message[2:], NOW)
        for message in (commit, confirm):
            self.assertRaises(PeerMisbehaved, self.node.receive, message[2:], NOW)
        self.home.receive(commit[2:], NOW)
        self.assertRaises(PeerMisbehaved, self.home.receive, commit[2:], NOW)
        self.assertRaises(Malformed, self.home.receive, b"", NOW)

    def test_a_confirmation_is_heard_once(self) -> None:
        self.reveal(self.node, self.home)
        said = self.home.decide(equal=True)
        self.node.receive(said[2:], NOW)
        self.assertRaises(PeerMisbehaved, self.node.receive, said[2:], NOW)

    def test_nobody_decides_before_there_is_a_code_or_twice(self) -> None:
        self.assertRaises(ApiMisuse, self.node.decide, equal=True)
        self.reveal(self.node, self.home)
        self.node.decide(equal=True)
        self.assertRaises(ApiMisuse, self.node.decide, equal=True)

    def test_only_the_caller_begins(self) -> None:
        self.assertEqual(self.home.begin(), b"")
