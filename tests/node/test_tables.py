"""The tables of a node, its counting of drops, and the tokens of its commits."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.schedule import AgreedKeys
from seckex.crypto.secrets import Secret
from seckex.errors import ApiMisuse
from seckex.events import MessageDropped
from seckex.machine import Now, Path, Report
from seckex.node.actions import Commit, NodeAction
from seckex.node.associations import AssociationTable, Usage
from seckex.node.conversation import Driver
from seckex.node.drops import BURST, Drops
from seckex.node.tables import ExpiringTable
from seckex.sa.algorithms import BY_NAME
from seckex.sa.association import Agreement, Association
from seckex.sa.store import DeleteAssociation, Outcome
from seckex.wire.numbers import PRF_HMAC_SHA2_256, Role

PATH = Path("192.0.2.1", 4434)


def association(spi_in: int, peer: str = "a@b", created: float = 0.0, lifetime: int = 100) -> Association:
    """Return an association as tables see it."""
    return Association(
        role=Role.RESPONDER,
        local="home@example.org",
        peer=peer,
        spi_in=spi_in,
        spi_out=1 << 20,
        agreement=Agreement((BY_NAME["aes-256-gcm"],), lifetime),
        created=created,
        transcript=bytes(48),
        keys=AgreedKeys(PRF_HMAC_SHA2_256, Secret(bytes(32)), b"context"),
    )


class ExpiringTableTests(SynchronousTestCase):
    def test_entries_live_equally_long(self) -> None:
        table: ExpiringTable[str, int] = ExpiringTable(10, 30.0)
        self.assertIsNone(table.deadline())
        table.put("a", 1, 0.0)
        table.put("b", 2, 5.0)
        self.assertEqual((table.deadline(), len(table), "a" in table, table.get("b")), (30.0, 2, True, 2))
        self.assertEqual(list(table.expired(29.9)), [])
        self.assertEqual(list(table.expired(30.0)), [("a", 1)])
        self.assertEqual((table.deadline(), table.get("a")), (35.0, None))

    def test_putting_again_makes_it_the_youngest(self) -> None:
        table: ExpiringTable[str, int] = ExpiringTable(2, 30.0, yielding=True)
        table.put("a", 1, 0.0)
        table.put("b", 2, 1.0)
        table.put("a", 3, 2.0)
        self.assertEqual(table.deadline(), 31.0)
        table.put("c", 4, 3.0)
        self.assertEqual(list(table.expired(100.0)), [("a", 3), ("c", 4)])

    def test_at_the_limit_the_oldest_gives_way_or_it_is_full(self) -> None:
        yielding: ExpiringTable[int, int] = ExpiringTable(3, 30.0, yielding=True)
        for number in range(5):
            yielding.put(number, number, float(number))
        self.assertEqual([key for key, _ in yielding.expired(100.0)], [2, 3, 4])
        full: ExpiringTable[int, int] = ExpiringTable(1, 30.0)
        self.assertFalse(full.full)
        full.put(1, 1, 0.0)
        self.assertTrue(full.full)
        self.assertEqual((full.pop(1), full.pop(1), full.full), (1, None, False))


class AssociationTableTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.table = AssociationTable(10)

    def test_associations_are_found_by_SPI_and_by_peer(self) -> None:
        for spi, peer in ((1000, "a@b"), (2000, "c@d"), (3000, "a@b")):
            self.table.add(association(spi, peer))
        self.assertEqual([one.spi_in for one in self.table], [1000, 2000, 3000])
        self.assertEqual(self.table.newest("a@b"), self.table.get(3000))
        self.assertIsNone(self.table.newest("e@f"))
        self.assertEqual(self.table.remove(3000), association(3000))
        self.assertEqual(self.table.newest("a@b"), association(1000))
        self.assertIsNone(self.table.remove(3000))
        self.table.remove(1000)
        self.assertIsNone(self.table.newest("a@b"))

    def test_a_newer_version_takes_the_place_of_the_older(self) -> None:
        self.table.add(association(1000))
        self.table.add(association(2000))
        self.table.add(evolve(association(1000), confirmed=True))
        self.assertEqual(len(self.table), 2)
        newest = self.table.newest("a@b")
        self.assertEqual(newest and newest.spi_in, 2000)
        self.assertEqual([one.spi_in for one in self.table.expired(1000.0)], [1000, 2000])

    def test_each_expires_in_its_time(self) -> None:
        for spi, lifetime in ((1000, 300), (2000, 100), (3000, 200)):
            self.table.add(association(spi, lifetime=lifetime))
        self.assertEqual(self.table.next_expiry(), 100.0)
        self.assertEqual(list(self.table.expired(99.9)), [])
        self.assertEqual([one.spi_in for one in self.table.expired(200.0)], [2000, 3000])
        self.assertEqual((self.table.next_expiry(), len(self.table)), (300.0, 1))

    def test_an_SPI_that_is_used_again_lives_its_own_life(self) -> None:
        self.table.add(association(1000, lifetime=100))
        self.table.remove(1000)
        self.table.add(association(1000, created=50.0, lifetime=100))
        self.assertEqual(list(self.table.expired(100.0)), [])
        self.assertEqual([one.spi_in for one in self.table.expired(150.0)], [1000])

    def test_what_was_removed_leaves_nothing_behind(self) -> None:
        self.table.add(association(1, lifetime=10**6))
        for spi in range(1000, 6000):
            self.table.add(association(spi, lifetime=10**6))
            self.table.usage(spi)
            self.table.remove(spi)
        self.assertLess(len(self.table._expiry), 200)
        self.assertEqual((len(self.table._usage), len(self.table._by_peer)), (0, 1))
        self.assertEqual([one.spi_in for one in self.table.expired(2e6)], [1])

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 20), st.booleans()), max_size=40))
    def test_it_is_a_dictionary_with_expiry(self, operations: list[tuple[int, int, bool]]) -> None:
        table, model = AssociationTable(10), dict[int, Association]()
        for now, (spi, lifetime, remove) in enumerate(operations):
            if remove:
                self.assertEqual(table.remove(spi), model.pop(spi, None))
            elif spi not in model:
                model[spi] = association(spi, created=float(now), lifetime=lifetime)
                table.add(model[spi])
            gone = {one.spi_in for one in table.expired(float(now))}
            self.assertEqual(gone, {spi for spi, one in model.items() if one.expires <= now})
            model = {spi: one for spi, one in model.items() if spi not in gone}
            self.assertEqual({one.spi_in: one for one in table}, model)
            soonest = min((one.expires for one in model.values()), default=None)
            if soonest is not None:
                self.assertLessEqual(table.next_expiry() or 0, soonest)

    def test_usage_is_counted_for_the_living(self) -> None:
        self.table.add(association(1000))
        self.table.usage(1000).octets_in += 5
        self.assertEqual(self.table.usage(1000), Usage(octets_in=5))
        self.table.remove(1000)
        self.assertEqual(len(self.table._usage), 0)


class DropsTests(SynchronousTestCase):
    def test_reports_are_rationed_and_counters_exact(self) -> None:
        drops, actions = Drops(), list[NodeAction]()
        for number in range(50):
            drops.note("malformed", f"number {number}", PATH, Now(0.0, 0.0), actions)
        self.assertEqual((len(actions), drops.counters["dropped.malformed"]), (BURST, 50))
        # One more every five seconds.
        for now in (4.9, 5.0, 5.1, 9.9, 10.1):
            drops.note("malformed", "late", PATH, Now(now, 0.0), actions)
        said = [action.event for action in actions[BURST:] if isinstance(action, Report)]
        self.assertEqual([event.suppressed for event in said if isinstance(event, MessageDropped)], [41, 2])

    def test_rest_gives_no_more_than_one_burst(self) -> None:
        drops, actions = Drops(), list[NodeAction]()
        for _ in range(50):
            drops.note("malformed", "after a quiet day", PATH, Now(86400.0, 0.0), actions)
        self.assertEqual(len(actions), BURST)


class DriverTests(SynchronousTestCase):
    def test_an_outcome_belongs_to_one_commit(self) -> None:
        driver, actions, now = Driver(), list[NodeAction](), Now(0.0, 0.0)
        driver.commit(None, (DeleteAssociation(1000),), actions)
        commit = actions[0]
        if not isinstance(commit, Commit):
            self.fail("no commit")
        self.assertEqual(driver.waiting, 1)
        self.assertNotIn("1000", repr(commit))
        self.assertEqual(driver.committed(commit.token, Outcome.STORED, now, actions), (None, commit.unit))
        self.assertEqual((driver.waiting, len(actions)), (0, 1))
        self.assertRaises(ApiMisuse, driver.committed, commit.token, Outcome.STORED, now, actions)
