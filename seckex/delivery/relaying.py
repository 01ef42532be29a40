"""A relay: keeps envelopes of others for others, and holds none of their keys (docs/messages.md, section 13).

Whoever deposits or collects proves its name first, by a signature over the connection's path and the relay's name. Of
an envelope the routing header is read, and nothing else. It is durable before its depositor hears KEPT, and is kept
until its destination has said KEPT or its time is over. A destination is given what there is in its order, over the
connection on which it has proved its name last.

A collector's prekeys, which it has signed, are kept and told to those who have called for it; that they are told
again is a sign that it is there.

Bounds: `RelayTerms`; `MOST_UNDER_WAY` envelopes are under way to a collector; prekeys of `MOST_TOLD` principals, of
more those that were told longest ago are forgotten.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from seckex.crypto.envelope import verify_prove
from seckex.crypto.suites import SHA256
from seckex.delivery.connection import Connection
from seckex.delivery.kept import Kept, Queue, Queues
from seckex.delivery.speaking import MOST_BACKLOG, Speaking
from seckex.delivery.store import DropKept, DropTold, KeptEnvelope, KeptIndex, MessageSnapshot, PutKept, PutTold
from seckex.delivery.tables import Tables
from seckex.delivery.terms import matches
from seckex.errors import AuthenticationFailed, BadCertificate, Malformed, SeckexError, StoreFailed
from seckex.events.messages import EnvelopesExpired, RelayRefused
from seckex.machine import Now
from seckex.wire.buffer import Reader
from seckex.wire.dialog import FULL_PREAMBLE_SIZE
from seckex.wire.envelope_headers import Routing, read_routing
from seckex.wire.numbers import Code, NoticeWhat, RecordFlag
from seckex.wire.prekey import decode_prekey
from seckex.wire.units import HASH_SIZE, Gone, Notice, Prekeys, Prove

MOST_UNDER_WAY: Final = 64
MOST_TOLD: Final = 16_384
#: Seconds between two looks at what vouches for those who are connected, and at what has expired.
LOOK_EVERY: Final = 30.0

_FLAGS_AT: Final = 5
#: Where Hops is, behind the Length and Reserved of the routing header.
_HOPS_AT: Final = FULL_PREAMBLE_SIZE + 4


def digest_of(octets: bytes) -> bytes:
    """Return what an envelope is called in KEPT."""
    return SHA256.digest(octets)[:HASH_SIZE]


class Relaying:
    """See the module; does nothing where there are no terms of a relay, but to give what it has kept as one."""

    def __init__(self, tables: Tables, speaking: Speaking, snapshot: MessageSnapshot) -> None:
        self._tables = tables
        self._speaking = speaking
        self._queues = Queues(snapshot.kept)
        self._told: dict[str, tuple[bytes, ...]] = {told.nai: told.prekeys for told in snapshot.told}
        self._looked = -LOOK_EVERY
        self.counts: Counter[str] = Counter()

    @property
    def octets(self) -> int:
        """What is kept, as it counts against the bounds."""
        return self._queues.octets

    def __len__(self) -> int:
        """How many envelopes are kept."""
        return len(self._queues)

    def serves(self, nai: str) -> bool:
        """Tell whether we are a relay for somebody."""
        terms = self._tables.terms
        return terms.relay is not None and nai != terms.nai and matches(nai, terms.relay.principals)

    # -- who is there

    def met(self, connection: Connection, meant: str) -> None:
        """Tell who calls for somebody that we relay for what is known of it."""
        connection.meant = meant
        self._speaking.say(connection, Prekeys(self._told.get(meant, ())))

    def prove(self, connection: Connection, proof: Prove, now: Now) -> None:
        """Learn who speaks on a connection; raises `Malformed` where that cannot be said there."""
        terms = self._tables.terms
        if connection.called is not None or connection.chain:
            raise Malformed("PROVE", 0, "cannot be said here")
        name = ""
        try:
            if terms.vault.trust is None:
                raise AuthenticationFailed("nobody is trusted to vouch for others")
            voucher = terms.vault.trust.verify(proof.chain, now.wall)
            verify_prove(voucher, proof.signature, connection.path, terms.nai)
            name = voucher.nai
            if not self.serves(name) and name not in terms.peers:
                raise AuthenticationFailed(f"this is no relay for {name}, and there is nothing to send to it")
        except (AuthenticationFailed, BadCertificate) as error:
            self._tables.count("relay")
            self._tables.edge.report(RelayRefused(name, str(error)))
            self._speaking.say(connection, Gone(Code.PROHIBITED, "this is no relay for you"))
            self._speaking.drop(connection)
            return
        connection.chain = proof.chain
        if not self.serves(name):
            # Somebody who cannot be called has called, so that we can send to it.
            connection.proved = name if connection.proved is None else connection.proved
            self._speaking.leads_to(connection, name)
            return
        connection.collects = name
        connection.proved = name if connection.proved is None else connection.proved
        queue = self._queues.of(name)
        if queue is not None:
            self._turn(queue, connection)
            self._give(queue)

    def _turn(self, queue: Queue, connection: Connection | None) -> None:
        queue.take_back()
        queue.connection = None if connection is None else connection.number

    def _collector(self, name: str) -> Connection | None:
        found = [each for each in self._tables.connections.values() if each.collects == name and not each.closing]
        return found[-1] if found else None

    def told(self, connection: Connection, prekeys: tuple[bytes, ...]) -> None:
        """Keep what a collector tells of itself, and tell it to those who have called for it; raises `Malformed`."""
        name = connection.collects
        if not name:
            raise Malformed("PREKEYS", 0, "cannot be said here")
        if any(decode_prekey(octets).nai != name for octets in prekeys):
            raise Malformed("PREKEYS", 0, "are somebody else's")
        former = self._told.pop(name, None)
        self._told[name] = prekeys
        if former != prekeys:
            self._tables.edge.commit((PutTold(name, prekeys),), _ignored)
        if len(self._told) > MOST_TOLD:
            oldest = next(iter(self._told))
            del self._told[oldest]
            self._tables.edge.commit((DropTold(oldest),), _ignored)
        for each in self._tables.connections.values():
            if each.meant == name:
                self._speaking.say(each, Prekeys(prekeys))

    def lost(self, connection: Connection) -> None:
        """Give what was under way over a connection that has ended over another, if there is one."""
        name = connection.collects
        queue = self._queues.of(name) if name else None
        if queue is not None and queue.connection == connection.number:
            self._turn(queue, self._collector(name))
            self._give(queue)

    # -- envelopes come

    def deposit(self, connection: Connection, octets: bytes, now: Now) -> None:
        """Keep an envelope for its destination, or say why not; raises `SeckexError` at strangers."""
        if not connection.collects:
            self._tables.count("relay")
            raise AuthenticationFailed("an envelope for somebody else by who has not proved its name")
        digest, routing = digest_of(octets), None
        if octets[_FLAGS_AT] & RecordFlag.FULL:
            routing = read_routing(Reader(octets, FULL_PREAMBLE_SIZE))
        refusal = self._refusal(connection, routing, len(octets))
        if refusal is not None or routing is None:
            self.counts["refused"] += 1
            code = refusal or Code.POORLY_FORMED
            self._speaking.say(connection, Notice(NoticeWhat.UNKEPT, code, digest=digest))
            return
        relay = self._tables.terms.relay
        passed = octets[:_HOPS_AT] + bytes([routing.hops - 1]) + octets[_HOPS_AT + 1 :]
        until = now.wall + (0.0 if relay is None else relay.keep)
        number = self._queues.next_number
        envelope = KeptEnvelope(number, routing.destination, connection.collects, until, passed)
        index = KeptIndex(number, routing.destination, connection.collects, until, len(passed), digest_of(passed))
        kept = Kept(index, durable=False)
        self._queues.add(kept)
        said_by = connection.number

        def done(failure: StoreFailed | None) -> None:
            if failure is not None:
                self._queues.drop(kept)
            self._kept(kept, said_by, digest, failure)

        self._tables.edge.commit((PutKept(envelope),), done)

    def _refusal(self, connection: Connection, routing: Routing | None, size: int) -> Code | None:
        relay = self._tables.terms.relay
        if routing is None or routing.origin not in ("", connection.collects):
            return Code.POORLY_FORMED
        if not routing.hops:
            return Code.ROUTING_LOOP
        if relay is None or not self.serves(routing.destination):
            return Code.UNKNOWN_SERVICE
        return Code.INSUFFICIENT_RESOURCES if self._queues.flaw(relay, routing.destination, size) else None

    def _kept(self, kept: Kept, said_by: int, digest: bytes, failure: StoreFailed | None) -> None:
        depositor = self._tables.connections.get(said_by)
        if failure is not None:
            self.counts["refused"] += 1
            if depositor is not None:
                self._speaking.say(depositor, Notice(NoticeWhat.UNKEPT, Code.INSUFFICIENT_RESOURCES, digest=digest))
            return
        kept.durable = True
        self.counts["kept"] += 1
        if depositor is not None:
            self._speaking.say(depositor, Notice(NoticeWhat.KEPT, digest=digest))
        name = kept.index.destination
        queue = self._queues.of(name)
        if queue is not None:
            if queue.connection is None:
                self._turn(queue, self._collector(name))
            self._give(queue)

    # -- envelopes go

    def _give(self, queue: Queue) -> None:
        connection = self._tables.connections.get(-1 if queue.connection is None else queue.connection)
        if connection is None or connection.closing:
            return
        while len(queue.under_way) < MOST_UNDER_WAY and queue.waiting:
            if self._tables.edge.backlog(connection.number) >= MOST_BACKLOG:
                # `writable` goes on.
                return
            number = next(iter(queue.waiting))
            if not queue.waiting[number].durable:
                return
            kept = queue.waiting.pop(number)
            queue.under_way[kept.index.digest] = kept
            self._fetch(queue, connection, kept)

    def _fetch(self, queue: Queue, connection: Connection, kept: Kept) -> None:
        def done(result: bytes | StoreFailed) -> None:
            if queue.connection != connection.number or queue.under_way.get(kept.index.digest) is not kept:
                return
            if isinstance(result, StoreFailed) or digest_of(result) != kept.index.digest:
                # It cannot be read any more. Whoever it is of sends it again.
                self.counts["lost"] += 1
                self._forget([kept])
                return
            self.counts["given"] += 1
            self._tables.edge.say(connection.number, result)

        self._tables.edge.fetch_kept(kept.index.number, done)

    def collected(self, connection: Connection, digest: bytes) -> None:
        """Forget what a collector has said KEPT to."""
        queue = self._queues.of(connection.collects) if connection.collects else None
        kept = None if queue is None else queue.under_way.get(digest)
        if queue is not None and kept is not None:
            self.counts["collected"] += 1
            self._forget([kept])
            self._give(queue)

    def _forget(self, gone: list[Kept]) -> None:
        for kept in gone:
            self._queues.drop(kept)
        self._tables.edge.commit((DropKept(tuple(kept.index.number for kept in gone)),), _ignored)

    def writable(self, connection: Connection) -> None:
        """Go on with what waits for a connection that takes more again."""
        queue = self._queues.of(connection.collects) if connection.collects else None
        if queue is not None and queue.connection == connection.number:
            self._give(queue)

    # -- time

    def tick(self, now: Now) -> None:
        """Drop what was kept for long enough, and connections of those for whom nobody vouches any more."""
        if now.monotonic - self._looked < LOOK_EVERY:
            return
        self._looked = now.monotonic
        gone = self._queues.expired(now.wall)
        if gone:
            self.counts["expired"] += len(gone)
            for name, count in Counter(kept.index.destination for kept in gone).items():
                self._tables.edge.report(EnvelopesExpired(name, count))
            self._forget(gone)
        for connection in tuple(self._tables.connections.values()):
            if connection.collects and not connection.closing and not self._vouched(connection, now):
                self._speaking.say(connection, Gone(Code.PROHIBITED, "this is no relay for you any more"))
                self._speaking.drop(connection)

    def _vouched(self, connection: Connection, now: Now) -> bool:
        trust = self._tables.terms.vault.trust
        try:
            return trust is not None and self.serves(trust.verify(connection.chain, now.wall).nai)
        except SeckexError:
            return False


def _ignored(_failure: StoreFailed | None) -> None:
    """Go on: what is not forgotten now is given once more after a restart, and dropped there."""
