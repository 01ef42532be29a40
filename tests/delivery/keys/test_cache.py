"""What a target remembers: bounded, and as long only as what vouches for it."""

from __future__ import annotations

from attrs import evolve
from cryptography.x509 import Certificate
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.certificates import read_certificate
from seckex.crypto.identity import TrustAnchors
from seckex.crypto.revocation import RevocationLists
from seckex.delivery.keys.cache import MOST_GENERATIONS, MOST_SALTS
from seckex.delivery.keys.doorkeeper import SWEEP, Doorkeeper
from seckex.delivery.keys.faces import Forged, HeadersMissing, KeysWanting, Policy, Refused
from seckex.delivery.keys.initiating import Initiating
from seckex.delivery.keys.pair import Terms
from seckex.delivery.keys.rotation import LONGEST_KEK, SKEW
from seckex.delivery.keys.sources import PrekeySource
from seckex.wire.numbers import Code, MessageKek, Suite
from tests.crypto.certified import Maker
from tests.delivery.keys.people import BODY, DAY, HOME, NODE, PATH, SERVICE, Person, Talk
from tests.delivery.keys.shapes import SHORT, shape_of
from tests.roaming.air import WALL
from tests.roaming.certificates import authority, identity


class BoundTests(SynchronousTestCase):
    """The bound, and who gives way."""

    def dialogs(self, talk: Talk, count: int) -> list[Initiating]:
        found = []
        for number in range(count):
            terms = Terms(number.to_bytes(16, "big"), HOME, SERVICE)
            found.append(Initiating(talk.node, terms, PrekeySource(talk.node)))
            found[-1].connection(PATH, talk.clock.now)
        return found

    def test_the_one_used_longest_ago_gives_way(self) -> None:
        talk = Talk()
        talk.door = Doorkeeper(talk.home, most=4)
        dialogs = self.dialogs(talk, 5)
        now = talk.clock.now
        for each in dialogs[:4]:
            talk.clock.wind(1)
            opened = talk.hear(each.seal(1, 1, 0, 0, 1, 0, BODY, now))
            each.held(opened.chain, now)
        talk.clock.wind(1)
        talk.hear(dialogs[0].seal(1, 1, 0, 0, 2, 0, BODY, now))
        talk.clock.wind(1)
        talk.hear(dialogs[4].seal(1, 1, 0, 0, 1, 0, BODY, now))
        self.assertEqual(len(talk.door), 4)
        talk.hear(dialogs[0].seal(1, 1, 0, 0, 3, 0, BODY, now))
        with self.assertRaises(HeadersMissing):
            talk.hear(dialogs[1].seal(1, 1, 0, 0, 2, 0, BODY, now))
        self.assertIsNone(talk.door.accepting(NODE, (1).to_bytes(16, "big")))

    def test_thousands_of_dialogs_take_bounded_room(self) -> None:
        talk = Talk(MessageKek.ASSOCIATION)
        talk.door = Doorkeeper(talk.home, most=32)
        for number in range(200):
            talk.dialog_id = number.to_bytes(16, "big")
            talk.ours = talk.begin(talk.ours._source)
            talk.hear(talk.say())
            self.assertLessEqual(len(talk.door), 32)
        self.assertLessEqual(len(talk.door._inlets), 32)
        self.assertLessEqual(len(talk.door._dialogs), 32)

    def test_salts_and_generations_of_one_kek_are_bounded(self) -> None:
        talk = Talk()
        talk.settle()
        for number in range(3 * MOST_SALTS):
            talk.clock.wind(1)
            talk.ours.connection(b"connection %05d" % number, talk.clock.now)
            talk.door.open(talk.say(), b"connection %05d" % number, talk.clock.now)
        self.assertEqual(len(talk.door._inlets), MOST_SALTS)
        talk.path = b"connection %05d" % number
        for _ in range(3 * MOST_GENERATIONS):
            talk.ours.rotate(talk.clock.now)
            talk.hear(talk.say())
        entry = talk.theirs.entry
        assert entry is not None
        self.assertEqual(len(entry.generations), MOST_GENERATIONS)
        self.assertLessEqual(len(talk.door._inlets), MOST_SALTS)

    def test_what_opens_on_a_lost_connection_is_forgotten(self) -> None:
        talk = Talk()
        talk.settle()
        old = talk.say()
        talk.door.lost(PATH)
        self.assertEqual(len(talk.door._inlets), 0)
        self.assertRaises(HeadersMissing, talk.hear, old)

    def test_a_context_that_is_taken_is_not_taken_over(self) -> None:
        talk = Talk()
        talk.settle()
        (key,) = talk.door._inlets
        inlet = talk.door._inlets[key]
        other = Talk()
        other.door = talk.door
        other.home = talk.home
        other.ours = talk.begin(PrekeySource(talk.node))
        whole = other.say()
        talk.door._inlets.update(dict.fromkeys(self.contexts(talk, whole), inlet))
        self.assertRaises(HeadersMissing, talk.hear, whole)
        self.assertEqual(talk.hear(talk.say()).body, BODY)

    @staticmethod
    def contexts(talk: Talk, whole: bytes) -> list[bytes]:
        """Return under which keys an envelope would be found, by having another door open it."""
        door = Doorkeeper(talk.home)
        door.open(whole, PATH, talk.clock.now)
        return list(door._inlets)


class LifeTests(SynchronousTestCase):
    """Entries end with what vouches for them."""

    def test_with_the_kek(self) -> None:
        talk = Talk(MessageKek.ASSOCIATION)
        talk.settle()
        said = talk.say()
        talk.clock.wind(DAY - 1)
        self.assertEqual(talk.hear(said).body, BODY)
        said = talk.ours._outlet.sealer.seal(1, 1, 0, 0, 9, 0, BODY)  # type: ignore[union-attr]  # it has one
        self.assertEqual(shape_of(said), SHORT)
        talk.clock.wind(1)
        self.assertRaises(HeadersMissing, talk.hear, said)
        talk.clock.wind(SWEEP)
        talk.door.expire(talk.clock.now)
        self.assertEqual(len(talk.door), 0)

    def test_with_a_certificate(self) -> None:
        for whose in (NODE, HOME):
            talk = Talk()
            until = WALL + 2 * DAY
            person = talk.node if whose == NODE else talk.home
            person.identity = identity(whose, until=until)
            person.new_prekey(DAY)
            talk.node.hear(talk.home)
            talk.settle()
            kek = talk.ours.kek
            assert kek is not None
            self.assertLessEqual(kek.until, until)

    def test_a_revoked_initiator_is_forgotten_on_reload(self) -> None:
        talk, maker = self.of_maker()
        talk.settle()
        short = talk.say()
        listed = maker.revoked(self.certificate(talk.node), until=WALL + DAY)
        talk.home.trust = TrustAnchors([maker.certificate], RevocationLists([listed]))
        talk.door.recheck(talk.clock.now)
        with self.assertRaises(HeadersMissing) as caught:
            talk.hear(short)
        self.assertEqual(caught.exception.field, "Context")
        talk.ours.missing(talk.clock.now)
        with self.assertRaises(HeadersMissing) as caught:
            talk.hear(talk.say())
        self.assertEqual(caught.exception.field, "chain")
        self.assertIn("revoked", caught.exception.why)

    def test_a_revoked_target_is_sealed_to_no_more(self) -> None:
        talk, maker = self.of_maker()
        talk.settle()
        listed = maker.revoked(self.certificate(talk.home), until=WALL + DAY)
        talk.node.trust = TrustAnchors([maker.certificate], RevocationLists([listed]))
        talk.ours.recheck(talk.clock.now)
        talk.node.known.clear()
        self.assertRaises(KeysWanting, talk.say)

    def test_lists_that_grow_stale_are_noticed_in_time(self) -> None:
        talk, maker = self.of_maker()
        talk.home.trust = TrustAnchors([maker.certificate], RevocationLists([maker.revoked(until=WALL + 3600)]))
        talk.settle()
        talk.door.expire(talk.clock.now)
        self.assertEqual(len(talk.door), 1)
        talk.clock.wind(3600)
        talk.door.expire(talk.clock.now)
        self.assertEqual(len(talk.door), 0)

    def of_maker(self) -> tuple[Talk, Maker]:
        """Return a dialog of two who have certificates by an authority that can revoke them."""
        maker = Maker.root()
        talk = Talk()
        for person in (talk.node, talk.home):
            person.identity = maker.identity(person.nai, since=WALL - DAY, until=WALL + 9 * DAY)
            person.trust = TrustAnchors([maker.certificate])
            person.new_prekey()
        talk.node.hear(talk.home)
        return talk, maker

    @staticmethod
    def certificate(person: Person) -> Certificate:
        assert person.identity is not None
        return read_certificate(person.identity.chain[0])

    def test_who_is_not_trusted_any_more_is_forgotten(self) -> None:
        talk = Talk()
        talk.settle()
        talk.home.trust = TrustAnchors([authority("another")])
        talk.door.recheck(talk.clock.now)
        self.assertEqual(len(talk.door), 0)
        talk = Talk()
        talk.settle()
        talk.home.identity = identity(HOME, since=WALL - 2 * DAY)
        talk.door.recheck(talk.clock.now)
        self.assertEqual(len(talk.door), 0)
        talk = Talk(MessageKek.ASSOCIATION)
        talk.settle()
        talk.door.recheck(talk.clock.now)
        self.assertEqual(len(talk.door), 1)
        talk.home.spis.clear()
        talk.door.recheck(talk.clock.now)
        self.assertEqual(len(talk.door), 0)

    def test_what_policy_takes_no_more_is_forgotten(self) -> None:
        for policy in (Policy(sources=frozenset()), Policy(suites=frozenset({Suite.AES_128_GCM})), Policy()):
            talk = Talk(anonymous=True)
            talk.settle()
            talk.home.policy = policy
            talk.door.recheck(talk.clock.now)
            self.assertEqual(len(talk.door), 0)


class PolicyTests(SynchronousTestCase):
    """What policy does not allow is refused when it has verified, and is not cached."""

    def test_sources_and_suites(self) -> None:
        for kind in MessageKek:
            talk = Talk(kind)
            talk.home.policy = Policy(sources=frozenset(MessageKek) - {kind})
            with self.assertRaises(Refused) as caught:
                talk.hear(talk.say())
            self.assertEqual((caught.exception.field, caught.exception.code), ("Source", Code.PROHIBITED))
            self.assertEqual(len(talk.door), 0)
        talk = Talk(suite=Suite.AES_128_GCM)
        talk.home.policy = Policy(suites=frozenset({Suite.AES_256_GCM}))
        with self.assertRaises(Refused) as caught:
            talk.hear(talk.say())
        self.assertEqual(caught.exception.field, "Suite")


class TimeTests(SynchronousTestCase):
    """Creation times and Expiry, at the target."""

    def refused(self, talk: Talk, said: bytes, field: str) -> None:
        with self.assertRaises((HeadersMissing, Forged)) as caught:
            talk.hear(said)
        self.assertEqual(caught.exception.field, field)
        self.assertEqual(len(talk.door), 0)

    def test_created_in_the_future(self) -> None:
        for ahead in (SKEW, SKEW + 1):
            talk = Talk()
            talk.clock.wind(ahead)
            said = talk.say()
            talk.clock.wind(-ahead)
            if ahead > SKEW:
                self.refused(talk, said, "Creation time")
            else:
                self.assertEqual(talk.hear(said).body, BODY)

    def test_created_before_the_life_of_the_key(self) -> None:
        talk = Talk()
        talk.clock.wall -= 3 * DAY
        said = talk.say()
        talk.clock.wall += 3 * DAY
        self.refused(talk, said, "Creation time")

    def test_an_expired_key(self) -> None:
        talk = Talk()
        said = talk.say()
        talk.clock.wind(7 * DAY)
        self.refused(talk, said, "Expiry")

    def test_an_expired_certificate(self) -> None:
        talk = Talk()
        talk.node.identity = identity(NODE, until=WALL + 3600)
        said = talk.say()
        talk.clock.wind(3601)
        self.refused(talk, said, "Expiry")

    def test_a_key_that_would_live_too_long(self) -> None:
        talk = Talk()
        talk.home.new_prekey(90 * DAY)
        talk.node.hear(talk.home)
        talk.ours = Initiating(
            talk.node, talk.ours.terms, PrekeySource(talk.node), wear=evolve(talk.wear, kek_life=2 * LONGEST_KEK)
        )
        talk.ours.connection(PATH, talk.clock.now)
        self.refused(talk, talk.say(), "Expiry")

    def test_created_before_a_restore(self) -> None:
        talk = Talk()
        whole = talk.say()
        talk.clock.wind(60)
        talk.door = Doorkeeper(talk.home, refuse_before=talk.clock.wall)
        self.refused(talk, whole, "Creation time")
        self.assertEqual(talk.hear(talk.say()).body, BODY)

    def test_a_prekey_that_was_destroyed(self) -> None:
        talk = Talk()
        said = talk.say()
        talk.home.private.clear()
        self.refused(talk, said, "source id")
