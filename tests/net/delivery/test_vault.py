"""Keys of dialogs of messages at the edge: prekeys through days and crashes, and whom to trust."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from seckex.config.credentials import Credentials
from seckex.crypto.identity import Identity, TrustAnchors
from seckex.delivery.keys.faces import Policy
from seckex.errors import StoreFailed
from seckex.net.delivery.prekeys import AGAIN, KEMS, MOST_KEPT, PREKEY, PrekeyRing
from seckex.net.delivery.vault import MessageVault
from seckex.sa.store import DeleteRecord, MemoryStore, Outcome, Record, Unit
from seckex.wire.prekey import decode_prekey
from tests.roaming.certificates import identity, trust

DAY = 86400.0
HOME, NODE = "home@example.org", "node@example.net"


class State:
    """A store that commits when the test says so."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.waiting: list[tuple[Unit, Callable[[Outcome | StoreFailed], None]]] = []
        self.failing = False

    def submit(self, unit: Unit, done: Callable[[Outcome | StoreFailed], None]) -> None:
        self.waiting.append((unit, done))

    def commit(self) -> None:
        while self.waiting:
            unit, done = self.waiting.pop(0)
            done(StoreFailed("full") if self.failing else self.store.commit([unit])[0])

    @property
    def records(self) -> list[Record]:
        return [each for each in self.store.load(0, 0.0).records if each.kind == PREKEY]


class VaultCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.state = State()
        self.draw = Random(1)  # noqa: S311  # that runs are alike
        self.who = identity(HOME)
        self.now = self.who.not_before + DAY
        self.ring = self.another()
        self.ring.use(self.who, self.now)
        self.state.commit()

    def another(self, worker: int = 0) -> PrekeyRing:
        ring = PrekeyRing(HOME, worker, DAY, 7 * DAY, self.draw.randbytes, self.state.submit)
        ring.load(self.state.records)
        return ring

    def ids(self, ring: PrekeyRing) -> list[bytes]:
        return [decode_prekey(each).prekey_id for each in ring.told(self.now)]


class PrekeyTests(VaultCase):
    def test_one_for_each_kem_is_told_when_it_is_durable(self) -> None:
        fresh = State()
        ring = PrekeyRing(HOME, 0, DAY, 7 * DAY, self.draw.randbytes, fresh.submit)
        ring.use(self.who, self.now)
        self.assertEqual(ring.told(self.now), ())
        fresh.commit()
        self.assertEqual({decode_prekey(each).kem for each in ring.told(self.now)}, set(KEMS))
        for each in map(decode_prekey, ring.told(self.now)):
            self.assertEqual((each.nai, each.expiry), (HOME, int(min(self.now + 7 * DAY, self.who.not_after))))

    def test_they_outlive_the_process(self) -> None:
        again = self.another()
        again.use(self.who, self.now)
        self.assertEqual(self.state.waiting, [])
        self.assertEqual(self.ids(again), self.ids(self.ring))
        for name in self.ids(again):
            self.assertIsNotNone(again.private(name))
        # Another worker has its own.
        self.assertEqual(len(self.another(worker=1)), 0)

    def test_new_ones_are_told_daily_and_the_old_ones_open_until_they_end(self) -> None:
        before = self.ids(self.ring)
        self.ring.tend(self.now + DAY - 1)
        self.assertEqual(self.state.waiting, [])
        self.now += DAY
        self.ring.tend(self.now)
        self.state.commit()
        after = self.ids(self.ring)
        self.assertFalse(set(before) & set(after))
        for name in before + after:
            self.assertIsNotNone(self.ring.private(name))

    def test_at_its_end_one_is_gone_from_memory_and_store(self) -> None:
        before = self.ids(self.ring)
        self.ring.every = 30 * DAY
        self.now = float(decode_prekey(self.ring.told(self.now)[0]).expiry)
        self.assertEqual(self.ring.told(self.now), ())
        self.ring.tend(self.now)
        self.assertIsInstance(self.state.waiting[0][0][0], DeleteRecord)
        self.state.commit()
        self.assertEqual([self.ring.private(name) for name in before], [None, None])
        self.assertFalse({record.name[1:] for record in self.state.records} & set(before))

    def test_a_store_that_fails_is_tried_again(self) -> None:
        self.state.failing = True
        self.now += DAY
        self.ring.tend(self.now)
        self.state.commit()
        self.assertEqual(self.ring.trouble, "full")
        self.ring.tend(self.now + AGAIN - 1)
        self.assertEqual(self.state.waiting, [])
        self.state.failing = False
        self.ring.tend(self.now + AGAIN)
        self.state.commit()
        self.assertEqual((self.ring.trouble, len(self.ring)), ("", 4))

    def test_another_certificate_has_prekeys_of_its_own_and_the_former_ones_open(self) -> None:
        before = self.ids(self.ring)
        another = identity(HOME, held="another key")
        self.ring.use(another, self.now)
        self.assertEqual(self.ring.told(self.now), ())
        self.state.commit()
        self.assertFalse(set(before) & set(self.ids(self.ring)))
        names = [each.fingerprint.hex() for each in self.ring.principals]
        self.assertEqual(names, [another.fingerprint, self.who.fingerprint])
        again = self.another()
        again.use(another, self.now)
        self.assertEqual({each.fingerprint.hex() for each in again.principals}, set(names))

    def test_there_is_a_bound(self) -> None:
        self.ring.every = 0.0
        self.ring.lifetime = 60 * DAY
        for _ in range(MOST_KEPT):
            self.now += 1
            self.ring.tend(self.now)
            self.state.commit()
        self.assertEqual(len(self.ring), MOST_KEPT)

    def test_records_that_make_no_sense_are_passed_over(self) -> None:
        [record, _] = self.state.records
        for octets in (b"", record.octets[:-1], b"\xff" + record.octets[1:]):
            ring = PrekeyRing(HOME, 0, DAY, 7 * DAY, self.draw.randbytes, self.state.submit)
            ring.load([evolve(record, octets=octets)])
            self.assertEqual(len(ring), 0)


class VaultTests(VaultCase):
    def vault(self, nai: str = NODE, who: Identity | None = None, anchors: TrustAnchors | None = None) -> MessageVault:
        ring = PrekeyRing(nai, 0, DAY, 7 * DAY, self.draw.randbytes, self.state.submit)
        held: Any = lambda _peer: ()  # noqa: E731  # it is a value
        at: Any = lambda _spi: None  # noqa: E731  # as above
        credentials = Credentials(who or identity(nai), anchors or trust())
        vault = MessageVault(nai, ring, credentials, Policy(), self.draw.randbytes, lambda: self.now, held, at)
        vault.reconfigure(credentials, Policy())
        return vault

    def test_the_best_prekey_of_a_peer_is_taken(self) -> None:
        vault = self.vault()
        vault.learn_prekeys(HOME, self.ring.told(self.now), self.now)
        found = vault.prekey(HOME, self.now)
        assert found is not None
        self.assertIs(found.kem, KEMS[0])
        voucher = vault.voucher(HOME, found.fingerprint, self.now)
        assert voucher is not None
        self.assertEqual(voucher.nai, HOME)
        self.assertIsNone(vault.voucher(HOME, bytes(32), self.now))
        self.assertIsNone(vault.prekey(HOME, float(found.expiry)))
        self.assertIsNone(vault.prekey(NODE, self.now))

    def test_what_is_somebody_elses_or_altered_is_not(self) -> None:
        vault = self.vault()
        told = self.ring.told(self.now)
        vault.learn_prekeys("other@example.org", told, self.now)
        vault.learn_prekeys(HOME, [told[0][:-1] + bytes([told[0][-1] ^ 1]), b"", b"nonsense"], self.now)
        self.assertIsNone(vault.prekey("other@example.org", self.now))
        self.assertIsNone(vault.prekey(HOME, self.now))

    def test_without_a_certificate_there_are_associations_only(self) -> None:
        vault = self.vault()
        vault.reconfigure(None, Policy())
        vault.learn_prekeys(HOME, self.ring.told(self.now), self.now)
        self.assertIsNone(vault.prekey(HOME, self.now))
        self.assertEqual((vault.identity, vault.trust), (None, None))
        self.assertEqual([each.nai for each in vault.principals], [NODE])
        self.assertIsNone(vault.association_to(HOME, kdc=False))
        self.assertIsNone(vault.association_at(1))
