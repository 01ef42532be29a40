"""How long keys serve: by count, octets and age, and because something else has changed; and that old ones are gone."""

from __future__ import annotations

import gc
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from seckex.delivery.keys.faces import HeadersMissing, KeysWanting
from seckex.delivery.keys.rotation import Wear
from seckex.delivery.keys.sources import PrekeySource, ThreePhaseSource
from seckex.errors import ApiMisuse
from seckex.wire.envelope import decode_envelope
from seckex.wire.numbers import MessageKek
from tests.delivery.keys.people import BODY, DAY, DIALOG, NODE, Talk, associate, exchange
from tests.delivery.keys.shapes import NEW_KEY, SHORT, WHOLE, shape_of
from tests.roaming.air import WALL
from tests.roaming.certificates import identity


def found_in_memory(secret: bytes) -> list[str]:
    """Return the types of what refers to octets that are equal to ``secret``, among all that lives."""
    gc.collect()
    found: list[str] = []
    for each in gc.get_objects():
        # Not this function's own frame, nor what it builds.
        if each is found or type(each).__name__ in ("frame", "cell"):
            continue
        if any(type(held) is bytes and held == secret for held in gc.get_referents(each)):
            found.append(type(each).__name__)
    return found


class SessionKeyTests(SynchronousTestCase):
    """DSKs."""

    def generation(self, talk: Talk) -> int:
        return int(talk.ours.shown(talk.clock.now)["generation"])

    def test_by_count(self) -> None:
        talk = Talk(wear=Wear(envelopes=10))
        talk.settle()
        shapes = [shape_of(talk.say()) for _ in range(10)]
        self.assertEqual(shapes[:7], [SHORT] * 7)
        self.assertEqual(shapes[8:], [NEW_KEY] * 2)
        self.assertEqual(self.generation(talk), 2)

    def test_what_comes_back_counts_too(self) -> None:
        talk = Talk(wear=Wear(envelopes=10))
        talk.settle()
        for _ in range(8):
            talk.heed(talk.answer())
        self.assertTrue(talk.ours.due(talk.clock.now))
        talk.ours.expire(talk.clock.now)
        self.assertEqual(shape_of(talk.say()), NEW_KEY)

    def test_counts_outlast_connections(self) -> None:
        talk = Talk(wear=Wear(envelopes=10))
        talk.settle()
        for number in range(8):
            talk.reconnect(b"connection %05d" % number)
            talk.say()
        self.assertEqual(self.generation(talk), 2)

    def test_by_octets(self) -> None:
        talk = Talk(wear=Wear(octets=10_000))
        talk.settle()
        shapes = [shape_of(talk.say(bytes(2500))) for _ in range(5)]
        self.assertEqual(shapes, [SHORT] * 4 + [NEW_KEY])

    def test_by_age(self) -> None:
        talk = Talk()
        talk.settle()
        talk.clock.wind(3599)
        self.assertFalse(talk.ours.due(talk.clock.now))
        self.assertEqual(shape_of(talk.say()), SHORT)
        talk.clock.wind(1)
        self.assertTrue(talk.ours.due(talk.clock.now))
        said = talk.say()
        self.assertEqual(shape_of(said), NEW_KEY)
        self.assertEqual(talk.hear(said).body, BODY)

    def test_by_shift_once_a_second(self) -> None:
        talk = Talk()
        talk.settle()
        self.assertFalse(talk.ours.shift(talk.clock.now))
        talk.clock.wind(1)
        self.assertTrue(talk.ours.shift(talk.clock.now))
        self.assertFalse(talk.ours.shift(talk.clock.now))
        self.assertEqual(shape_of(talk.say()), NEW_KEY)

    def test_a_target_asks_for_another_when_it_has_used_one_up(self) -> None:
        talk = Talk(wear=Wear(envelopes=5))
        talk.settle()
        self.assertFalse(talk.theirs.shift_due(talk.clock.now))
        for _ in range(4):
            talk.answer()
        self.assertTrue(talk.theirs.shift_due(talk.clock.now))

    def test_no_generation_has_two_keys(self) -> None:
        talk = Talk()
        seen: dict[tuple[bytes, int], bytes] = {}
        for _ in range(4):
            for _ in range(3):
                key = decode_envelope(talk.say()).key
                assert key is not None
                self.assertEqual(seen.setdefault((key.kek_id, key.generation), key.sealed), key.sealed)
                talk.ours.rotate(talk.clock.now)
            talk.ours.rotate(talk.clock.now, kek=True)
        self.assertEqual(len(seen), 12)


class OldTests(SynchronousTestCase):
    """What was superseded, and for how long it still opens."""

    def test_what_was_sealed_before_opens_for_a_minute(self) -> None:
        for wait, opens in ((59.0, True), (60.0, False)):
            talk = Talk()
            talk.settle()
            old, answer = talk.say(), talk.answer()
            talk.ours.rotate(talk.clock.now)
            talk.hear(talk.say())
            talk.clock.wind(wait)
            if opens:
                self.assertEqual([talk.hear(old).body, talk.heed(answer).body], [BODY, BODY])
            else:
                self.assertRaises(HeadersMissing, talk.hear, old)
                self.assertRaises(HeadersMissing, talk.heed, answer)

    def test_it_is_gone_once_all_is_acknowledged(self) -> None:
        talk = Talk()
        talk.settle()
        old, answer = talk.say(), talk.answer()
        talk.ours.rotate(talk.clock.now)
        talk.hear(talk.say())
        talk.ours.settled()
        talk.door.settled(talk.theirs)
        self.assertRaises(HeadersMissing, talk.hear, old)
        self.assertRaises(HeadersMissing, talk.heed, answer)
        self.assertEqual(talk.hear(talk.say()).body, BODY)

    def test_it_does_not_come_again(self) -> None:
        talk = Talk()
        first = talk.say()
        talk.hear(first)
        talk.ours.rotate(talk.clock.now, kek=True)
        talk.hear(talk.say())
        talk.clock.wind(61)
        talk.door.expire(talk.clock.now)
        self.assertRaises(HeadersMissing, talk.hear, first)

    def test_old_keys_are_in_no_object(self) -> None:
        talk = Talk()
        talk.settle()
        kek, dsk = self.secrets(talk)
        self.assertNotEqual(found_in_memory(dsk), [])
        talk.ours.rotate(talk.clock.now)
        talk.hear(talk.say())
        self.assertNotEqual(found_in_memory(dsk), [])
        self.over(talk)
        self.assertEqual(found_in_memory(dsk), [])
        self.assertNotEqual(found_in_memory(kek), [])
        talk.hold()
        talk.ours.rotate(talk.clock.now, kek=True)
        talk.hear(talk.say())
        self.over(talk)
        self.assertEqual(found_in_memory(kek), [])

    def test_keys_that_are_lost_are_in_no_object(self) -> None:
        talk = Talk()
        talk.settle()
        kek, dsk = self.secrets(talk)
        talk.ours.missing(talk.clock.now)
        talk.door.forget(talk.theirs)
        self.assertEqual((found_in_memory(kek), found_in_memory(dsk)), ([], []))

    @staticmethod
    def secrets(talk: Talk) -> tuple[bytes, bytes]:
        ours: Any = talk.ours
        # Copies, so that the test itself refers to none of the objects that it looks for.
        return tuple(bytes(bytearray(each.octets)) for each in (ours._kek.secret, ours._generation.dsk))  # type: ignore[return-value]  # of two

    @staticmethod
    def over(talk: Talk) -> None:
        talk.clock.wind(61)
        talk.ours.expire(talk.clock.now)
        talk.door.expire(talk.clock.now)


class KekTests(SynchronousTestCase):
    """KEKs."""

    def test_by_age(self) -> None:
        talk = Talk()
        talk.settle()
        talk.clock.wind(DAY)
        said = talk.say()
        self.assertEqual(shape_of(said), WHOLE)
        self.assertEqual(talk.hear(said).body, BODY)

    def test_by_most_of_its_life(self) -> None:
        talk = Talk(MessageKek.ASSOCIATION)
        talk.settle()
        kek = talk.ours.kek
        talk.clock.wind(0.8 * DAY - 1)
        talk.ours.expire(talk.clock.now)
        talk.say()
        self.assertIs(talk.ours.kek, kek)
        talk.clock.wind(1)
        talk.ours.expire(talk.clock.now)
        self.assertEqual(shape_of(talk.say()), WHOLE)
        self.assertIsNot(talk.ours.kek, kek)

    def test_when_our_certificate_changes(self) -> None:
        talk = Talk()
        talk.settle()
        talk.node.renew(identity(NODE, since=WALL - 2 * DAY))
        talk.ours.expire(talk.clock.now)
        said = talk.say()
        self.assertEqual(shape_of(said), WHOLE)
        opened = talk.hear(said)
        self.assertEqual(opened.pair.initiator, talk.node.principals[0])
        self.assertIs(opened.accepting, talk.theirs)

    def test_when_the_prekey_or_the_target_s_certificate_changes(self) -> None:
        for renewed in (False, True):
            talk = Talk()
            talk.settle()
            if renewed:
                talk.home.renew(identity(talk.home.nai, since=WALL - 2 * DAY))
            else:
                talk.home.new_prekey()
            talk.ours.expire(talk.clock.now)
            self.assertEqual(shape_of(talk.say()), SHORT)
            talk.node.hear(talk.home)
            talk.ours.expire(talk.clock.now)
            said = talk.say()
            self.assertEqual(shape_of(said), WHOLE)
            self.assertEqual(talk.hear(said).pair.target, talk.home.principals[0])

    def test_when_another_association_takes_the_place_of_one(self) -> None:
        talk = Talk(MessageKek.ASSOCIATION)
        talk.settle()
        associate(talk.node, talk.home, spi=77)
        talk.ours.expire(talk.clock.now)
        self.assertEqual(shape_of(talk.say()), WHOLE)

    def test_one_that_cannot_be_changed_serves_to_its_end(self) -> None:
        talk = Talk()
        talk.settle()
        talk.node.known.clear()
        talk.clock.wind(2 * DAY)
        self.assertEqual(talk.hear(talk.say()).body, BODY)
        talk.clock.wind(5 * DAY)
        self.assertRaises(KeysWanting, talk.say)

    def test_a_kek_ends_with_what_vouches_for_it(self) -> None:
        for life in (2 * DAY, 7 * DAY, 60 * DAY):
            talk = Talk()
            talk.home.new_prekey(life)
            talk.node.hear(talk.home)
            header = decode_envelope(talk.say()).kek
            assert header is not None
            self.assertEqual(header.expiry, int(WALL + min(life, 30 * DAY)))


class MoveTests(SynchronousTestCase):
    """A dialog moves to keys of a three-phase exchange, and never back."""

    def test_it_moves_in_place(self) -> None:
        talk = Talk()
        talk.settle()
        theirs = talk.theirs
        talk.ours.move(ThreePhaseSource(talk.node, exchange(talk.node, talk.home)), talk.clock.now)
        said = talk.say()
        self.assertEqual(shape_of(said), WHOLE)
        self.assertEqual(talk.hear(said).body, BODY)
        self.assertIs(talk.theirs, theirs)
        self.assertEqual(theirs.shown(talk.clock.now)["source"], "three-phase")
        self.assertFalse(talk.ours.exchange_due(talk.clock.now))

    def test_it_never_goes_back(self) -> None:
        talk = Talk()
        talk.settle()
        before = talk.say()
        talk.ours.move(ThreePhaseSource(talk.node, exchange(talk.node, talk.home)), talk.clock.now)
        self.assertRaises(ApiMisuse, talk.ours.move, PrekeySource(talk.node), talk.clock.now)
        talk.hear(talk.say())
        self.assertEqual(talk.hear(before).body, BODY)
        talk.clock.wind(DAY)
        self.assertTrue(talk.ours.exchange_due(talk.clock.now))
        talk.ours.missing(talk.clock.now)
        self.assertRaises(KeysWanting, talk.say)
        talk.ours.move(
            ThreePhaseSource(talk.node, exchange(talk.node, talk.home, DIALOG, b"the second of em")), talk.clock.now
        )
        self.assertEqual(talk.hear(talk.say()).body, BODY)

    def test_an_exchange_is_for_one_dialog_and_one_certificate(self) -> None:
        talk = Talk()
        talk.settle()
        other = ThreePhaseSource(talk.node, exchange(talk.node, talk.home, bytes(16)))
        self.assertRaises(KeysWanting, talk.ours.move, other, talk.clock.now)
        own = exchange(talk.node, talk.home)
        talk.node.renew(identity(NODE, since=WALL - 2 * DAY))
        self.assertRaises(KeysWanting, talk.ours.move, ThreePhaseSource(talk.node, own), talk.clock.now)
        self.assertEqual(talk.ours.shown(talk.clock.now)["source"], "prekey")


class ForkTests(SynchronousTestCase):
    """A process that has forked seals nothing under a key and a nonce that its twin has."""

    def test_the_initiator_s_twin_takes_a_new_kek(self) -> None:
        talk = Talk()
        talk.settle()
        before = decode_envelope(talk.say())
        talk.node.seed = "the child"
        talk.ours.reseed()
        after = decode_envelope(talk.say())
        self.assertEqual(shape_of(talk.say()), WHOLE)
        self.assertNotEqual(after.key and after.key.kek_id, talk.theirs.kek and talk.theirs.kek.id)
        self.assertEqual(before.salt, b"")

    def test_the_target_s_twin_takes_new_salts(self) -> None:
        talk = Talk()
        talk.settle()
        context = decode_envelope(talk.answer()).context
        talk.door.reseed()
        said = decode_envelope(talk.answer())
        self.assertEqual((len(said.salt), said.counter), (16, 0))
        self.assertNotEqual(decode_envelope(talk.answer()).context, context)
