"""What a sequence of payloads means, and the rules of docs/protocol.md, section 5, that give it its meaning."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given, settings
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.groups.user import Parameters
from seckex.errors import PeerFault, PeerIncompatible, PeerMisbehaved
from seckex.sa.algorithms import ALL, BY_NAME, BY_NUMBER, PROTOCOL_NAMES
from seckex.sa.offer import Offer, OfferedProtocol, OfferedTransform, from_payload, numbered, to_payload
from seckex.sa.proposal import Countered, select
from seckex.wire.numbers import Code, KeyExchangeSub, ProtocolId, SaSubType
from seckex.wire.payloads import (
    Attribute,
    KeyExchange,
    Part,
    Proposal,
    SaPayload,
    Transform,
    UnknownPayload,
    UserKeyExchange,
    decode_sa,
    encode_sa,
)
from tests.sa.samples import (
    ENCRYPTION,
    HOUR,
    KEY_AGREEMENT,
    PRF,
    SHARE,
    alternative,
    known_offers,
    offer,
    policy,
    proposal,
)
from tests.wire.samples import sas

SOME = settings(max_examples=75, deadline=None)

AES = Transform(1, 2, 20, (Attribute(14, 256),))
CHACHA = Transform(2, 2, 28)
HMAC = Transform(1, 2, 12)
X25519 = Transform(1, 0, 31)
VALUE = KeyExchange(KeyExchangeSub.GROUP, 31, SHARE)

# P = 23, G = 5: a group as far as an offer can tell.
USERS = Parameters(b"\x17", b"\5")


def encryption(number: int = 1, protocol_number: int = 1, *transforms: Transform, lifetime: int = HOUR) -> Proposal:
    """Return a proposal of encryption; AES where nothing else is said."""
    return Proposal(number, protocol_number, ProtocolId.ENCRYPTION, lifetime, 0, transforms or (AES,))


def authentication(number: int = 1, protocol_number: int = 2, *transforms: Transform, lifetime: int = HOUR) -> Proposal:
    """Return a proposal of authentication."""
    return Proposal(number, protocol_number, ProtocolId.AUTHENTICATION, lifetime, 0, transforms or (HMAC,))


def agreement(number: int = 1, protocol_number: int = 2, *transforms: Transform) -> Proposal:
    """Return a proposal of key agreement, for key exchanges to follow."""
    return Proposal(number, protocol_number, ProtocolId.KEY_AGREEMENT, HOUR, 0, transforms or (X25519,))


def meaning(*parts: Part, choice: bool = False) -> Offer:
    """Return what a responder reads, from octets."""
    return from_payload(decode_sa(encode_sa(SaPayload(SaSubType.PRINCIPALS, parts))), choice=choice)


class TableTests(SynchronousTestCase):
    def test_the_transforms_of_section_5(self) -> None:
        self.assertEqual(
            {(a.name, PROTOCOL_NAMES[a.protocol], int(a.transform_id), a.key_bits, a.keys) for a in ALL},
            {
                ("aes-256-gcm", "encryption", 20, 256, 2),
                ("aes-128-gcm", "encryption", 20, 128, 2),
                ("chacha20-poly1305", "encryption", 28, 0, 2),
                ("hmac-sha-256", "authentication", 12, 0, 2),
                ("hmac-sha-384", "authentication", 13, 0, 2),
                ("prf-hmac-sha-256", "prf", 5, 0, 1),
                ("prf-hmac-sha-384", "prf", 6, 0, 1),
                ("x25519", "key-agreement", 31, 0, 0),
                ("p-256", "key-agreement", 19, 0, 0),
                ("x25519-ml-kem-768", "key-agreement", 1024, 0, 0),
                ("modp-2048", "key-agreement", 14, 0, 0),
                ("modp-3072", "key-agreement", 15, 0, 0),
                ("modp-1024", "key-agreement", 2, 0, 0),
                ("modp-768", "key-agreement", 1, 0, 0),
            },
        )

    def test_no_two_share_a_name_or_a_number(self) -> None:
        self.assertEqual((len(BY_NAME), len(BY_NUMBER)), (len(ALL), len(ALL)))
        self.assertEqual(set(PROTOCOL_NAMES), set(ProtocolId))
        self.assertEqual([str(algorithm) for algorithm in ALL], list(BY_NAME))


class FigureTests(SynchronousTestCase):
    def test_figure_24_two_proposals_each_with_its_transforms_and_key_exchange(self) -> None:
        other = KeyExchange(KeyExchangeSub.GROUP, 31, b"\x66" * 32)
        read = meaning(agreement(1, 1), VALUE, agreement(2, 1), other)
        self.assertEqual(
            [(a.number, dict(a.shares)) for a in read.alternatives], [(1, {31: SHARE}), (2, {31: other.value})]
        )
        self.assertEqual(read.sub_type, SaSubType.PRINCIPALS)

    def test_figure_26_one_number_is_one_alternative_of_several_protocols(self) -> None:
        (only,) = meaning(encryption(), authentication()).alternatives
        self.assertEqual(
            [(m.number, m.protocol) for m in only.protocols],
            [(1, ProtocolId.ENCRYPTION), (2, ProtocolId.AUTHENTICATION)],
        )
        self.assertEqual(str(only), "aes-256-gcm + hmac-sha-256")

    def test_figure_27_rising_numbers_are_several_alternatives(self) -> None:
        read = meaning(encryption(), authentication(), encryption(2, 1, CHACHA, lifetime=60), encryption(3))
        self.assertEqual(
            [(a.number, len(a.protocols), a.lifetime) for a in read.alternatives],
            [(1, 2, HOUR), (2, 1, 60), (3, 1, HOUR)],
        )
        self.assertEqual(str(read), "#1: aes-256-gcm + hmac-sha-256; #2: chacha20-poly1305; #3: aes-256-gcm")

    def test_figure_28_transforms_of_a_proposal_are_in_order_of_preference(self) -> None:
        (only,) = meaning(encryption(1, 1, CHACHA, evolve(AES, number=3))).alternatives
        self.assertEqual(
            [(t.number, str(t)) for t in only.protocols[0].transforms], [(2, "chacha20-poly1305"), (3, "aes-256-gcm")]
        )
        self.assertEqual(str(only), "chacha20-poly1305 or aes-256-gcm")


class UnknownTests(SynchronousTestCase):
    """Unknown is not malformed: it stays in the offer and is not chosen."""

    def transform(self, transform: Transform, protocol: int = ProtocolId.ENCRYPTION) -> OfferedTransform:
        read = meaning(Proposal(1, 1, protocol, HOUR, 0, (transform,)))
        return read.alternatives[0].protocols[0].transforms[0]

    def test_transforms(self) -> None:
        for unknown, protocol in (
            (Transform(1, 2, 12), 2),  # AES-CBC, whose number HMAC-SHA-256 has as an authentication
            (Transform(1, 2, 20), 2),  # AES-GCM that says no key length
            (Transform(1, 2, 20, (Attribute(14, 192),)), 2),
            (Transform(1, 2, 28, (Attribute(14, 256),)), 2),
            (Transform(1, 2, 12, (Attribute(14, 256),)), 1),
            (Transform(1, 1, 5, (Attribute(14, 256),)), 4),
            (Transform(1, 0, 31, (Attribute(14, 255),)), 3),
            (Transform(1, 0, 14, (Attribute(16385, bytes(16)),)), 3),
            (Transform(1, 0, 20), 3),
            (Transform(1, 0, 1025), 3),  # a user-defined group that is not named
            (Transform(1, 0, 1025, (Attribute(16385, bytes(15)),)), 3),
            (Transform(1, 0, 1025, (Attribute(16385, 7),)), 3),
            (Transform(1, 0, 1025, (Attribute(14, 256),)), 3),
            (Transform(1, 9, 0xFFFF), 1),
        ):
            read = self.transform(unknown, protocol)
            self.assertEqual((read.algorithm, str(read)), (None, f"transform {unknown.transform_id}"))

    def test_attributes(self) -> None:
        for kind in (0, 13, 15, 16383, 16385, 32767):
            self.assertIsNone(self.transform(evolve(CHACHA, attributes=(Attribute(kind, 1),))).algorithm)
        # A bound on octets belongs to encryption, there is nothing else that it could bound.
        for protocol, transform in ((1, HMAC), (3, X25519), (4, Transform(1, 1, 5))):
            self.assertIsNotNone(self.transform(transform, protocol).algorithm)
            bounded = evolve(transform, attributes=(Attribute(16384, 5),))
            self.assertIsNone(self.transform(bounded, protocol).algorithm)

    def test_a_bound_on_octets_in_both_forms(self) -> None:
        for value, bound in ((5, 5), (b"\5", 5), (b"\1\0\0", 1 << 16), (bytes(1) + b"\1\0\0\0", 1 << 24)):
            read = self.transform(evolve(CHACHA, attributes=(Attribute(16384, value),)))
            self.assertEqual((str(read), read.mebioctets), ("chacha20-poly1305", bound))

    def test_protocols(self) -> None:
        read = meaning(encryption(), Proposal(1, 2, 9, HOUR, 0, (HMAC,)), Proposal(1, 3, 10, HOUR, 0, (HMAC,)))
        self.assertEqual([m.label for m in read.alternatives[0].protocols], ["encryption", "protocol 9", "protocol 10"])
        self.assertEqual([m.protocol for m in read.alternatives[0].protocols], [ProtocolId.ENCRYPTION, None, None])

    def test_an_association_between_others_is_not_negotiated_here(self) -> None:
        payload = to_payload(offer(alternative("chacha20-poly1305")))
        for sub_type in (0, 1, 2, 3, 4, 8, 99):
            fault = self.assertRaises(PeerIncompatible, from_payload, evolve(payload, sub_type=sub_type))
            self.assertEqual(fault.code, Code.NOTHING_ACCEPTABLE)

    def test_bundles(self) -> None:
        read = meaning(evolve(encryption(), spi=255, transforms=()))
        self.assertEqual(read.alternatives[0].protocols[0].bundle, 255)
        self.assertEqual(str(read), "#1: bundle 255")

    def test_keys_of_unknown_transforms_are_not_counted(self) -> None:
        self.assertIsNone(self.transform(Transform(1, 77, 99)).algorithm)

    def test_unknown_things_are_not_offered_on(self) -> None:
        strange = evolve(alternative("aes-256-gcm").protocols[0].transforms[0], algorithm=None, label="transform 99")
        member = OfferedProtocol(1, ProtocolId.ENCRYPTION, "encryption", (strange,))
        fault = self.assertRaises(
            PeerIncompatible, to_payload, offer(evolve(alternative("x25519"), protocols=(member,)))
        )
        self.assertEqual(
            (fault.code, str(fault)), (Code.NOTHING_ACCEPTABLE, "transform 99 cannot be offered from here")
        )


class RuleTests(SynchronousTestCase):
    """Each rule broken once: the code, and the proposal and transform that are at fault."""

    def broken(
        self, *parts: Part, at: tuple[int, int], why: str, code: Code = Code.POORLY_FORMED, choice: bool = False
    ) -> None:
        expected = PeerMisbehaved if code is Code.POORLY_FORMED else PeerIncompatible
        fault = self.assertRaises(expected, meaning, *parts, choice=choice)
        self.assertEqual((fault.code, fault.proposal, fault.transform), (code, *at), str(fault))
        self.assertIn(why, str(fault))

    def test_an_offer_has_proposals(self) -> None:
        self.broken(at=(0, 0), why="without proposals")

    def test_numbers_start_at_1_and_rise_by_one(self) -> None:
        for number in (0, 2, 255):
            self.broken(encryption(number), at=(number, 0), why="the first proposal number is not 1")
        self.broken(encryption(), encryption(3), at=(3, 0), why="proposal number 3 follows 1: out of sequence")
        self.broken(encryption(), encryption(2), encryption(1), at=(1, 0), why="proposal number 1 follows 2")

    def test_proposals_of_one_number_stand_together(self) -> None:
        parts = (encryption(), encryption(2), authentication(1))
        self.broken(*parts, at=(1, 0), why="proposal number 1 follows 2: out of sequence")

    def test_protocol_numbers_have_no_gap(self) -> None:
        for number in (0, 2, 255):
            self.broken(encryption(1, number), at=(1, 0), why=f"protocol number {number} where 1 belongs")
        for number in (0, 1, 3, 255):
            self.broken(
                encryption(), authentication(1, number), at=(1, 0), why=f"protocol number {number} where 2 belongs"
            )
        self.broken(encryption(), encryption(2, 2), at=(2, 0), why="protocol number 2 where 1 belongs")

    def test_no_protocol_twice_under_one_number(self) -> None:
        self.broken(encryption(), encryption(1, 2, CHACHA), at=(1, 0), why="encryption twice under one proposal number")
        unknown = Proposal(1, 1, 9, HOUR, 0, (HMAC,))
        self.broken(unknown, evolve(unknown, protocol_number=2), at=(1, 0), why="protocol 9 twice")

    def test_one_lifetime_under_one_number(self) -> None:
        parts = (encryption(), authentication(1, 2, lifetime=HOUR - 1))
        self.broken(*parts, at=(1, 0), why="differ in lifetime")

    def test_a_proposal_has_transforms(self) -> None:
        self.broken(evolve(encryption(), transforms=()), at=(1, 0), why="without transforms")

    def test_transform_numbers_rise_from_1(self) -> None:
        for first, second, at in ((1, 1, 1), (2, 1, 1), (0, 1, 0)):
            transforms = (evolve(AES, number=first), evolve(CHACHA, number=second))
            self.broken(
                encryption(), encryption(2, 1, *transforms), at=(2, at), why=f"transform number {at} does not rise"
            )

    def test_a_transform_takes_the_keys_that_it_takes(self) -> None:
        self.broken(encryption(1, 1, AES, evolve(CHACHA, keys=1)), at=(1, 2), why="chacha20-poly1305 takes 2 keys")
        self.broken(encryption(1, 1, evolve(AES, keys=0)), at=(1, 1), why="aes-256-gcm takes 2 keys")
        self.broken(agreement(1, 1, evolve(X25519, keys=1)), at=(1, 1), why="x25519 takes 0 keys")

    def test_an_spi_is_none_or_that_of_a_bundle(self) -> None:
        for spi in (256, 2**32 - 1):
            self.broken(evolve(encryption(), spi=spi), at=(1, 0), why=f"SPI {spi:#010x} is not that of a bundle")
        for spi in (1, 255):
            verdict = select(meaning(evolve(encryption(), spi=spi)), policy(proposal("aes-256-gcm")))
            self.assertIsInstance(verdict, Countered)

    def test_a_key_exchange_follows_the_proposal_that_it_serves(self) -> None:
        why = "does not follow a key agreement proposal"
        self.broken(VALUE, at=(0, 0), why=why)
        self.broken(VALUE, encryption(), agreement(), at=(0, 0), why=why)
        self.broken(encryption(), VALUE, agreement(), at=(1, 0), why=why)
        self.broken(agreement(1, 1), encryption(1, 2), VALUE, at=(1, 0), why=why)
        self.broken(agreement(1, 1), VALUE, encryption(2), VALUE, at=(2, 0), why=why)

    def test_one_key_exchange_for_each_group(self) -> None:
        self.broken(agreement(1, 1), VALUE, VALUE, at=(1, 0), why="two key exchanges for group 31")
        self.broken(agreement(1, 1), agreement(2, 1), VALUE, VALUE, at=(2, 0), why="two key exchanges for group 31")

    def test_a_key_exchange_for_a_group_that_is_listed(self) -> None:
        other = evolve(VALUE, transform_id=14)
        why = "a key exchange for group 14, which the proposal does not list"
        self.broken(agreement(1, 1), VALUE, other, at=(1, 0), why=why)
        # An unknown group may be listed, and served.
        other = evolve(VALUE, transform_id=99)
        (only,) = meaning(agreement(1, 1, X25519, Transform(2, 0, 99)), VALUE, other).alternatives
        self.assertEqual(set(only.shares), {31, 99})

    def test_the_documents_own_sub_types_name_their_group(self) -> None:
        both = agreement(1, 1, Transform(1, 0, 1), Transform(2, 0, 2))
        shares = (KeyExchange(1, 1, b"one"), KeyExchange(2, 2, b"two"))
        self.assertEqual(dict(meaning(both, *shares).alternatives[0].shares), {1: b"one", 2: b"two"})
        for sub, group in ((1, 2), (2, 1), (4, 1), (4, 2), (1, 31)):
            self.broken(
                both, KeyExchange(sub, group, b""), at=(1, 0), why=f"key exchange sub-type {sub} with group {group}"
            )

    def test_a_user_defined_group_comes_with_its_p_and_g(self) -> None:
        fingerprint = USERS.fingerprint
        listed = agreement(1, 1, X25519, Transform(2, 0, 1025, (Attribute(16385, fingerprint),)))
        part = UserKeyExchange(1025, USERS.prime, USERS.generator, b"\x44")
        (only,) = meaning(listed, VALUE, part).alternatives
        self.assertEqual(dict(only.shares), {31: SHARE, fingerprint: b"\x44"})
        self.assertEqual(dict(only.parameters), {fingerprint: USERS})
        self.assertEqual(str(only), f"x25519 or user-group-{fingerprint.hex()}")
        self.assertEqual(to_payload(meaning(listed, VALUE, part)), SaPayload(7, (listed, VALUE, part)))
        self.broken(listed, part, part, at=(1, 0), why=f"two key exchanges for {USERS.name}")
        self.broken(agreement(1, 1), part, at=(1, 0), why=f"for {USERS.name}, which the proposal does not list")
        other = evolve(part, generator=b"\3")
        self.broken(listed, other, at=(1, 0), why="which the proposal does not list")
        self.broken(listed, evolve(part, transform_id=14), at=(1, 0), why="a user-defined group with the number 14")
        self.broken(listed, evolve(VALUE, transform_id=1025), at=(1, 0), why="key exchange sub-type 4 with group 1025")

    def test_a_secret_over_a_secure_path_is_not_taken(self) -> None:
        secret = KeyExchange(KeyExchangeSub.SECRET, 31, b"")
        self.broken(agreement(1, 1), secret, at=(1, 0), why="secure path", code=Code.UNKNOWN_PAYLOAD)

    def test_an_unknown_payload_is_refused_not_dropped(self) -> None:
        why, code = "a payload of type 9 is not known here", Code.UNKNOWN_PAYLOAD
        self.broken(UnknownPayload(9, b""), encryption(), at=(0, 0), why=why, code=code)
        self.broken(encryption(), UnknownPayload(9, b""), at=(1, 0), why=why, code=code)
        self.broken(encryption(), encryption(2), UnknownPayload(9, b"body"), at=(2, 0), why=why, code=code)
        # So is a kind of key exchange that version 1 does not have.
        why = "a payload of type 4 is not known here"
        self.broken(agreement(1, 1), UnknownPayload(4, b"", 6), at=(1, 0), why=why, code=code)

    def test_a_choice_keeps_its_number_and_is_held_to_all_other_rules(self) -> None:
        self.assertEqual(meaning(encryption(3), choice=True).alternatives[0].number, 3)
        self.broken(encryption(0), at=(0, 0), why="the first proposal number is not 1", choice=True)
        self.broken(encryption(3), encryption(5), at=(5, 0), why="out of sequence", choice=True)
        self.broken(encryption(3, 2), at=(3, 0), why="protocol number 2 where 1 belongs", choice=True)


class RoundTripTests(SynchronousTestCase):
    @SOME
    @given(known_offers)
    def test_an_offer_is_read_as_it_was_meant(self, asked: Offer) -> None:
        payload = to_payload(asked)
        octets = encode_sa(payload)
        self.assertEqual(decode_sa(octets), payload)
        self.assertEqual(from_payload(decode_sa(octets)), asked)
        self.assertEqual(encode_sa(to_payload(from_payload(decode_sa(octets)))), octets)

    def test_an_offer_as_payloads(self) -> None:
        asked = offer(alternative("x25519", "aes-256-gcm", "chacha20-poly1305", mebioctets=1 << 16, lifetime=60))
        bound = Attribute(16384, (1 << 16).to_bytes(5, "big"))
        transforms = (evolve(AES, attributes=(*AES.attributes, bound)), evolve(CHACHA, attributes=(bound,)))
        expected = (encryption(1, 1, *transforms, lifetime=60), evolve(agreement(), lifetime=60), VALUE)
        self.assertEqual(to_payload(asked), SaPayload(SaSubType.PRINCIPALS, expected))

    def test_a_bound_on_octets_is_short_where_it_can_be(self) -> None:
        (part,) = to_payload(offer(alternative("chacha20-poly1305", mebioctets=(1 << 16) - 1))).payloads
        self.assertEqual(part, encryption(1, 1, Transform(1, 2, 28, (Attribute(16384, 0xFFFF),))))

    def test_numbering_is_the_order_of_preference(self) -> None:
        one = alternative("aes-256-gcm")
        self.assertEqual([a.number for a in numbered((one, one, one)).alternatives], [1, 2, 3])

    def test_protocols_are_listed_in_one_order(self) -> None:
        listed = alternative("x25519", "prf-hmac-sha-256", "hmac-sha-256", "aes-256-gcm").protocols
        self.assertEqual([m.protocol for m in listed], [ENCRYPTION, ProtocolId.AUTHENTICATION, PRF, KEY_AGREEMENT])
        self.assertEqual([m.number for m in listed], [1, 2, 3, 4])

    @SOME
    @given(sas)
    def test_whatever_can_be_read_has_a_meaning_or_a_fault(self, payload: SaPayload) -> None:
        try:
            asked = from_payload(evolve(payload, sub_type=SaSubType.PRINCIPALS))
        except PeerFault as fault:
            self.assertIn(fault.code, (Code.POORLY_FORMED, Code.UNKNOWN_PAYLOAD))
            self.assertTrue(0 <= fault.proposal <= 255 and 0 <= fault.transform <= 255)
        else:
            verdict = select(asked, policy(proposal("aes-256-gcm")))
            self.assertTrue(verdict.reasons or not isinstance(verdict, Countered))
