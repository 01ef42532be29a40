"""What is in an archive's chunks: read whole or refused, and what becomes of nodes that a center takes over."""

from __future__ import annotations

import contextlib

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.secrets import Secret
from seckex.errors import Malformed, Unfeasible
from seckex.machine import Now
from seckex.roles.kdc.archive import Ending, Taking, checked, encode_chunk, read_chunk
from seckex.roles.kdc.directory import Directory
from seckex.roles.kdc.principals import PRINCIPALS, Principal

NOW = Now(5.0, 1_700_000_000.0)
NODE = Principal(
    nai="a@example.org", home_agent="home@example.org", kvno=3, key0=Secret(bytes(range(32))), serial=7, created=1
)
ENDING = Ending(2, 1_600_000_000, "kdc@example.org")


def pair(node: Principal) -> tuple[bytes, bytes]:
    record = node.record()
    return record.name, record.octets


TWO = [pair(NODE), pair(evolve(NODE, nai="b@example.org", until=99))]


class ChunkTests(SynchronousTestCase):
    def test_what_was_written_is_read(self) -> None:
        self.assertEqual(read_chunk(encode_chunk(TWO)), (TWO, None))
        self.assertEqual(read_chunk(encode_chunk(TWO, ENDING)), (TWO, ENDING))
        self.assertEqual(checked(iter([encode_chunk(TWO), encode_chunk([], ENDING)])), ENDING)

    def test_one_that_ends_early_is_refused_everywhere(self) -> None:
        whole, without = encode_chunk(TWO, ENDING), len(encode_chunk(TWO))
        for end in range(len(whole)):
            if end != without:
                self.assertRaises(Malformed, read_chunk, whole[:end])
        self.assertRaises(Malformed, read_chunk, whole + b"x")

    @settings(max_examples=300, deadline=None)
    @given(st.binary(max_size=200))
    def test_rubbish_is_one_kind_of_error(self, octets: bytes) -> None:
        for chunk in (octets, b"\x01\x00\x01" + octets):
            with contextlib.suppress(Malformed):
                read_chunk(chunk)

    def test_names_and_records_that_are_none(self) -> None:
        for name, octets in ((b"", TWO[0][1]), (b"nobody", TWO[0][1]), (b"\xff@x.org", TWO[0][1]), (b"a@b.org", b"x")):
            self.assertRaises(Malformed, read_chunk, encode_chunk([(name, octets)]))

    def test_another_version(self) -> None:
        self.assertRaises(Malformed, read_chunk, b"\x02" + encode_chunk(TWO)[1:])

    def test_an_archive_says_how_much_is_in_it(self) -> None:
        for chunks in (
            [encode_chunk(TWO)],
            [],
            [encode_chunk(TWO, evolve(ENDING, total=3))],
            [encode_chunk([], ENDING)],
            [encode_chunk(TWO, ENDING), encode_chunk([])],
        ):
            self.assertRaises(Malformed, checked, iter(chunks))


class TakingTests(SynchronousTestCase):
    def take(self, here: list[Principal], there: list[Principal], most: int = 9) -> tuple[Taking, list[Principal]]:
        directory = Directory(most)
        for node in here:
            directory.put(node)
        taking = Taking(directory, NOW)
        stored = list(taking.records(iter([encode_chunk([pair(node) for node in there], ENDING)])))
        return taking, [Principal.read(record) for record in stored]

    def test_serials_begin_at_the_clock_or_above_all_that_were(self) -> None:
        _, stored = self.take([], [NODE, evolve(NODE, nai="b@example.org")])
        self.assertEqual([node.serial for node in stored], [1_700_000_000_001, 1_700_000_000_002])
        _, stored = self.take([evolve(NODE, serial=1_800_000_000_000)], [NODE])
        self.assertEqual([node.serial for node in stored], [1_800_000_000_001])
        self.assertEqual(stored[0], evolve(NODE, serial=1_800_000_000_001))

    def test_a_node_that_is_in_it_twice_is_as_it_was_last(self) -> None:
        taking, stored = self.take([], [NODE, evolve(NODE, kvno=4)])
        self.assertEqual((taking.taken, len(stored), len(taking.there)), (1, 2, 1))
        found = taking.there.find(NODE.nai)
        assert found is not None
        self.assertEqual(found.kvno, 4)

    def test_who_is_not_in_it_is_deleted(self) -> None:
        taking, stored = self.take([evolve(NODE, nai="x@example.org")], [NODE])
        self.assertEqual((taking.taken, taking.deleted, taking.kept), (1, 1, 0))
        self.assertTrue(stored[1].deleted)
        self.assertIsNone(stored[1].key0)

    def test_who_was_revoked_or_deleted_here_stays_so(self) -> None:
        for gone in (NODE.without_key(revoked=True), NODE.without_key(deleted=True)):
            for kvno, stays in ((2, True), (3, True), (4, False)):
                taking, stored = self.take([gone], [evolve(NODE, kvno=kvno)])
                self.assertEqual((taking.kept, taking.taken, len(stored)), (stays, not stays, not stays))
                found = taking.there.find(NODE.nai)
                assert found is not None
                self.assertEqual((found.revoked or found.deleted, found.kvno), (stays, 3 if stays else kvno))

    def test_a_key0_that_was_rotated_here_does_not_come_back(self) -> None:
        # Stolen, revoked and rotated after the archive was made; another node is not in it any more.
        rotated = evolve(NODE, kvno=NODE.kvno + 1, key0=Secret(bytes(32)))
        taking, stored = self.take([rotated, evolve(NODE, nai="x@example.org")], [NODE, NODE])
        self.assertEqual((taking.kept, taking.taken, taking.deleted), (1, 0, 1))
        self.assertEqual([each.nai for each in stored], ["x@example.org"])
        self.assertEqual(taking.there.find(NODE.nai), rotated)

    def test_more_than_there_is_room_for(self) -> None:
        self.assertRaises(Unfeasible, self.take, [], [evolve(NODE, nai=f"n{n}@example.org") for n in range(4)], 3)
        self.assertEqual(PRINCIPALS.standing(TWO[1][1]).until, 99)
