"""Messages of one daemon, put together: the house of dialogs, its store, connections, keys, programs, and the clock.

What programs call is `MessagesAtEdge`, see `seckex.net.delivery.api.Messages`. It begins before the ports are read and
ends after they are closed: the last words over connections are said, what waits is stored, then the store is
closed. What is not stored by then was not told to anybody.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from attrs import evolve, frozen
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from seckex.config.credentials import Credentials
from seckex.config.messages import Messages as Settings
from seckex.delivery.faces import PRIORITY, Direction, Payload, Spooled
from seckex.delivery.house import House
from seckex.delivery.keys.faces import Policy
from seckex.delivery.store import DeadMessage, DropDead, MessageUnit
from seckex.delivery.terms import HouseLimits, HouseTerms, PeerTerms, RelayTerms, ServiceTerms
from seckex.errors import PeerFault, StoreFailed
from seckex.events.messages import MessagesBroken
from seckex.net.commit import CommitThread, GroupsOf
from seckex.net.delivery.api import Dialog, Handler, MessageFailed
from seckex.net.delivery.connections import Connections
from seckex.net.delivery.disk import Disk
from seckex.net.delivery.edge import MessageEdge
from seckex.net.delivery.office import ProgramOffice, ServiceReceiving
from seckex.net.delivery.prekeys import PrekeyRing
from seckex.net.delivery.showing import read_dead, shown_dead
from seckex.net.delivery.upload import PayloadUpload
from seckex.net.delivery.vault import MessageVault
from seckex.net.log import EventLog
from seckex.net.principal import Clock
from seckex.node.histogram import Histogram
from seckex.sa.association import Association
from seckex.sa.store import Outcome, Record, Unit
from seckex.storage.messages.sqlite import SqliteMessages
from seckex.storage.spool import Spool
from seckex.wire.numbers import Code

#: Seconds between looks at prekeys, and at what is kept too long.
KEYS_EVERY: Final = 10
TIDY_EVERY: Final = 300
PAGE: Final = 1000
#: What a relay counts (`seckex.delivery.relaying.Relaying.counts`).
RELAYED: Final = ("kept", "refused", "given", "collected", "expired", "lost")


@frozen
class Surroundings:
    """What a daemon has for its messages.

    ``submit`` makes units of the state store durable, whose ``records`` are those of its start; ``held`` and ``at``
    find associations by peer and by SPI here. ``may_report`` is the ration of strangers.
    """

    reactor: Any
    clock: Clock
    log: EventLog
    nai: str
    worker: int
    store: SqliteMessages
    spool: Spool
    records: Iterable[Record]
    submit: Callable[[Unit, Callable[[Outcome | StoreFailed], None]], None]
    held: Callable[[str], Sequence[Association]]
    at: Callable[[int], Association | None]
    may_report: Callable[[str], bool]


def possible_messages(before: Settings | None, after: Settings | None) -> tuple[Settings | None, tuple[str, ...]]:
    """Return what a daemon that runs can go on by, and the settings that only a restart changes."""
    if before is None or after is None:
        return before, () if before is after else ("messages",)
    if before.http != after.http:
        return evolve(after, http=before.http), ("messages.http",)
    return after, ()


def terms_of(settings: Settings, nai: str, worker: int, vault: MessageVault) -> HouseTerms:
    """Return what the house goes by."""
    services = {
        name: ServiceTerms(
            allowed=(*service.from_, *(peer.nai for peer in settings.peers if name in peer.services)),
            anonymous=service.anonymous == "taken",
            largest=service.largest,
            attempts=service.attempts,
        )
        for name, service in settings.services.items()
    }
    peers = {
        peer.nai: PeerTerms(
            calls=bool(peer.address or peer.via),
            via=peer.via,
            collects=peer.collect == "yes",
            source=peer.keys,
            anonymous=peer.identity == "withheld",
        )
        for peer in settings.peers
    }
    limits = settings.limits
    bounds = HouseLimits(
        dialogs=limits.dialogs,
        outbox=limits.outbox,
        inbox=limits.inbox,
        window=limits.window,
        idle=float(limits.idle),
    )
    kept = settings.relay
    relay = None
    if kept is not None:
        keep = float(kept.keep_for)
        relay = RelayTerms(
            principals=kept.for_, keep=keep, octets=kept.octets, envelopes=kept.envelopes, total=kept.total
        )
    return HouseTerms(nai=nai, vault=vault, worker=worker, services=services, peers=peers, limits=bounds, relay=relay)


def places_of(settings: Settings) -> dict[str, tuple[str, int]]:
    """Return where peers are called: those who are reached by way of a relay, at the relay."""
    by_name = {peer.nai: peer for peer in settings.peers}
    ways = {nai: by_name.get(peer.via, peer) for nai, peer in by_name.items()}
    return {nai: (way.address, way.port) for nai, way in ways.items() if way.address}


def policy_of(settings: Settings) -> Policy:
    """Return what the keys of dialogs may be like."""
    taken = (name for name, service in settings.services.items() if service.anonymous == "taken")
    return Policy(anonymous=frozenset(taken))


class MessagesAtEdge:
    """See the module; raises `StoreFailed` where the store cannot be read."""

    def __init__(
        self,
        around: Surroundings,
        settings: Settings,
        credentials: Credentials | None,
        paired: Mapping[str, Sequence[bytes]] | None = None,
    ) -> None:
        self._around = around
        self._settings = settings
        clock, log, store = around.clock, around.log, around.store
        now = clock.now()
        store.serve(now.wall)
        swept = around.spool.sweep(store.spools(around.worker))
        for name in swept.missing:
            log.say("error", "the file {name} of the spool is missing: its message cannot be read", name=name)
        snapshot = store.load(around.worker, now.wall)
        for complaint in snapshot.damaged:
            log.say("error", "{complaint}", complaint=complaint)
        reactor = around.reactor
        self._threads = [CommitThread(reactor, "seckex-messages"), CommitThread(reactor, "seckex-spool")]
        self._commits: GroupsOf[MessageUnit, None] = GroupsOf(store, self._threads[0], reactor)
        self._disk = Disk(store, around.spool, self._threads[1], settings.limits.spool)
        self.connections = Connections(reactor, clock, settings.limits.connections, self._broken)
        self.office = ProgramOffice(reactor, clock, self._retry_after, self._disk.read, settings.limits.dialogs)
        every, lifetime = settings.prekeys_every, settings.prekey_lifetime
        self.ring = PrekeyRing(around.nai, around.worker, every, lifetime, os.urandom, around.submit)
        self.ring.load(around.records)
        self.vault = MessageVault(
            around.nai, self.ring, None, policy_of(settings), os.urandom, clock.wall, around.held, around.at
        )
        self._trust(credentials, paired or {})
        edge = self._edge = MessageEdge(
            reactor,
            clock,
            self.connections,
            self._commits,
            self._disk,
            self.office,
            log,
            around.may_report,
            snapshot.dead,
        )
        self.house = House(terms_of(settings, around.nai, around.worker, self.vault), edge, snapshot, now)
        edge.house = self.connections.house = self.office.house = self.house
        self._passing = LoopingCall(self._tick)
        self._passing.clock = reactor
        self._ticks = 0

    def start(self) -> None:
        """Let time pass, and call who is to be called."""
        self._meet()
        if not self.ring.is_settled and not self.ring.told(self._around.clock.wall()):
            self._edge.wait_for_keys(True)
            self.ring.settled = lambda: self._edge.wait_for_keys(False)
        self._passing.start(1.0).addErrback(self._fault)

    def _fault(self, failure: Failure) -> None:
        self._around.log.failure("the clock of messages has stopped", failure)

    def _meet(self) -> None:
        self.connections.meet(places_of(self._settings))

    def _trust(self, credentials: Credentials | None, paired: Mapping[str, Sequence[bytes]]) -> None:
        """Go by these certificates, and by the prekeys that are told by whom we are paired with."""
        self.vault.reconfigure(credentials, policy_of(self._settings))
        now = self._around.clock.wall()
        for nai, prekeys in paired.items():
            if self.vault.prekey(nai, now) is None:
                self.vault.learn_prekeys(nai, prekeys, now)

    def reconfigure(
        self, settings: Settings, credentials: Credentials | None, paired: Mapping[str, Sequence[bytes]] | None = None
    ) -> None:
        """Go on by other settings, and another certificate; ``paired`` has prekeys by whom we are paired with."""
        around, now = self._around, self._around.clock.now()
        self._settings = settings
        self.ring.every, self.ring.lifetime = settings.prekeys_every, settings.prekey_lifetime
        self._trust(credentials, paired or {})
        self._disk.most = settings.limits.spool
        self.connections.most = settings.limits.connections
        self._meet()
        self.house.reconfigure(terms_of(settings, around.nai, around.worker, self.vault), now)

    def close(self) -> Deferred[None]:
        """Tell programs nothing more, say the last word over each connection; fires when they are closed."""
        if self._passing.running:
            self._passing.stop()
        self.office.stop()
        self.house.stop(self._around.clock.now())
        return self.connections.close()

    def stop(self) -> Deferred[None]:
        """Store what waits; fires when the store is closed and the threads have ended."""
        stopped = self._edge.stop()
        return stopped.addCallback(lambda _: self._disk.stop()).addCallback(lambda _: self._commits.stop())

    def abandon(self) -> None:
        """Let go of everything at once, where nothing has begun."""
        if self._passing.running:
            self._passing.stop()
        self.office.stop()
        self._edge.abandon()
        self.connections.close()
        for thread in self._threads:
            thread.stop()
        self._around.store.close()

    # -- time

    def _tick(self) -> None:
        now = self._around.clock.now()
        self._ticks += 1
        try:
            self.house.tick(now)
        except Exception:
            # One dialog must not stop the clock of all.
            self._around.log.failure("the house of dialogs failed when time passed", Failure())
        self.office.look_for_room()
        if self._ticks % KEYS_EVERY == 1:
            self.vault.tend(now.wall)
        if self._ticks % TIDY_EVERY == 0:
            self._tidy(now.wall)

    def _tidy(self, wall: float) -> None:
        store = self._around.store
        self._commits.between(lambda: store.tidy(wall)).addErrback(self._untidy)
        Deferred.fromCoroutine(self._forget_dead(wall)).addErrback(self._untidy)

    def _untidy(self, failure: Failure) -> None:
        self._around.log.say("warn", "messages: {why}", why=failure.getErrorMessage())

    async def _forget_dead(self, wall: float) -> None:
        """Forget what was put aside too long ago, and the oldest of too many."""
        found: list[DeadMessage] = []
        while page := await self._disk.dead((found and _place(found[-1])) or None, PAGE):
            found += page
        found.sort(key=lambda dead: dead.at)
        self._edge.dead = len(found)
        most, keep = self._settings.limits.dead, self._settings.keep_dead
        for at, dead in enumerate(found):
            if len(found) - at > most or dead.at + keep < wall:
                await self._forget(dead)

    def _forget(self, dead: DeadMessage) -> Deferred[None]:
        """Forget a message that was put aside; fires when that is durable, fails with `StoreFailed`."""
        forgotten: Deferred[None] = Deferred()

        def done(failure: StoreFailed | None) -> None:
            if failure is not None:
                forgotten.errback(failure)
                return
            if dead.spool:
                self._disk.drop(dead.spool)
            forgotten.callback(None)

        self._edge.commit((DropDead(dead.dialog_id, dead.ours, dead.number),), done)
        return forgotten

    def _broken(self, host: str, why: str) -> None:
        if self._around.may_report("messages"):
            self._around.log.report(MessagesBroken(host, why))

    def _retry_after(self, service: str) -> float | None:
        found = self._settings.services.get(service)
        return None if found is None else float(found.retry_after)

    # -- what programs do

    def dialog(self, peer: str, service: str, *, own: str = "", priority: int = PRIORITY, label: str = "") -> Dialog:
        """See `seckex.net.delivery.api.Messages`."""
        return self.office.dialog(peer, service, own=own, priority=priority, label=label)

    def receive(self, service: str, handler: Handler, *, at_once: int = 1) -> ServiceReceiving:
        """See `seckex.net.delivery.api.Messages`."""
        return self.office.receive(service, handler, at_once=at_once)

    def upload(self) -> PayloadUpload:
        """See `seckex.net.delivery.api.Messages`."""
        return PayloadUpload(self._disk, os.urandom)

    def piece(self, payload: Spooled, index: int) -> Deferred[bytes]:
        """See `seckex.net.delivery.api.Office`."""
        return self.office.piece(payload, index)

    # -- what operators do

    def shown_dialogs(self) -> list[dict[str, Any]]:
        """See `seckex.net.delivery.api.Messages`."""
        return self.house.shown_dialogs(self._around.clock.now())

    def shown_queue(self, ours: bool, dialog_id: bytes | None = None) -> list[dict[str, Any]]:
        """See `seckex.net.delivery.api.Messages`."""
        return self.house.shown_queue(ours, dialog_id)

    def shown_dead(
        self, beyond: tuple[bytes, bool, int] | None = None, most: int = PAGE
    ) -> Deferred[list[dict[str, Any]]]:
        """See `seckex.net.delivery.api.Messages`."""
        found = self._disk.dead(beyond, most)
        return found.addCallback(lambda dead: [shown_dead(each, self._way(each)) for each in dead])

    def dead_message(
        self, dialog_id: bytes, ours: bool, number: int
    ) -> Deferred[tuple[dict[str, Any], Payload] | None]:
        """See `seckex.net.delivery.api.Messages`."""

        def told(dead: DeadMessage | None) -> tuple[dict[str, Any], Payload] | None:
            if dead is None:
                return None
            name, expires, payload = read_dead(dead)
            return shown_dead(dead, self._way(dead)) | {"type": name, "expires": expires}, payload

        return self._disk.dead_message(dialog_id, ours, number).addCallback(told)

    def why(self, name: str) -> dict[str, Any] | None:
        """See `seckex.net.delivery.api.Messages`."""
        return self.house.why(name, self._around.clock.now())

    def drop(self, dialog_id: bytes, ours: bool, number: int) -> Deferred[None]:
        """See `seckex.net.delivery.api.Messages`."""
        return Deferred.fromCoroutine(self._drop(dialog_id, ours, number))

    async def _drop(self, dialog_id: bytes, ours: bool, number: int) -> None:
        dead = await self._disk.dead_message(dialog_id, ours, number)
        if dead is not None:
            await self._forget(dead)
            return
        try:
            self.house.drop(dialog_id, ours, number, self._around.clock.now())
        except PeerFault as error:
            raise MessageFailed(error.code, error.why) from None

    def retry(self, dialog_id: bytes, ours: bool, number: int) -> Deferred[None]:
        """See `seckex.net.delivery.api.Messages`."""
        return Deferred.fromCoroutine(self._retry(dialog_id, ours, number))

    async def _retry(self, dialog_id: bytes, ours: bool, number: int) -> None:
        dead = await self._disk.dead_message(dialog_id, ours, number)
        try:
            if dead is None:
                self.house.retry(dialog_id, ours, self._around.clock.now())
            elif ours:
                raise MessageFailed(Code.PROHIBITED, "what we have sent and is dead is to be sent anew")
            else:
                self.house.revive(dead, self._around.clock.now())
        except PeerFault as error:
            raise MessageFailed(error.code, error.why) from None

    def end(self, dialog_id: bytes, code: int = 0, why: str = "") -> None:
        """See `seckex.net.delivery.api.Messages`."""
        self.office.end(dialog_id, code, why)

    def _way(self, dead: DeadMessage) -> Direction:
        """Return the direction that a dead message went."""
        return Direction.OUT if self.house.ours(dead.dialog_id, Direction.OUT) == dead.ours else Direction.BACK

    # -- what is told of all

    @property
    def trouble(self) -> str:
        """Why nothing could be stored when that was last tried, empty if it could."""
        return self._commits.trouble

    @property
    def took(self) -> Histogram:
        """How long transactions took."""
        return self._commits.took

    def counters(self) -> dict[str, int]:
        """Return every counter by its name."""
        house, connections, counts = self.house, self.connections, self.connections.counts
        received, sent = connections.octets
        relay = house.relaying
        return {
            "messages.connections": len(connections),
            "messages.connections-made": counts["made"],
            "messages.connections-accepted": counts["accepted"],
            "messages.connections-refused": counts["refused"],
            "messages.connections-broken": counts["broken"],
            "messages.calls-failed": counts["failed"],
            "messages.held-back": counts["paused"],
            "messages.octets-in": received,
            "messages.octets-out": sent,
            "messages.dialogs": len(house),
            "messages.outbox-octets": house.outbox_octets,
            "messages.inbox-octets": house.inbox_octets,
            "messages.spool-octets": self._disk.used,
            "messages.dead": self._edge.dead,
            "messages.sent": self.office.counts["sent"],
            "messages.given": self.office.counts["given"],
            "messages.given-again": self.office.counts["given-again"],
            "messages.failed": self.office.counts["failed"],
            "messages.commits-waiting": len(self._commits),
            "messages.prekeys": len(self.ring),
            "messages.relay-envelopes": len(relay),
            "messages.relay-octets": relay.octets,
            **{f"messages.relay-{what}": relay.counts[what] for what in RELAYED},
            **{f"messages.refused.{label}": count for label, count in house.refused.items()},
        }

    def status(self) -> dict[str, Any]:
        """Return what ``seckex status`` tells."""
        return {
            "services": [{"name": name, "program": self.office.has(name)} for name in sorted(self._settings.services)],
            "connections": len(self.connections),
            "outbox_octets": self.house.outbox_octets,
            "inbox_octets": self.house.inbox_octets,
            "spool_octets": self._disk.used,
            "dead": self._edge.dead,
            "prekeys": len(self.ring),
            "relay_envelopes": len(self.house.relaying),
            "relay_octets": self.house.relaying.octets,
            "trouble": self.trouble or self.ring.trouble,
        }


def _place(dead: DeadMessage) -> tuple[bytes, bool, int]:
    return dead.dialog_id, dead.ours, dead.number
