"""What every store does with append-only logs, as tests to be mixed into the tests of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seckex.crypto.logchain import FIRST, link
from seckex.errors import ApiMisuse
from seckex.sa.logs import MAX_ENTRY, Head, follow
from seckex.sa.store import Append, PutAssociation, PutReplay
from tests.storage.contract import CONFLICT, STORED
from tests.storage.samples import NOW, association, replay

if TYPE_CHECKING:
    from tests.storage.contract import StoreContract as Base
else:
    # Mixed in beside the contract.
    Base = object

AUDIT, OTHER = "kdc.audit", "accounting"


class LogContract(Base):
    """See the module."""

    def octets(self, log: str = AUDIT) -> list[bytes]:
        """Restart, and return what is in a log."""
        self.store = self.restarted(self.store)
        self.assertTrue(self.store.verify(log).is_sound)
        return [entry.octets for entry in self.store.entries(log, 0, 1000)]

    def test_a_log_that_nobody_has_written_is_empty_and_sound(self) -> None:
        self.assertEqual(self.store.entries(AUDIT, 0, 10), [])
        check = self.store.verify(AUDIT)
        self.assertEqual((check.sound, check.is_sound), (Head(0, FIRST), True))

    def test_entries_are_numbered_and_each_hash_covers_the_one_before(self) -> None:
        self.store.commit([(Append(AUDIT, b"one", NOW), Append(AUDIT, b"two", NOW + 0.25))])
        # A clock may be set back; the order is that of the entries.
        self.store.commit([(Append(AUDIT, b"three", NOW - 5),)])
        self.store = self.restarted(self.store)
        found = self.store.entries(AUDIT, 0, 10)
        self.assertEqual(
            [(each.seq, each.at, each.octets) for each in found],
            [(1, NOW, b"one"), (2, NOW + 0.25, b"two"), (3, NOW - 5, b"three")],
        )
        before = FIRST
        for each in found:
            self.assertEqual(each.hash, link(AUDIT, before, each.seq, each.at, each.octets))
            before = each.hash
        self.assertEqual(self.store.verify(AUDIT).sound, Head(3, before))
        self.assertTrue(follow(AUDIT, found, Head(3, before)).is_sound)

    def test_logs_have_nothing_to_do_with_each_other(self) -> None:
        self.store.commit([(Append(AUDIT, b"a1", NOW), Append(OTHER, b"b1", NOW)), (Append(AUDIT, b"a2", NOW),)])
        self.assertEqual((self.octets(), self.octets(OTHER)), ([b"a1", b"a2"], [b"b1"]))
        self.assertNotEqual(self.store.entries(AUDIT, 0, 1)[0].hash, self.store.entries(OTHER, 0, 1)[0].hash)

    def test_a_unit_in_conflict_leaves_no_entry(self) -> None:
        self.store.commit([(PutReplay(replay(1)), Append(AUDIT, b"1", NOW))])
        outcomes = self.store.commit(
            [
                (Append(AUDIT, b"2", NOW), PutAssociation(association(64))),
                (Append(AUDIT, b"not this", NOW), PutReplay(replay(1))),
                (PutReplay(replay(2)), Append(AUDIT, b"3", NOW)),
            ]
        )
        self.assertEqual(outcomes, [STORED, CONFLICT, STORED])
        self.assertEqual(self.octets(), [b"1", b"2", b"3"])

    def test_the_log_is_read_in_portions(self) -> None:
        self.store.commit([(Append(AUDIT, b"%d" % n, NOW),) for n in range(1, 8)])
        self.assertEqual([e.seq for e in self.store.entries(AUDIT, 0, 3)], [1, 2, 3])
        self.assertEqual([e.seq for e in self.store.entries(AUDIT, 5, 3)], [6, 7])
        self.assertEqual(self.store.entries(AUDIT, 7, 3), [])

    def test_the_same_octets_may_come_again(self) -> None:
        self.store.commit([(Append(AUDIT, b"x", NOW),)] * 2)
        self.assertEqual(self.octets(), [b"x", b"x"])
        first, second = self.store.entries(AUDIT, 0, 2)
        self.assertNotEqual(first.hash, second.hash)

    def test_what_is_no_entry_is_refused_where_it_is_made(self) -> None:
        for log, octets in (("", b"x"), ("ä", b"x"), ("l" * 65, b"x"), (AUDIT, bytes(MAX_ENTRY + 1))):
            self.assertRaises(ApiMisuse, Append, log, octets, NOW)
        Append("l" * 64, bytes(MAX_ENTRY), NOW)
