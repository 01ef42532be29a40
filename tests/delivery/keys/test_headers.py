"""Which headers envelopes get: all until they are HELD, as few as may be from then on, all again when they are lost."""

from __future__ import annotations

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.envelope import NO_PATH
from seckex.delivery.keys.doorkeeper import Doorkeeper
from seckex.delivery.keys.faces import HeadersMissing, KeysWanting, Policy, Refused
from seckex.delivery.keys.initiating import Initiating
from seckex.delivery.keys.pair import Terms
from seckex.delivery.keys.rotation import FIRST_ENVELOPES, PLENTY
from seckex.delivery.keys.sources import AssociationSource, PrekeySource
from seckex.errors import ApiMisuse, AuthenticationFailed
from seckex.wire.numbers import Code, Kem, MessageKek, Suite
from tests.delivery.keys.people import BODY, DAY, EVE, HOME, NODE, OTHER_PATH, PATH, SERVICE, Person, Talk, associate
from tests.delivery.keys.shapes import ANONYMOUS, NAMED, NEW_KEY, SHORT, WHOLE, shape_of
from tests.roaming.air import WALL
from tests.roaming.certificates import identity


class OutTests(SynchronousTestCase):
    """The initiator's envelopes, over one connection and over several."""

    def test_all_headers_until_they_are_held(self) -> None:
        talk = Talk()
        for _ in range(3):
            said = talk.say()
            self.assertEqual(shape_of(said), WHOLE)
            self.assertEqual(talk.hear(said).body, BODY)
        talk.hold()
        self.assertEqual(shape_of(talk.say()), SHORT)

    def test_held_of_something_else_leaves_nothing_out(self) -> None:
        talk = Talk()
        talk.hear(talk.say())
        talk.ours.held(bytes(16), talk.clock.now)
        self.assertEqual(shape_of(talk.say()), WHOLE)

    def test_four_are_under_way_until_the_first_held(self) -> None:
        talk = Talk()
        self.assertEqual(talk.ours.room(), FIRST_ENVELOPES)
        for left in range(3, -1, -1):
            first = talk.say()
            self.assertEqual(talk.ours.room(), left)
        talk.hear(first)
        talk.hold()
        self.assertEqual(talk.ours.room(), PLENTY)

    def test_what_was_under_way_on_a_lost_connection_does_not_count(self) -> None:
        talk = Talk()
        talk.say()
        talk.say()
        talk.reconnect()
        self.assertEqual(talk.ours.room(), FIRST_ENVELOPES)

    def test_another_connection_begins_with_a_salt_and_the_name_of_the_key(self) -> None:
        talk = Talk()
        talk.settle()
        talk.reconnect()
        said = talk.say()
        self.assertEqual(shape_of(said), NAMED)
        self.assertEqual(talk.hear(said).body, BODY)
        said = talk.say()
        self.assertEqual(shape_of(said), SHORT)
        self.assertEqual(talk.hear(said).body, BODY)

    def test_each_connection_has_a_salt_of_its_own(self) -> None:
        talk = Talk()
        talk.settle()
        salts = set()
        for number in range(5):
            talk.reconnect(b"connection %05d" % number)
            salts.add(talk.say()[20:36])
        self.assertEqual(len(salts), 5)

    def test_a_new_session_key_goes_sealed_until_it_is_held(self) -> None:
        talk = Talk()
        talk.settle()
        talk.ours.rotate(talk.clock.now)
        for _ in range(2):
            said = talk.say()
            self.assertEqual(shape_of(said), NEW_KEY)
            opened = talk.hear(said)
        self.assertIsNone(opened.new_chain)
        talk.hold()
        self.assertEqual(shape_of(talk.say()), SHORT)

    def test_the_key_of_a_new_session_is_told_once(self) -> None:
        talk = Talk()
        opened = talk.hear(talk.say())
        self.assertEqual(opened.new_chain, opened.chain)
        self.assertIsNone(talk.hear(talk.say()).new_chain)

    def test_held_is_said_again_to_whom_did_not_hear_it(self) -> None:
        talk = Talk()
        talk.hear(talk.say())
        lost = talk.theirs.pending_held()
        self.assertIsNotNone(lost)
        self.assertIsNone(talk.theirs.pending_held())
        talk.hear(talk.say())
        self.assertEqual(talk.theirs.pending_held(), lost)

    def test_nothing_is_sealed_for_no_connection(self) -> None:
        talk = Talk()
        terms = talk.ours.terms
        with self.assertRaises(ApiMisuse):
            Initiating(talk.node, terms, PrekeySource(talk.node)).seal(1, 1, 0, 0, 1, 0, BODY, talk.clock.now)

    def test_who_is_not_known_is_waited_for(self) -> None:
        talk = Talk()
        talk.node.known.clear()
        self.assertFalse(talk.ours.ready(talk.clock.now))
        with self.assertRaises(KeysWanting):
            talk.say()
        talk.node.hear(talk.home)
        self.assertTrue(talk.ours.ready(talk.clock.now))
        self.assertEqual(talk.hear(talk.say()).body, BODY)

    def test_short_envelopes_cost_88_octets(self) -> None:
        talk = Talk()
        talk.settle()
        self.assertEqual(len(talk.say(bytes(1024))), 1024 + 48 + 40)

    def test_an_operator_sees_which_headers_go_and_why(self) -> None:
        talk = Talk()
        self.assertEqual(talk.ours.shown(talk.clock.now)["headers"], "whole")
        talk.hear(talk.say())
        self.assertIn("not said yet", talk.ours.shown(talk.clock.now)["why"])
        talk.hold()
        talk.say()
        shown = talk.ours.shown(talk.clock.now)
        self.assertEqual((shown["headers"], shown["source"], shown["generation"]), ("short", "prekey", 1))
        self.assertEqual(talk.theirs.shown(talk.clock.now)["generation"], 1)


class BackTests(SynchronousTestCase):
    """The target's envelopes, which never have a sealed key."""

    def test_the_first_on_a_connection_has_a_salt(self) -> None:
        talk = Talk()
        talk.hear(talk.say())
        talk.theirs.connection(talk.path, talk.clock.now)
        for shape in (NAMED, SHORT, SHORT):
            said = talk.answer()
            self.assertEqual(shape_of(said), shape)
            opened = talk.heed(said)
            self.assertEqual((opened.body, opened.peer, opened.back), (BODY, HOME, True))
        talk.hear(talk.say())
        talk.reconnect()
        talk.hear(talk.say())
        self.assertEqual(shape_of(talk.answer()), NAMED)

    def test_it_follows_the_session_key_of_the_initiator(self) -> None:
        talk = Talk()
        talk.settle()
        talk.ours.rotate(talk.clock.now)
        before = talk.answer()
        talk.hear(talk.say())
        after = talk.answer()
        self.assertEqual((shape_of(before), shape_of(after)), (SHORT, NAMED))
        # What was under way when the key changed opens as well.
        self.assertEqual(talk.heed(before).body, BODY)
        self.assertEqual(talk.heed(after).body, BODY)

    def test_without_keys_there_is_nothing_to_say(self) -> None:
        talk = Talk()
        talk.settle()
        theirs = talk.theirs
        talk.door.forget(theirs)
        self.assertFalse(theirs.ready(talk.clock.now))
        with self.assertRaises(KeysWanting):
            theirs.seal(1, 1, 0, 0, 1, 0, BODY, talk.clock.now)
        self.assertEqual(theirs.shown(talk.clock.now)["headers"], "wanting")


class SourceTests(SynchronousTestCase):
    """KEKs of every source, to be used alike."""

    def test_every_source_suite_and_kem(self) -> None:
        for kind in MessageKek:
            for suite in Suite:
                talk = Talk(kind, suite=suite)
                talk.settle()
                opened = talk.hear(talk.say())
                self.assertEqual((opened.body, opened.peer), (BODY, NODE))
                self.assertEqual((opened.pair.service, opened.pair.target.nai), (SERVICE, HOME))
        talk = Talk()
        talk.home.kem = Kem.X25519_ML_KEM_768
        talk.home.new_prekey()
        talk.node.hear(talk.home)
        talk.settle()
        self.assertEqual(talk.hear(talk.say()).body, BODY)

    def test_where_an_association_vouches_held_is_for_one_connection(self) -> None:
        talk = Talk(MessageKek.ASSOCIATION)
        talk.settle()
        talk.reconnect()
        self.assertEqual(shape_of(talk.say()), WHOLE)
        self.assertEqual(talk.ours.room(), FIRST_ENVELOPES - 1)
        talk.hear(talk.say())
        talk.hold()
        self.assertEqual(shape_of(talk.say()), SHORT)

    def test_a_target_without_its_association_misses_headers(self) -> None:
        for spoil in ("gone", "expired"):
            talk = Talk(MessageKek.ASSOCIATION)
            said = talk.say()
            if spoil == "gone":
                talk.home.spis.clear()
            else:
                talk.home.spis = {spi: evolve(each, expires=talk.clock.wall) for spi, each in talk.home.spis.items()}
            with self.assertRaises(HeadersMissing):
                talk.hear(said)

    def test_a_source_never_gives_way_to_another(self) -> None:
        talk = Talk(MessageKek.ASSOCIATION)
        talk.node.hear(talk.home)
        talk.node.associations.clear()
        self.assertRaises(KeysWanting, talk.say)
        talk = Talk(MessageKek.THREE_PHASE)
        talk.settle()
        talk.node.hear(talk.home)
        talk.ours.missing(talk.clock.now)
        self.assertTrue(talk.ours.exchange_due(talk.clock.now))
        self.assertRaises(KeysWanting, talk.say)

    def test_an_association_has_no_anonymous_dialogs(self) -> None:
        talk = Talk()
        associate(talk.node, talk.home)
        terms = Terms(bytes(16), HOME, SERVICE, anonymous=True)
        ours = Initiating(talk.node, terms, AssociationSource(talk.node))
        ours.connection(PATH, talk.clock.now)
        self.assertFalse(ours.ready(talk.clock.now))


class AnonymousTests(SynchronousTestCase):
    """An initiator without a name."""

    def test_it_has_no_pair_header_and_no_name_on_the_wire(self) -> None:
        talk = Talk(anonymous=True)
        said = talk.say()
        self.assertEqual(shape_of(said), ANONYMOUS)
        for name in (NODE, HOME, SERVICE):
            self.assertNotIn(name.encode(), said)
        opened = talk.hear(said)
        self.assertEqual((opened.peer, opened.pair.service, opened.pair.target.nai), ("", SERVICE, HOME))
        talk.hold()
        self.assertEqual(shape_of(talk.say()), SHORT)

    def test_policy_decides_by_service(self) -> None:
        talk = Talk(anonymous=True)
        talk.home.policy = Policy(anonymous=frozenset({"other"}))
        with self.assertRaises(Refused) as caught:
            talk.hear(talk.say())
        self.assertEqual((caught.exception.code, caught.exception.field), (Code.PROHIBITED, "service pair header"))
        self.assertEqual(len(talk.door), 0)

    def test_who_has_a_former_certificate_is_still_its_target(self) -> None:
        talk = Talk(anonymous=True)
        said = talk.say()
        talk.home.renew(identity(HOME, since=WALL - 2 * DAY))
        self.assertEqual(talk.hear(said).body, BODY)


class RelayTests(SynchronousTestCase):
    """Through relays connections differ at both ends: each envelope has its salt."""

    def setUp(self) -> None:
        self.talk = Talk(path=NO_PATH)

    def test_every_envelope_has_a_salt_and_is_routed(self) -> None:
        talk = self.talk
        self.assertEqual(shape_of(talk.say()), evolve(WHOLE, routing=True))
        talk.hear(talk.say())
        talk.hold()
        for _ in range(2):
            said = talk.say()
            # Nobody asks for headers through a relay, so they always go.
            self.assertEqual(shape_of(said), evolve(WHOLE, routing=True))
            self.assertEqual(talk.hear(said).body, BODY)
            said = talk.answer()
            self.assertEqual(shape_of(said), evolve(NAMED, routing=True))
            self.assertEqual(talk.heed(said).body, BODY)

    def test_a_copy_is_a_copy_on_every_connection(self) -> None:
        talk = self.talk
        said = talk.say()
        talk.hear(said)
        for path in (PATH, OTHER_PATH, NO_PATH):
            with self.assertRaises(AuthenticationFailed):
                talk.door.open(said, path, talk.clock.now)

    def test_a_copy_with_a_salt_that_was_forgotten_is_missing_its_headers(self) -> None:
        talk = self.talk
        first = talk.say()
        talk.hear(first)
        talk.hold()
        for _ in range(12):
            talk.clock.wind(1)
            talk.ours.connection(NO_PATH, talk.clock.now)
            talk.hear(talk.say())
        with self.assertRaises(HeadersMissing):
            talk.hear(first)

    def test_a_copy_leads_nobody_back(self) -> None:
        talk = self.talk
        old = talk.say()
        talk.clock.wind(1)
        talk.ours.rotate(talk.clock.now)
        new = talk.say()
        talk.hear(new)
        generation = talk.theirs.shown(talk.clock.now)["generation"]
        with self.assertRaises(HeadersMissing):
            talk.hear(old)
        self.assertEqual(talk.theirs.shown(talk.clock.now)["generation"], generation)

    def test_what_comes_late_leads_nobody_back(self) -> None:
        talk = self.talk
        late = talk.say()
        talk.clock.wind(1)
        talk.ours.rotate(talk.clock.now, kek=True)
        talk.hear(talk.say())
        kek = talk.theirs.kek
        self.assertEqual(talk.hear(late).body, BODY)
        self.assertIs(talk.theirs.kek, kek)


class DialogTests(SynchronousTestCase):
    """Dialogs of one target, beside each other."""

    def test_two_initiators_may_have_the_same_dialog_id(self) -> None:
        talk, eve = Talk(), Talk()
        talk.settle()
        eve.node = Person(EVE, talk.clock)
        eve.node.hear(talk.home)
        eve.ours = eve.begin(PrekeySource(eve.node))
        opened = talk.hear(eve.say())
        self.assertEqual(opened.peer, EVE)
        self.assertIsNot(opened.accepting, talk.theirs)
        self.assertEqual(talk.hear(talk.say()).peer, NODE)
        self.assertEqual(talk.heed(talk.answer()).peer, HOME)

    def test_a_target_that_began_anew_misses_headers_and_learns_them_again(self) -> None:
        talk = Talk()
        talk.settle()
        talk.door = Doorkeeper(talk.home, talk.wear)
        with self.assertRaises(HeadersMissing):
            talk.hear(talk.say())
        talk.reconnect()
        with self.assertRaises(HeadersMissing):
            talk.hear(talk.say())
        self.assertTrue(talk.ours.missing(talk.clock.now))
        said = talk.say()
        self.assertEqual(shape_of(said), WHOLE)
        self.assertEqual(talk.hear(said).body, BODY)

    def test_fresh_keys_once_a_second_at_most(self) -> None:
        talk = Talk()
        talk.settle()
        kek = talk.ours.kek
        self.assertTrue(talk.ours.missing(talk.clock.now))
        talk.say()
        self.assertNotEqual(talk.ours.kek, kek)
        self.assertFalse(talk.ours.missing(talk.clock.now))
        talk.clock.wind(1)
        self.assertTrue(talk.ours.missing(talk.clock.now))
