"""How accounts last: one record of each passage, totals that lose nothing, and what becomes of both at a bound."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.errors import Malformed
from seckex.events import StoreUnwritable
from seckex.events.kdc import RecordUnreadable
from seckex.machine import Now
from seckex.passage.faces import Octets, Party
from seckex.roles.accounts import Account, Ledger, Retention, Total, Whose
from seckex.roles.accounts import ledger as of_ledger
from seckex.roles.accounts.accounts import CUT_SHORT, MOST_WHY
from seckex.sa.store import MemoryStore, Outcome, PutRecord, Record
from tests.roles.accounts.parts import AT_AGENT, AT_HOME, Books, figures, ident

NODE = Whose("visited.example", "node@example.org")


class LastingTests(SynchronousTestCase):
    def test_a_passage_is_recorded_as_it_begins_grows_and_ends(self) -> None:
        books = Books()
        books.tell(figures())
        self.assertEqual([one.outward for one in books.open()], [Octets()])
        books.tell(figures(octets=10))
        [account] = books.open()
        self.assertEqual((account.outward.proved, account.inward.proved, account.ended), (10, 20, None))
        self.assertEqual((account.began, account.at), (1000.0, 2000.0))
        books.tell(figures(octets=11, ended=2001.0, why="in order"))
        self.assertEqual(books.open(), [])
        [account] = books.kept()
        self.assertEqual((account.who, account.ended, account.why, account.whole), (AT_HOME, 2001.0, "in order", True))
        self.assertEqual(books.totals(), {NODE: Total().with_account(account)})

    def test_what_comes_in_one_tick_is_one_unit(self) -> None:
        books = Books()
        books.tell(*(figures(number) for number in range(9)), figures(3, 5, ended=2000.0))
        self.assertEqual((books.units, len(books.open()), len(books.kept())), (1, 8, 1))

    def test_while_a_unit_is_under_way_what_follows_gathers(self) -> None:
        books = Books()
        books.take(books.ledger.accounted(figures(1), books.now))
        books.take(books.ledger.tick(books.now))
        for number in (2, 3):
            books.take(books.ledger.accounted(figures(number), books.now))
            self.assertEqual(books.ledger.tick(books.now), [])
        books.settle()
        self.assertEqual((books.units, len(books.open())), (2, 3))

    def test_one_that_is_over_before_it_was_written_is_finished_at_once(self) -> None:
        books = Books()
        books.tell(figures(1, 7, ended=2000.0, why="lost"))
        self.assertEqual((len(books.open()), [one.why for one in books.kept()]), (0, ["lost"]))

    def test_a_killed_daemon_closes_what_was_open_as_of_its_last_figures(self) -> None:
        books = Books()
        books.tell(figures(1, 7), figures(2, 8, ended=2000.0))
        books = books.restarted()
        self.assertEqual(books.open(), [])
        whole, cut = books.kept()
        self.assertEqual((cut.ident, cut.outward.proved, cut.ended), (ident(1), 7, 2000.0))
        self.assertEqual((whole.whole, cut.whole, cut.why), (True, False, CUT_SHORT))
        total = books.totals()[NODE]
        self.assertEqual((total.passages, total.cut_short, total.outward.proved), (2, 1, 15))

    def test_each_is_counted_once_however_often_it_is_killed(self) -> None:
        books = Books()
        books.tell(figures(1, 7), figures(2, 8, ended=2000.0))
        for _ in range(3):
            # Killed before the unit of its start was durable, and once more after it.
            killed = Ledger("ha", Retention())
            killed.start(books.store.load(0, 0.0).records, books.now)
            books = books.restarted()
        self.assertEqual(books.totals()[NODE].passages, 2)
        self.assertEqual(len(books.kept()), 2)

    def test_stopping_makes_durable_what_came_last(self) -> None:
        books = Books()
        books.take(books.ledger.accounted(figures(1), books.now))
        books.take(books.ledger.tick(books.now))
        books.take(books.ledger.accounted(figures(1, 9, ended=2000.0), books.now))
        books.take(books.ledger.closing())
        for commit in books.waiting:
            books.store.commit([commit.unit])
        self.assertEqual(([one.outward.proved for one in books.kept()], books.open()), ([9], []))

    def test_a_store_that_cannot_be_written_is_tried_again_and_nothing_is_lost(self) -> None:
        books = Books(retention=Retention(records=1))
        books.tell(figures(1), figures(2))
        books.broken = "no space left"
        books.tell(figures(1, 7, ended=2000.0), figures(2, 8))
        books.tell(figures(3, 9, ended=2000.0), figures(4))
        self.assertEqual([type(event) for event in books.events], [StoreUnwritable])
        self.assertEqual(len(books.open()), 2)
        books.broken = ""
        books.pass_time(of_ledger.AGAIN_AFTER)
        self.assertEqual([one.ident for one in books.kept()], [ident(3)])
        self.assertEqual({one.ident: one.outward.proved for one in books.open()}, {ident(2): 8, ident(4): 0})
        self.assertEqual(books.totals()[NODE].outward.proved, 16)
        self.assertEqual(books.ledger.counters["accounts.kept"], 1)

    def test_what_cannot_be_read_is_left_out_and_told(self) -> None:
        store = MemoryStore()
        kinds = ("ha.account", "ha.total", "ha.accounts")
        store.commit([tuple(PutRecord(Record(kind, b"x", b"\x09rubbish")) for kind in kinds)])
        books = Books(store=store)
        self.assertEqual([type(event) for event in books.events], [RecordUnreadable] * 3)
        self.assertEqual(books.kept(), [])


class CountingTests(SynchronousTestCase):
    def test_octets_are_counted_as_they_come_and_once(self) -> None:
        books = Books()
        books.tell(figures(1, 5), figures(2, 7), figures(1, 6), figures(1, 9, ended=2000.0))
        counted = {name: books.ledger.counters[f"accounts.{name}"] for name in ("outward", "inward", "inward-proved")}
        self.assertEqual(counted, {"outward": 16, "inward": 32, "inward-proved": 32})


class BoundTests(SynchronousTestCase):
    def test_of_more_records_the_oldest_go_and_totals_stay(self) -> None:
        books = Books(retention=Retention(records=3))
        for number in range(10):
            books.tell(figures(number, 1, ended=2000.0))
        self.assertEqual([one.ident for one in books.kept()], [ident(number) for number in (7, 8, 9)])
        self.assertEqual(books.totals()[NODE].passages, 10)

    def test_without_records_totals_are_kept(self) -> None:
        books = Books(retention=Retention(records=0))
        books.tell(figures(1, 5, ended=2000.0), figures(2, 6))
        self.assertEqual((books.kept(), len(books.open())), ([], 1))
        self.assertEqual(books.totals()[NODE].outward.proved, 5)

    def test_a_lower_bound_is_reached_in_portions(self) -> None:
        self.patch(of_ledger, "MOST_AT_ONCE", 4)
        books = Books()
        books.tell(*(figures(number, 1, ended=2000.0) for number in range(30)))
        self.assertEqual(books.units, 8)
        books.ledger.reconfigure(Retention(records=2), books.now)
        books.pass_time()
        self.assertEqual((len(books.kept()), books.units), (2, 15))

    def test_what_is_kept_for_long_enough_expires(self) -> None:
        books = Books(retention=Retention(keep=60.0))
        books.tell(figures(1, 1, ended=2000.0))
        page = books.store.page("ha.account.aside", None, 9)
        self.assertEqual([record.expires for record in page.records], [2060.0])

    def test_finished_accounts_are_not_loaded(self) -> None:
        books = Books()
        books.tell(*(figures(number, 1, ended=2000.0) for number in range(5)))
        kinds = sorted(record.kind for record in books.store.load(0, 0.0).records)
        self.assertEqual(kinds, ["ha.accounts", "ha.total"])

    def test_of_more_open_ones_the_quietest_is_closed(self) -> None:
        self.patch(of_ledger, "MOST_OPEN", 2)
        books = Books()
        books.tell(figures(1), figures(2), figures(1, 5), figures(3))
        self.assertEqual([(one.ident, one.whole) for one in books.kept()], [(ident(2), False)])
        self.assertEqual({one.ident for one in books.open()}, {ident(1), ident(3)})

    def test_while_the_store_is_broken_a_bounded_number_waits(self) -> None:
        self.patch(of_ledger, "MOST_WAITING", 2)
        books = Books()
        books.tell(figures(1))
        books.broken = "no space left"
        books.tell(figures(9))
        for number in (1, 2, 3):
            books.tell(figures(number, 1, ended=2000.0))
        self.assertEqual(books.ledger.counters["accounts.lost"], 1)
        books.broken = ""
        books.pass_time(of_ledger.AGAIN_AFTER)
        # The one that was lost is found at the next start.
        books = books.restarted()
        self.assertEqual({one.ident: one.whole for one in books.kept()}[ident(1)], False)

    def test_text_is_clipped_and_harmless(self) -> None:
        books = Books()
        books.tell(figures(1, ended=2000.0, why="\x1b[2J" + "x" * 1000))
        [account] = books.kept()
        self.assertEqual(len(account.why), MOST_WHY)
        self.assertTrue(account.why.isprintable())


class TotalTests(SynchronousTestCase):
    def told(self, books: Books, *nodes: tuple[str, str]) -> None:
        for number, (node, domain) in enumerate(nodes):
            who = evolve(AT_HOME, node=node, domain=domain)
            books.tell(figures(number, 1, who, ended=2000.0))

    def test_totals_are_per_node_and_domain_at_home_and_per_pseudonym_at_an_agent(self) -> None:
        books = Books()
        self.told(books, ("a", "x"), ("b", "x"), ("a", "y"), ("a", "x"))
        passages = {(one.node, one.domain): total.passages for one, total in books.totals().items()}
        self.assertEqual(passages, {("a", "x"): 2, ("b", "x"): 1, ("a", "y"): 1})
        agent = Books("fa")
        other = evolve(AT_AGENT, pseudonym=bytes(16))
        agent.tell(figures(1, 1, AT_AGENT, ended=2000.0), figures(2, 1, other, ended=2000.0))
        self.assertEqual({one.pseudonym for one in agent.totals()}, {AT_AGENT.pseudonym, other.pseudonym})
        self.assertEqual({(one.domain, one.node) for one in agent.totals()}, {("example.org", "")})

    def test_of_more_totals_those_that_grew_longest_ago_become_one_of_their_domain(self) -> None:
        books = Books(retention=Retention(totals=3))
        self.told(books, ("a", "x"), ("b", "x"), ("c", "x"), ("a", "x"), ("d", "x"))
        passages = {(one.node, one.domain): total.passages for one, total in books.totals().items()}
        self.assertEqual(passages, {("", "x"): 2, ("a", "x"): 2, ("d", "x"): 1})

    def test_of_more_domains_than_totals_the_rest_is_one(self) -> None:
        books = Books(retention=Retention(totals=2))
        self.told(books, *(("a", f"d{number}") for number in range(9)))
        totals = books.totals()
        self.assertLessEqual(len(totals), 2)
        self.assertEqual(sum(total.passages for total in totals.values()), 9)
        self.assertIn(Whose(), totals)

    def test_the_order_outlives_a_restart(self) -> None:
        books = Books(retention=Retention(totals=3))
        for number, node in enumerate("abc"):
            who = evolve(AT_HOME, node=node)
            books.tell(figures(number, 1, who, ended=2000.0 - number))
        again = Books(retention=Retention(totals=3), store=books.store)
        again.tell(figures(7, 1, evolve(AT_HOME, node="d"), ended=2000.0))
        self.assertEqual({one.node for one in again.totals()}, {"", "a", "d"})

    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("xyz"), st.integers(0, 99)), max_size=25))
    def test_nothing_is_ever_lost_from_the_sum(self, told: list[tuple[str, str, int]]) -> None:
        books = Books(retention=Retention(totals=4, records=2))
        for number, (node, domain, octets) in enumerate(told):
            books.tell(figures(number, octets, evolve(AT_HOME, node=node, domain=domain), ended=2000.0))
        totals = books.totals().values()
        self.assertEqual(sum(total.outward.proved for total in totals), sum(octets for *_, octets in told))
        self.assertEqual(sum(total.passages for total in totals), len(told))


OCTETS = st.builds(Octets, *[st.integers(0, (1 << 64) - 1)] * 3)
TIMES = st.floats(0, 1e11)
ACCOUNTS = st.builds(
    Account,
    ident=st.binary(min_size=16, max_size=16),
    who=st.builds(Party, st.text(max_size=9), st.binary(max_size=16), st.text(max_size=9), st.text(max_size=9)),
    began=TIMES,
    at=TIMES,
    outward=OCTETS,
    inward=OCTETS,
    ended=st.none() | TIMES,
    why=st.text(max_size=9),
    whole=st.booleans(),
)


class RecordTests(SynchronousTestCase):
    @settings(max_examples=60, deadline=None)
    @given(ACCOUNTS)
    def test_an_account_is_read_as_it_was_written(self, account: Account) -> None:
        self.assertEqual(Account.read(account.octets()), account)

    @settings(max_examples=60, deadline=None)
    @given(ACCOUNTS, st.data())
    def test_what_is_cut_off_or_longer_is_no_account(self, account: Account, data: st.DataObject) -> None:
        octets = account.octets()
        end = data.draw(st.integers(0, len(octets) - 1))
        for wrong in (octets[:end], octets + b"\0"):
            self.assertRaises(Malformed, Account.read, wrong)

    def test_totals_and_names(self) -> None:
        total = Total(3, 1, 5.0, 6.5, Octets(1, 2, 3), Octets(4, 5, 6))
        self.assertEqual(Total.read(total.octets()), total)
        for whose in (Whose("d", "n"), Whose("d", "", bytes(16)), Whose()):
            self.assertEqual(Whose.read(whose.octets()), whose)
        self.assertRaises(Malformed, Total.read, total.octets() + b"\0")
        self.assertRaises(Malformed, Whose.read, b"\0\0\0\xff")

    def test_a_ledger_knows_its_own_tokens(self) -> None:
        ledger = Ledger("fa", Retention())
        ledger.accounted(figures(1), Now(1.0, 1.0))
        [commit] = ledger.tick(Now(1.0, 1.0))
        token = getattr(commit, "token", 0)
        self.assertLess(token, 0)
        self.assertEqual(ledger.committed(token, Outcome.STORED, Now(1.0, 1.0)), [])
