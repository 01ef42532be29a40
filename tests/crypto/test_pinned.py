"""Single certificates that are trusted, and the cards that bring them."""

from __future__ import annotations

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.identity import Identity
from seckex.crypto.issuing import issue_alone
from seckex.crypto.pairing import (
    carried_code,
    check_commitment,
    check_confirmation,
    commitment,
    live_code,
    make_card,
    meet,
    pair_transcript,
    read_card,
    sign_confirmation,
)
from seckex.crypto.pinned import PinnedTrust
from seckex.errors import AuthenticationFailed, BadCertificate, Flaw
from seckex.wire.pairing import decode_card, encode_card
from tests.conversation import HOME, NODE
from tests.crypto.certified import DAY, NOW, Maker, trust


def alone(nai: str, *, now: float = NOW, days: int = 10) -> Identity:
    issued = issue_alone(nai, now, days)
    return Identity.from_pem(issued.certificate, issued.key.octets)


def pinned(*identities: Identity) -> PinnedTrust:
    return PinnedTrust([read_card(make_card(each, "")).certificate for each in identities])


class PinnedTests(SynchronousTestCase):
    def flaw(self, judge: PinnedTrust, chain: tuple[bytes, ...], now: float = NOW) -> Flaw:
        error: BadCertificate = self.assertRaises(BadCertificate, judge.verify, chain, now)
        return error.flaw

    def test_a_certificate_by_itself_is_trusted_for_the_name_in_it(self) -> None:
        node = alone(NODE)
        voucher = pinned(node).verify(node.chain, NOW)
        self.assertEqual((voucher.nai, voucher.fingerprint), (NODE, node.fingerprint))
        self.assertEqual(voucher.not_after, node.not_after)
        voucher.verify(node.sign(b"label", b"transcript"), b"label", b"transcript")

    def test_no_other_is_though_it_has_the_same_name_or_the_same_key(self) -> None:
        node = alone(NODE)
        self.assertEqual(self.flaw(pinned(node), alone(NODE).chain), Flaw.UNKNOWN_ISSUER)
        self.assertEqual(self.flaw(pinned(node), alone(HOME).chain), Flaw.UNKNOWN_ISSUER)

    def test_it_vouches_for_nobody(self) -> None:
        node, root = alone(NODE), Maker.root()
        other = root.identity(HOME)
        self.assertEqual(self.flaw(pinned(node), (other.chain[0], node.chain[0])), Flaw.UNKNOWN_ISSUER)

    def test_dates_are_checked(self) -> None:
        node = alone(NODE)
        judge = pinned(node)
        self.assertEqual(judge.verify(node.chain, node.not_after - 1).nai, NODE)
        self.assertEqual(self.flaw(judge, node.chain, node.not_after), Flaw.EXPIRED)
        self.assertEqual(self.flaw(judge, node.chain, NOW - DAY), Flaw.NOT_YET_VALID)

    def test_authorities_are_asked_about_all_others(self) -> None:
        node, root = alone(NODE), Maker.root()
        home = root.identity(HOME)
        judge = PinnedTrust([read_card(make_card(node, "")).certificate], trust(root))
        self.assertEqual(judge.verify(home.chain, NOW).nai, HOME)
        self.assertEqual(judge.verify(node.chain, NOW).nai, NODE)
        self.assertEqual(self.flaw(judge, alone(NODE).chain), Flaw.UNKNOWN_ISSUER)

    def test_one_that_an_authority_has_issued_can_be_pinned_without_it(self) -> None:
        home = Maker.root().under("between").identity(HOME)
        self.assertEqual(pinned(home).verify(home.chain, NOW).nai, HOME)

    def test_chains_are_bounded(self) -> None:
        node = alone(NODE)
        self.assertEqual(self.flaw(pinned(node), ()), Flaw.MALFORMED)
        self.assertEqual(self.flaw(pinned(node), node.chain * 5), Flaw.TOO_LONG)
        self.assertEqual(self.flaw(pinned(node), (b"rubbish",)), Flaw.MALFORMED)

    def test_digests_tell_pins_apart(self) -> None:
        node, home, root = alone(NODE), alone(HOME), trust(Maker.root())
        certificates = [read_card(make_card(each, "")).certificate for each in (node, home)]
        judges = [PinnedTrust(certificates[:1]), PinnedTrust(certificates), PinnedTrust(certificates, root)]
        self.assertEqual(len({judge.digests["trust"] for judge in judges}), 3)
        self.assertEqual(PinnedTrust(certificates[::-1]).digests, judges[1].digests)
        self.assertEqual(set(judges[2].digests), set(root.digests))


class CardTests(SynchronousTestCase):
    def test_who_made_a_card_is_found_on_it(self) -> None:
        home = alone(HOME)
        found = meet(make_card(home, "192.0.2.1:4434"), NODE, NOW)
        self.assertEqual(
            (found.nai, found.card.address, found.voucher.fingerprint), (HOME, "192.0.2.1:4434", home.fingerprint)
        )

    def test_what_is_altered_on_it_is_noticed(self) -> None:
        octets = make_card(alone(HOME), "192.0.2.1:4434")
        card = decode_card(octets)
        self.assertRaises(AuthenticationFailed, read_card, octets.replace(b"192.0.2.1", b"192.0.2.2"))
        self.assertRaises(AuthenticationFailed, read_card, encode_card(evolve(card, signature=card.signature[:-1])))
        self.assertRaises(BadCertificate, read_card, encode_card(evolve(card, nai=NODE)))
        other = evolve(card, chain=alone(HOME).chain)
        self.assertRaises(AuthenticationFailed, read_card, encode_card(other))

    def test_nobody_meets_himself_or_one_whose_time_is_over(self) -> None:
        home = alone(HOME)
        self.assertRaises(BadCertificate, meet, make_card(home, ""), HOME, NOW)
        error = self.assertRaises(BadCertificate, meet, make_card(home, ""), NODE, home.not_after)
        self.assertEqual(error.flaw, Flaw.EXPIRED)


class CodeTests(SynchronousTestCase):
    def test_both_have_the_same_code_of_files_and_others_have_another(self) -> None:
        node, home, mallory = alone(NODE), alone(HOME), alone(HOME)
        code = carried_code(node, home)
        self.assertEqual(carried_code(home, meet(make_card(node, ""), HOME, NOW).voucher), code)
        self.assertNotEqual(carried_code(node, mallory), code)
        self.assertRegex(code, r"^(\d{5} ){11}\d{5}$")

    def test_codes_of_connections(self) -> None:
        transcript = pair_transcript((b"n", b"card"), (b"m", b"other"))
        self.assertRegex(live_code(transcript), r"^(\d{4} ){3}\d{4}$")
        for other in (
            pair_transcript((b"m", b"card"), (b"n", b"other")),
            pair_transcript((b"n", b"card"), (b"m", b"others")),
            pair_transcript((b"ncard", b""), (b"m", b"other")),
        ):
            self.assertNotEqual(live_code(other), live_code(transcript))

    def test_commitments(self) -> None:
        said = commitment(b"n" * 32, b"card")
        check_commitment(said, b"n" * 32, b"card")
        for nonce, card in ((b"m" * 32, b"card"), (b"n" * 32, b"cards"), (b"n" * 31, b"ncard")):
            self.assertRaises(AuthenticationFailed, check_commitment, said, nonce, card)

    def test_confirmations_are_of_one_side(self) -> None:
        node = alone(NODE)
        voucher = meet(make_card(node, ""), HOME, NOW).voucher
        said = sign_confirmation(node, b"t" * 32, caller=True)
        check_confirmation(voucher, said, b"t" * 32, caller=True)
        self.assertRaises(AuthenticationFailed, check_confirmation, voucher, said, b"t" * 32, caller=False)
        self.assertRaises(AuthenticationFailed, check_confirmation, voucher, said, b"u" * 32, caller=True)
