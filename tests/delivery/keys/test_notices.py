"""NOTICE: the same whatever is missing, seldom, short, and believed with a proof for this connection only."""

from __future__ import annotations

from typing import TypeAlias

from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.envelope import NO_PATH
from seckex.crypto.identity import TrustAnchors
from seckex.delivery.keys.doorkeeper import Doorkeeper, digest_of
from seckex.delivery.keys.faces import HeadersMissing, Policy, Refused
from seckex.delivery.keys.notices import MOST_TOLD, RATE, Notices
from seckex.errors import AuthenticationFailed
from seckex.wire.numbers import Code, MessageKek, NoticeWhat
from seckex.wire.units import Notice, decode_unit
from tests.delivery.keys.people import DIALOG, EVE, OTHER_PATH, PATH, Person, Talk
from tests.roaming.certificates import authority

#: A talk whose home misses headers, and what the node has said last.
Missing: TypeAlias = tuple[Talk, bytes]


def read(octets: bytes | None) -> Notice:
    assert octets is not None
    found = decode_unit(octets)
    assert isinstance(found, Notice)
    return found


class SameTests(SynchronousTestCase):
    """Nobody outside can tell what is wrong with keys."""

    def unknown(self) -> Missing:
        talk = Talk()
        talk.settle()
        talk.door = Doorkeeper(talk.home)
        return talk, talk.say()

    def expired(self) -> Missing:
        talk = Talk()
        talk.settle()
        said = talk.say()
        talk.clock.wind(8 * 86400)
        return talk, said

    def revoked(self) -> Missing:
        talk = Talk()
        talk.settle()
        talk.home.trust = TrustAnchors([authority("another")])
        talk.door.recheck(talk.clock.now)
        return talk, talk.say()

    def untrusted(self) -> Missing:
        talk, _ = self.revoked()
        talk.ours.missing(talk.clock.now)
        return talk, talk.say()

    def left_behind(self) -> Missing:
        talk = Talk()
        talk.settle()
        said = talk.say()
        talk.ours.rotate(talk.clock.now, kek=True)
        talk.hear(talk.say())
        talk.clock.wind(60)
        return talk, said

    def of_the_future(self) -> Missing:
        talk = Talk()
        talk.clock.wind(1000)
        said = talk.say()
        talk.clock.wind(-1000)
        return talk, said

    def test_it_is_the_same_whatever_is_missing(self) -> None:
        cases = (self.unknown, self.expired, self.revoked, self.untrusted, self.left_behind, self.of_the_future)
        shapes = set()
        fields = set()
        for case in cases:
            talk, said = case()
            with self.assertRaises(HeadersMissing) as caught:
                talk.hear(said)
            missing = caught.exception
            fields.add(missing.field)
            self.assertEqual(missing.digest, digest_of(said))
            notices = Notices(talk.home)
            octets = notices.missing(missing.dialog_id, missing.digest, PATH, talk.clock.now, size=len(said))
            notice = read(octets)
            shapes.add((notice.what, notice.code, notice.dialog_id, len(notice.proof) > 16))
            self.assertLessEqual(len(octets or b""), len(said))
        self.assertEqual(shapes, {(NoticeWhat.MISSING, 0, DIALOG, True)})
        # Our own operator is told them apart.
        self.assertEqual(fields, {"Context", "Expiry", "chain", "Creation time"} & fields)
        self.assertGreater(len(fields), 2)

    def test_it_is_never_longer_than_what_it_answers(self) -> None:
        talk = Talk()
        self.assertIsNone(Notices(talk.home).missing(DIALOG, bytes(16), PATH, talk.clock.now, size=99))
        self.assertIsNotNone(Notices(talk.home).missing(DIALOG, bytes(16), PATH, talk.clock.now, size=120))


class RateTests(SynchronousTestCase):
    """How often it is said."""

    def test_sixteen_times_in_any_second_to_one_address(self) -> None:
        talk = Talk()
        notices, said = Notices(talk.home), []
        for number in range(400):
            dialog_id = number.to_bytes(16, "big")
            if notices.missing(dialog_id, b"", PATH, talk.clock.now, address="192.0.2.1"):
                said.append(talk.clock.monotonic)
            talk.clock.wind(0.01)
        self.assertGreater(len(said), 30)
        for begun in said:
            self.assertLessEqual(sum(begun <= each < begun + 1 for each in said), RATE)
        self.assertIsNotNone(notices.missing(DIALOG, b"", PATH, talk.clock.now, address="192.0.2.2"))

    def test_once_a_second_of_one_dialog(self) -> None:
        talk = Talk()
        notices = Notices(talk.home)
        self.assertIsNotNone(notices.missing(DIALOG, b"", PATH, talk.clock.now))
        self.assertIsNone(notices.missing(DIALOG, b"", PATH, talk.clock.now))
        talk.clock.wind(1)
        self.assertIsNotNone(notices.missing(DIALOG, b"", PATH, talk.clock.now))

    def test_what_is_remembered_is_bounded(self) -> None:
        talk = Talk(MessageKek.ASSOCIATION)
        talk.settle()
        notices = Notices(talk.home)
        for number in range(MOST_TOLD):
            notices.missing(DIALOG, b"", PATH, talk.clock.now, keys=talk.theirs, address=number)
        self.assertEqual(len(notices._free_at), MOST_TOLD)


class BelieveTests(SynchronousTestCase):
    """Whom it is believed of."""

    def setUp(self) -> None:
        self.talk = Talk()
        self.talk.settle()
        self.home = Notices(self.talk.home)
        self.node = Notices(self.talk.node)

    def missing(self, path: bytes = PATH, by: Notices | None = None) -> Notice:
        return read((by or self.home).missing(DIALOG, b"", path, self.talk.clock.now))

    def believed(self, notice: Notice) -> bool:
        try:
            self.node.believe(notice, self.talk.ours, PATH, self.talk.clock.now)
        except AuthenticationFailed:
            return False
        return True

    def test_of_the_target_on_this_connection(self) -> None:
        self.assertTrue(self.believed(self.missing()))
        self.talk.clock.wind(1)
        self.assertFalse(self.believed(self.missing(OTHER_PATH)))

    def test_of_nobody_else(self) -> None:
        eve = Person(EVE, self.talk.clock)
        self.assertFalse(self.believed(self.missing(by=Notices(eve))))
        self.assertFalse(self.believed(self.missing(by=self.node)))

    def test_every_bit_of_it_counts(self) -> None:
        octets = self.home.missing(DIALOG, b"", PATH, self.talk.clock.now)
        assert octets is not None
        for at in range(len(octets) * 8):
            flipped = bytearray(octets)
            flipped[at // 8] ^= 1 << at % 8
            try:
                notice = decode_unit(bytes(flipped))
            except Exception as error:
                self.assertIn(type(error).__name__, ("Malformed", "UnsupportedVersion"))
                continue
            self.assertFalse(isinstance(notice, Notice) and self.believed(notice), at)

    def test_where_an_association_vouches_by_mac_and_not_by_its_echo(self) -> None:
        self.talk = talk = Talk(MessageKek.ASSOCIATION)
        talk.settle()
        notice = read(self.home.missing(DIALOG, b"", PATH, talk.clock.now, keys=talk.theirs))
        self.assertEqual(len(notice.proof), 16)
        self.assertTrue(self.believed(notice))
        with self.assertRaises(AuthenticationFailed):
            self.home.believe(notice, talk.theirs, PATH, talk.clock.now)
        echo = read(self.node.missing(DIALOG, b"", PATH, talk.clock.now, keys=talk.ours))
        self.home.believe(echo, talk.theirs, PATH, talk.clock.now)
        self.assertFalse(self.believed(echo))

    def test_of_a_dialog_without_keys_nothing_is_believed(self) -> None:
        notice = self.missing()
        self.talk.ours.missing(self.talk.clock.now)
        self.assertFalse(self.believed(notice))

    def test_the_target_believes_its_initiator(self) -> None:
        notice = self.missing(by=self.node)
        self.home.believe(notice, self.talk.theirs, PATH, self.talk.clock.now)
        self.talk.home.trust = TrustAnchors([authority("another")])
        with self.assertRaises(AuthenticationFailed):
            self.home.believe(notice, self.talk.theirs, PATH, self.talk.clock.now)

    def test_a_refusal_has_its_code(self) -> None:
        talk = Talk(anonymous=True)
        talk.home.policy = Policy()
        with self.assertRaises(Refused) as caught:
            talk.hear(talk.say())
        notice = read(self.home.refused(caught.exception, PATH, talk.clock.now))
        self.assertEqual((notice.what, notice.code), (NoticeWhat.REFUSED, Code.PROHIBITED))
        self.node.believe(notice, talk.ours, PATH, talk.clock.now)

    def test_nothing_is_said_without_a_proof_or_through_relays(self) -> None:
        self.assertIsNone(self.home.missing(DIALOG, b"", NO_PATH, self.talk.clock.now))
        self.talk.home.identity = None
        self.assertIsNone(self.home.missing(DIALOG, b"", PATH, self.talk.clock.now))
