"""What an agent keeps of its visitors: records as they are written and read, and the table."""

from __future__ import annotations

from ipaddress import IPv4Address

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.schedule import AgreedKeys
from seckex.crypto.secrets import Secret
from seckex.errors import Malformed
from seckex.events.foreign_agent import VisitorForgotten
from seckex.roles.foreign_agent.visitors import KIND, Visitor, Visitors, decode, encode
from seckex.sa.store import PutRecord, Record
from seckex.wire.numbers import PRF_HMAC_SHA2_256, PRF_HMAC_SHA2_384, Kem, Keying
from tests.roles.foreign_agent.parts import AgentCase

VISITOR = Visitor(
    home_agent="home@example.org",
    home_address=IPv4Address("192.0.2.2"),
    home_port=4434,
    pseudonym=bytes(range(16)),
    kem=Kem.X25519_ML_KEM_768,
    mode=Keying.SEMI_STATEFUL,
    spi_home=0x1000,
    spi_of_home=0x2000,
    spi_node=0x3000,
    spi_of_node=0x4000,
    since=1_790_000_000,
    until=1_790_001_800,
    home_choice=b"one",
    node_choice=b"another",
    key2=AgreedKeys(PRF_HMAC_SHA2_256, Secret(b"2" * 32), b"between agent and home agent"),
    key3=AgreedKeys(PRF_HMAC_SHA2_384, Secret(b"3" * 48), b"between agent and node"),
)


class RecordTests(SynchronousTestCase):
    def test_what_is_written_is_read(self) -> None:
        self.assertEqual(decode(encode(VISITOR)), VISITOR)
        record = VISITOR.put.record
        self.assertEqual((record.kind, record.name), (KIND, VISITOR.name))
        self.assertEqual(record.expires, VISITOR.until)

    def test_keys_are_not_shown(self) -> None:
        for shown in (repr(VISITOR), repr(VISITOR.put)):
            self.assertNotIn("2222", shown)
            self.assertNotIn("3333", shown)

    def test_homes_do_not_know_each_others_pseudonyms(self) -> None:
        self.assertNotEqual(evolve(VISITOR, home_agent="home@example.net").name, VISITOR.name)

    def test_damage_is_told(self) -> None:
        octets = encode(VISITOR)
        for wrong in (b"", octets[:-1], octets + b"\0", b"\1" + octets[1:], octets[:1] + b"\7" + octets[2:]):
            self.assertRaises(Malformed, decode, wrong)

    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def test_whatever_is_in_it_is_read_or_told(self, data: st.DataObject) -> None:
        octets = bytearray(encode(VISITOR))
        for _ in range(data.draw(st.integers(1, 4))):
            octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
        try:
            decode(bytes(octets[: data.draw(st.integers(0, len(octets)))]))
        except Malformed:
            return


class TableTests(SynchronousTestCase):
    def test_an_end_that_was_put_off_is_none(self) -> None:
        visitors = Visitors()
        visitors.put(VISITOR)
        later = evolve(VISITOR, until=VISITOR.until + 60)
        self.assertEqual(visitors.put(later), VISITOR)
        self.assertEqual(list(visitors.expired(VISITOR.until)), [])
        self.assertEqual(list(visitors.expired(later.until)), [later])
        self.assertEqual(len(visitors), 0)

    def test_spis_are_taken_as_long_as_there_is_a_visitor(self) -> None:
        visitors = Visitors()
        visitors.put(VISITOR)
        self.assertTrue(visitors.has_spi(0x1000) and visitors.has_spi(0x3000))
        self.assertFalse(visitors.has_spi(0x2000) or visitors.has_spi(0x4000))
        visitors.pop(VISITOR.name)
        self.assertFalse(visitors.has_spi(0x1000))

    def test_registering_again_and_again_leaves_little_behind(self) -> None:
        visitors = Visitors()
        for number in range(1000):
            visitors.put(evolve(VISITOR, until=VISITOR.until + number))
        self.assertLess(len(visitors._ends), 100)
        self.assertEqual(len(list(visitors.expired(VISITOR.until + 1000))), 1)


class DamagedTests(AgentCase):
    def test_a_visitor_that_cannot_be_read_is_told_and_the_others_stay(self) -> None:
        self.registered(self.request())
        self.store.commit([(PutRecord(Record(KIND, b"damaged", b"rubbish", self.now.wall + 100)),)])
        self.start(self.terms())
        self.assertEqual(self.agent.counters["visitors"], 1)
        self.assertEqual(len(self.told(VisitorForgotten)), 1)
