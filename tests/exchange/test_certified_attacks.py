"""Attacks on exchanges by certificates: nobody gets an association that it has not proved its name for."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import evolve

from seckex.crypto.certified import Certificates
from seckex.crypto.identity import Identity
from seckex.crypto.suites import new_aead
from seckex.errors import AuthenticationFailed, Malformed
from seckex.events import AssociationEstablished, CertificateRefused, CounterReceived, NegotiationRefused
from seckex.exchange import certified_messages as messages
from seckex.exchange.certified_initiator import ExpectAnswer, ExpectConfirmed
from seckex.exchange.certified_responder import ExpectConfirm
from seckex.exchange.messages import Received
from seckex.machine import Path
from seckex.sa.offer import to_payload
from seckex.sa.proposal import own_offer
from seckex.wire.extensions import (
    Detail,
    Exchange,
    SaPayloadExtension,
    encode_authenticator_start,
    encode_identity_start,
)
from seckex.wire.general import decode_message
from seckex.wire.identity import decode_identity, encode_identity, identity_size
from seckex.wire.numbers import HEADER_SIZE, MAX_CERTIFICATES, Code, Kind, Role, Suite
from seckex.wire.payloads import encode_sa
from tests.conversation import AES, CHACHA, HOME, NODE, policy, sealing
from tests.crypto.certified import Maker, flipped, trust
from tests.exchange.certified import SMOOTH, CertifiedCase, settled
from tests.link import Datagram, Fault, lose
from tests.pump import Host

#: What is said to messages that cannot be believed; it changes nothing for whoever hears it.
HINTS = ("UNKNOWN", "VERSIONS")
OTHER, EVIL = "other@example.net", "evil@example.net"


def on(kind: str, act: Callable[[Datagram], Iterable[Datagram]]) -> Fault:
    """Return a fault that befalls all messages of one kind."""
    return lambda datagram: act(datagram) if datagram.called(kind) else (datagram,)


def altered(change: Callable[[bytes], bytes]) -> Callable[[Datagram], Iterable[Datagram]]:
    return lambda datagram: (evolve(datagram, octets=change(datagram.octets)),)


class AttackCase(CertifiedCase):
    def upto(self, kind: str, *, mine: Identity | None = None) -> tuple[Host, Host, Datagram]:
        """Let an exchange go on until a message of ``kind``, which is lost; return it."""
        node, home = self.certified(node=mine)
        self.network.faults.append(on(kind, lose))
        self.wanted(node, home, 0.1)
        return node, home, self.network.last(kind)

    def deliver(self, datagram: Datagram, octets: bytes) -> list[Datagram]:
        """Have ``octets`` arrive in place of ``datagram``; return what is said upon them, without `HINTS`."""
        before = len(self.network.sent)
        self.network.hosts[datagram.destination._replace(tcp=False)].receive(octets, datagram.source)
        return [each for each in self.network.sent[before:] if each.label not in HINTS]


class BitTests(AttackCase):
    """Every bit of every message turned."""

    def unmoved(self, kind: str) -> None:
        node, home, datagram = self.upto(kind)
        host = self.network.hosts[datagram.destination._replace(tcp=False)]
        before = host.tables()
        for bit in range(8 * len(datagram.octets)):
            said = self.deliver(datagram, flipped(datagram.octets, bit))
            self.assertEqual(said, [], f"bit {bit}")
            if host.tables() != before:
                self.fail(f"bit {bit} of {kind} has moved {host.name}")
        # And the message as it was still does what it should.
        self.network.faults.clear()
        self.deliver(datagram, datagram.octets)
        self.network.run(5)
        self.assertConversation(node, home)

    def test_choice(self) -> None:
        self.unmoved("CHOICE")

    def test_confirm(self) -> None:
        self.unmoved("CONFIRM")

    def test_confirmed(self) -> None:
        self.unmoved("CONFIRMED")

    def test_refusal_of_confirm(self) -> None:
        node, _, datagram = self.upto("REFUSAL", mine=self.root.identity(OTHER))
        before = node.tables()
        for bit in range(8 * len(datagram.octets)):
            self.assertEqual(self.deliver(datagram, flipped(datagram.octets, bit)), [])
            self.assertEqual(node.tables(), before, f"bit {bit}")
        self.deliver(datagram, datagram.octets)
        self.assertTold(node, NegotiationRefused, code=Code.PROHIBITED)

    def test_offer(self) -> None:
        node, home, offer = self.upto("OFFER")
        for bit in range(8 * len(offer.octets)):
            # Nobody has proved anything by then, so that there may be an answer; but it does not convince.
            for answer in self.deliver(offer, flipped(offer.octets, bit)):
                state = self.awaiting(node)
                self.assertEqual(len(list(node.node.associations)), 0)
                if not answer.called("CHOICE"):
                    continue
                self.assertEqual(self.deliver(answer, answer.octets), [], f"bit {bit}")
                self.assertEqual(self.awaiting(node), state, f"bit {bit}")
        self.assertNothing(node, home)

    def awaiting(self, node: Host) -> object:
        [conversation] = node.node._asking._expecting.values()
        return conversation.state


class ReplayTests(AttackCase):
    def test_a_recorded_exchange_is_of_no_use(self) -> None:
        node, home = self.certified()
        self.agreed(node, home)
        recorded = [each for each in self.network.sent if each.source.host == node.path.host]
        held = settled(home)
        node.stop()
        for restart in (False, True):
            if restart:
                home.restart()
            else:
                self.network.run(31)
            for datagram in recorded:
                self.deliver(datagram, datagram.octets)
            self.network.run(40)
            self.assertEqual(settled(home), held)
            self.assertEqual(len(home.told(AssociationEstablished)), 1)

    def test_at_once_copies_get_the_same_answers(self) -> None:
        node, home = self.certified()
        self.agreed(node, home)
        offer, _, confirm, confirmed = self.network.sent
        held = settled(home)
        self.assertEqual(self.deliver(offer, offer.octets), [])
        self.assertEqual([each.octets for each in self.deliver(confirm, confirm.octets)], [confirmed.octets])
        self.assertEqual(settled(home), held)

    def test_a_recorded_choice_in_another_exchange(self) -> None:
        node, home, choice = self.upto("CHOICE")
        node.restart()
        self.network.run(0.1)
        offer = self.network.last("OFFER")
        fresh = offer.octets[4:12]
        for octets in (choice.octets, choice.octets[:4] + fresh + choice.octets[12:]):
            self.assertEqual(self.deliver(choice, octets), [])
        # Its SPI is that of the old exchange, too.
        spi = offer.octets[HEADER_SIZE + 8 : HEADER_SIZE + 12]
        place = slice(HEADER_SIZE + 8, HEADER_SIZE + 12)
        moved = bytearray(choice.octets[:4] + fresh + choice.octets[12:])
        moved[place] = spi
        self.assertEqual(self.deliver(choice, bytes(moved)), [])
        self.assertNothing(node, home)


class ReflectionTests(AttackCase):
    def test_an_offer_that_comes_back(self) -> None:
        node, home, offer = self.upto("OFFER")
        back = evolve(offer, source=offer.destination, destination=offer.source._replace(tcp=False))
        [choice] = self.deliver(back, offer.octets)
        self.assertTrue(choice.called("CHOICE"))
        # It is by the initiator itself, and is offered to it as the responder's.
        mine = evolve(choice, source=offer.destination, destination=node.path)
        self.assertEqual(self.deliver(mine, choice.octets), [])
        self.assertTold(node, CertificateRefused, flaw="wrong-name")
        self.assertNothing(node, home)

    def test_everything_that_comes_back(self) -> None:
        node, home = self.certified()
        self.agreed(node, home)
        held = settled(node), settled(home)
        for datagram in list(self.network.sent):
            for host in (node, home):
                host.receive(datagram.octets, datagram.destination._replace(tcp=True))
                self.network.run(0.1)
        self.assertEqual((settled(node), settled(home)), held)


class SpliceTests(AttackCase):
    def three(self) -> tuple[Host, Host, Host]:
        node, home = self.certified()
        other = self.network.host(OTHER)
        other.certifies(home, AES, self.root.identity(OTHER), trust(self.root))
        home.certifies(other, AES, self.root.identity(HOME), trust(self.root))
        home.restart()
        other.start()
        return node, other, home

    def test_answers_swapped_between_two_initiators(self) -> None:
        for kind in ("CHOICE", "CONFIRMED"):
            self.anew()
            node, other, home = self.three()
            self.network.faults.append(on(kind, lose))
            node.want(home)
            other.want(home)
            self.network.run(0.1)
            first, second = (each for each in self.network.sent if each.called(kind))
            for datagram, octets in ((first, second.octets), (second, first.octets)):
                mine = datagram.octets[4:12]
                self.assertEqual(self.deliver(datagram, octets), [])
                self.assertEqual(self.deliver(datagram, octets[:4] + mine + octets[12:]), [])
            self.assertNothing(node, other)

    def test_confirmations_swapped_between_two_initiators(self) -> None:
        node, other, home = self.three()
        self.network.faults.append(on("CONFIRM", lose))
        node.want(home)
        other.want(home)
        self.network.run(0.1)
        first, second = (each for each in self.network.sent if each.called("CONFIRM"))
        for datagram, octets in ((first, second.octets), (second, first.octets)):
            spi = datagram.octets[12:16]
            moved = octets[:12] + spi + octets[16:]
            moved = moved.replace(octets[12:16], spi)
            self.assertEqual(self.deliver(datagram, moved), [])
        self.assertNothing(node, other, home)

    def test_one_principals_proof_under_anothers_keys(self) -> None:
        """Identity misbinding: somebody whom NODE trusts with its name turns that into an association with HOME."""
        # NODE asks EVIL, who is certified and honestly answers; at the same time EVIL asks HOME.
        node, evil = self.network.host(NODE), self.network.host(EVIL)
        home = self.network.host(HOME)
        node.certifies(evil, AES, self.root.identity(NODE), trust(self.root))
        evil.certifies(home, AES, self.root.identity(EVIL), trust(self.root))
        evil.certifies(node, AES, self.root.identity(EVIL), trust(self.root))
        home.certifies(node, AES, self.root.identity(HOME), trust(self.root))
        home.certifies(evil, AES, self.root.identity(HOME), trust(self.root))
        for host in (node, evil, home):
            host.start()
        self.network.faults.append(on("CONFIRM", lose))
        node.want(evil)
        evil.want(home)
        self.network.run(0.1)
        confirms = {each.source.host: each for each in self.network.sent if each.called("CONFIRM")}
        theirs, own = confirms[node.path.host], confirms[evil.path.host]
        [answering] = [talk.state for _, talk in evil.node._certified.half_open._entries.values()]
        assert isinstance(answering, ExpectConfirm)
        presented = messages.open_confirm(Received(decode_message(theirs.octets), theirs.octets), answering.place)
        # EVIL knows the keys of its exchange with HOME, and seals NODE's proof under them.
        [asking] = [talk.state for talk in evil.node._asking._expecting.values()]
        assert isinstance(asking, ExpectConfirmed)
        forged = self.sealed_again(own.octets, asking.place, presented)
        said = self.deliver(own, forged)
        self.assertEqual([each.label for each in said], ["REFUSAL 1"])
        self.assertTold(home, NegotiationRefused, code=Code.FAILED_AUTHENTICATION)
        self.assertNothing(home)

    def sealed_again(self, own: bytes, place: messages.Place, presented: messages.Presented) -> bytes:
        header = own[:HEADER_SIZE]
        size = identity_size(presented.octets) + 16
        start = header + encode_identity_start(size)
        said = encode_identity(presented.octets, presented.signature)
        key = place.handshake.identity_key(Role.INITIATOR, place.transcript.digest)
        sealed = new_aead(Suite.AES_256_GCM, key).encrypt(bytes(12), said, start)
        octets = start + sealed + encode_authenticator_start(place.spis[1], 32)
        after = place.transcript.heard(place.round, Role.INITIATOR, octets)
        keys = place.keys((NODE, HOME), after)
        return octets + keys.confirm(Role.INITIATOR, b"seckex1 confirm", after.digest, header)

    def test_a_name_other_than_the_one_that_signed_in_the_keys(self) -> None:
        node, _, confirm = self.upto("CONFIRM")
        [asking] = [talk.state for talk in node.node._asking._expecting.values()]
        assert isinstance(asking, ExpectConfirmed)
        received = Received(decode_message(confirm.octets), confirm.octets)
        messages.verify_confirm(received, (NODE, HOME), asking.place)
        for names in ((EVIL, HOME), (NODE, EVIL), (HOME, NODE)):
            self.assertRaises(AuthenticationFailed, messages.verify_confirm, received, names, asking.place)

    def test_who_knows_only_the_public_half_of_a_certificate(self) -> None:
        stolen = self.root.identity(NODE)
        false = Identity.__new__(Identity)
        mine = Maker.root("mine").identity(EVIL)
        for name in ("nai", "chain", "fingerprint", "not_after", "not_before"):
            setattr(false, name, getattr(stolen, name))
        false.key = mine.key
        node, home = self.certified(node=false)
        self.wanted(node, home)
        self.assertArrows(*SMOOTH[:3], "<-- REFUSAL 1")
        self.assertTold(home, NegotiationRefused, code=Code.FAILED_AUTHENTICATION)
        self.anew()
        for name in ("nai", "chain", "fingerprint"):
            setattr(false, name, getattr(self.root.identity(HOME), name))
        node, home = self.certified(home=false)
        self.wanted(node, home)
        self.assertNotIn("CONFIRM -->", self.network.arrows())
        self.assertNothing(node, home)


class DowngradeTests(AttackCase):
    BOTH = policy(sealing("aes-256-gcm"), sealing("chacha20-poly1305"))

    def chosen(self, *hosts: Host) -> set[str]:
        return {str(each.agreement) for host in hosts for each in host.node.associations}

    def forged_counter(self, offer: bytes) -> bytes:
        received = Received(decode_message(offer), offer)
        asked = received.need(Exchange)
        _, home = self.certified(CHACHA, CHACHA)
        home.stop()
        said = evolve(asked, nonce=bytes(32))
        # What CHACHA would offer, without its key exchange, is what is asked for.
        sa = SaPayloadExtension(encode_sa(to_payload(own_offer(CHACHA))))
        detail = Detail(Code.COUNTER_OFFER, 0, 0, "forged")
        octets, _ = messages.build_plain(
            Kind.COUNTER, received.header.identification, said, (sa, detail), messages.beginning()
        )
        return octets

    def test_a_forged_counter_gets_nothing_less(self) -> None:
        node, home = self.certified(self.BOTH, self.BOTH)
        self.network.faults.append(on("CHOICE", lose))
        self.wanted(node, home, 0.05)
        choice = self.network.last("CHOICE")
        self.network.faults.clear()
        offer = self.network.last("OFFER")
        self.deliver(choice, self.forged_counter(offer.octets))
        self.assertTold(node, CounterReceived)
        self.network.run(10)
        self.assertConversation(node, home)
        self.assertEqual({"aes-256-gcm" in each for each in self.chosen(node, home)}, {True})

    def test_a_later_round_passed_off_as_the_first(self) -> None:
        """The forged COUNTER is hidden from the responder by calling round 2 round 1, and back."""
        node, home = self.certified(self.BOTH, self.BOTH)
        at = HEADER_SIZE + 4

        def renumbered(number: int) -> Callable[[bytes], bytes]:
            return lambda octets: octets[:at] + bytes([number]) + octets[at + 1 :]

        def first(datagram: Datagram) -> Iterable[Datagram]:
            if datagram.octets[at] == 1:
                counter = self.forged_counter(datagram.octets)
                return (Datagram(datagram.destination, datagram.source._replace(tcp=False), counter),)
            return altered(renumbered(1))(datagram)

        self.network.faults.append(on("OFFER", first))
        self.network.faults.append(on("CHOICE", altered(renumbered(2))))
        self.wanted(node, home, 20)
        self.assertTrue(node.told(CounterReceived))
        self.assertIn("<-- CHOICE 1", self.network.arrows())
        self.assertNothing(node, home)

    def test_a_counter_that_was_altered(self) -> None:
        ours = policy(sealing("aes-256-gcm"), sealing("chacha20-poly1305"), open_with=1)
        node, home = self.certified(ours, CHACHA)
        self.network.faults.append(on("COUNTER", altered(lambda octets: octets[:-1] + b"!")))
        self.wanted(node, home, 20)
        self.assertIn("<-- CHOICE 2", self.network.arrows())
        self.assertNothing(node, home)

    def test_a_forged_refusal_ends_an_attempt_and_nothing_else(self) -> None:
        node, home = self.certified()
        forged: list[Datagram] = []

        def refuse(datagram: Datagram) -> Iterable[Datagram]:
            if forged:
                return (datagram,)
            forged.append(datagram)
            received = Received(decode_message(datagram.octets), datagram.octets)
            detail = Detail(Code.PROHIBITED, 0, 0, "go away")
            asked = evolve(received.need(Exchange), responder_spi=0)
            octets, _ = messages.build_plain(
                Kind.REFUSAL, received.header.identification, asked, (detail,), messages.beginning()
            )
            return (evolve(datagram, octets=octets),)

        self.network.faults.append(on("CHOICE", refuse))
        self.wanted(node, home, 5)
        self.assertTold(node, NegotiationRefused)
        self.assertConversation(node, home)


class ProbingTests(AttackCase):
    def test_a_stranger_learns_the_responder_and_never_an_initiator(self) -> None:
        stranger = Maker.root("strangers").identity(EVIL)
        node, home = self.certified(home=stranger)
        self.wanted(node, home, 31)
        self.assertNotIn("CONFIRM -->", self.network.arrows())
        self.assertNothing(node, home)

    def test_identities_that_cannot_be(self) -> None:
        one = self.root.identity(NODE).chain[0]
        chain = (len(one)).to_bytes(2, "big") + one
        right = encode_identity(bytes([1]) + chain, bytes(70))
        self.assertEqual(decode_identity(right).chain, (one,))
        many = bytes([MAX_CERTIFICATES + 1]) + chain * (MAX_CERTIFICATES + 1)
        huge = bytes([1]) + (7000).to_bytes(2, "big") + bytes(7000)
        for wrong in (
            encode_identity(many, b""),
            encode_identity(huge, b""),
            encode_identity(bytes([0]), b""),
            right + bytes(256),
            right[:-1],
            right[:-1] + b"\1",
            right[: 1 + len(chain)] + bytes([73]) + right[2 + len(chain) :],
            b"",
        ):
            self.assertRaises(Malformed, decode_identity, wrong)

    def test_an_authenticator_where_nothing_is_authenticated(self) -> None:
        _, home, offer = self.upto("OFFER")
        tail = encode_authenticator_start(0, 32) + bytes(32)
        self.assertEqual(self.deliver(offer, offer.octets + tail), [])
        self.assertDropped(home, "malformed", "an authenticator, or an SPI, where none can be")

    def test_many_offers_cost_bounded_room(self) -> None:
        node, home, offer = self.upto("OFFER")
        state = self.network.hosts[node.path].node._asking
        [conversation] = state._expecting.values()
        self.assertIsInstance(conversation.state, ExpectAnswer)
        limit = home.limits.half_open
        self.assertEqual(limit, 4096)
        for number in range(50):
            octets = offer.octets[:4] + number.to_bytes(8, "big") + offer.octets[12:]
            self.deliver(evolve(offer, source=Path("192.0.2.77", number + 1, None, True)), octets)
        self.assertEqual(home.counters["certified-half-open"], 50)
        self.assertEqual(dict(home.store.associations), {})

    def test_many_offers_and_confirmations_that_come_to_nothing_make_few_reports(self) -> None:
        _, home, offer = self.upto("OFFER")
        changed = offer.octets[:16] + offer.octets[16:].replace(b"\x01\0\0\0", b"\x02\0\0\0", 1)
        for number in range(50):
            octets = changed[:4] + number.to_bytes(8, "big") + changed[12:]
            [answer] = self.deliver(offer, octets)
            self.assertTrue(answer.called("REFUSAL"))
        self.assertEqual(len(home.reports), 10)
        self.assertEqual(home.counters["dropped.unproved"], 50)

    def test_nor_do_strangers_with_certificates_make_many(self) -> None:
        mine = Maker.root("strangers").identity(EVIL)
        node, home, _ = self.upto("OFFER", mine=mine)
        self.network.faults.clear()
        for _ in range(20):
            node.restart()
            self.network.run(0.1)
        self.assertEqual(len([each for each in self.network.sent if each.called("CONFIRM")]), 20)
        self.assertLessEqual(len(home.told(CertificateRefused)), 10)


class SecretTests(AttackCase):
    def test_nothing_secret_is_shown(self) -> None:
        node, home, _ = self.upto("CONFIRM")
        shown = repr([talk.state for _, talk in home.node._certified.half_open._entries.values()])
        for host in (node, home):
            shown += "".join(map(repr, host.reports)) + "".join(map(str, host.reports))
        states = [talk.state for talk in node.node._asking._expecting.values()]
        shown += repr(states)
        [asking] = states
        assert isinstance(asking, ExpectConfirmed)
        handshake, keys = asking.place.handshake, asking.association.keys
        secrets = [handshake.secret.octets, handshake.mix.octets, keys.secret.octets]
        authority = node.node.peers[HOME].terms.authority
        assert isinstance(authority, Certificates)
        for secret in secrets:
            self.assertNotIn(secret.hex(), shown)
            self.assertNotIn(repr(secret)[2:20], shown)
        self.assertIn("<Identity node@example.net", repr(authority.identity))
