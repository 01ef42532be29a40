"""The responder's side of a node: offers and confirmations, and the tables they need.

An offer is first looked up among the replay records, which costs a hash and no
public-key work. Copies of an offer whose answer is still being made durable are
let pass: the answer is on its way. A copy has the same stem: it may have come
with a cookie since, or over TCP. Half-open exchanges give way to younger
ones, oldest first, since their initiators can begin anew; while any other
table is full, new offers are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import evolve

from seckex.errors import AuthenticationFailed, BadCertificate
from seckex.events import label_of
from seckex.exchange import responder, upkeep
from seckex.exchange.answer import reply
from seckex.exchange.attempt import Outcome
from seckex.exchange.messages import Received, request_digest
from seckex.exchange.terms import Terms
from seckex.exchange.transcript import Transcript
from seckex.machine import Now, Path, Report, Send, Tick
from seckex.node.actions import Gone, NodeAction
from seckex.node.associations import AssociationTable
from seckex.node.conversation import Conversation, Driver
from seckex.node.drops import Drops
from seckex.node.endings import Endings
from seckex.node.limits import Limits, Peer
from seckex.node.reconfiguration import PeerChanges
from seckex.node.seeking import Seeking
from seckex.node.tables import ExpiringTable
from seckex.sa.association import Association
from seckex.sa.replay import ReplayClock, ReplayMemory, Verdict, forgotten_before
from seckex.sa.store import Purge, PutReplay, Snapshot, Unit
from seckex.wire.extensions import Detail, Exchange
from seckex.wire.general import Header, encode_header
from seckex.wire.numbers import Kind, Role

HALF_OPEN_FOR: Final = 30.0


class Answering:
    """See the module; ``terms`` by the SPI of KEY 0."""

    def __init__(
        self,
        terms: Mapping[int, Terms],
        peers: Mapping[str, Peer],
        driver: Driver,
        associations: AssociationTable,
        seeking: Seeking,
        endings: Endings,
        paths: dict[str, Path],
        drops: Drops,
        limits: Limits,
    ) -> None:
        self._terms = terms
        self._peers = peers
        self._beginnings = _beginnings(terms)
        self._driver = driver
        self._associations = associations
        self._seeking = seeking
        self._endings = endings
        self._paths = paths
        self._drops = drops
        self.replays = ReplayMemory(limits.replay_records)
        self.clock = ReplayClock(0.0, _window(peers), Now(0.0, 0.0))
        self.half_open: ExpiringTable[tuple[int, int], responder.ExpectOffer] = ExpiringTable(
            limits.half_open, HALF_OPEN_FOR, yielding=True
        )
        self.unconfirmed: ExpiringTable[int, Conversation] = ExpiringTable(limits.unconfirmed, responder.CONFIRM_WITHIN)
        self._under_way: dict[tuple[int, int], bytes] = {}

    def start(self, snapshot: Snapshot, now: Now) -> None:
        """Remember what was answered before, and judge by a clock for which nothing that was forgotten is new."""
        window = _window(self._peers)
        forgotten = max(snapshot.forgotten, forgotten_before(snapshot.restored, window))
        self.clock = ReplayClock(forgotten, window, now)
        for record in sorted(snapshot.replays, key=lambda record: record.expires):
            self.replays.remember(record)

    def purge(self, now: Now) -> Purge:
        """Return what makes the store forget what has expired."""
        return Purge(now.wall, self.clock.read(now), self.clock.forgotten(now))

    def crowded(self) -> bool:
        """Tell whether a table of what strangers and half-proved peers leave here is more than half full."""
        return 2 * len(self.half_open) > self.half_open.limit or 2 * len(self.unconfirmed) > self.unconfirmed.limit

    # -- offers

    def offered(self, received: Received, path: Path, now: Now, actions: list[NodeAction]) -> None:
        """Take an OFFER; raises `AuthenticationFailed` and `Malformed`."""
        header = received.header
        terms = self._terms.get(header.spi) or self._renewal(header.spi, now)
        if terms is None:
            why = f"no KEY 0 with SPI {header.spi:#010x} is configured here, nor is there such an association"
            self._drops.note("unknown-key0", why, path, now, actions)
            actions.append(_unknown(received, path))
            return
        request = request_digest(received.octets)
        name = (header.spi, header.identification)
        known = self.replays.look_up(*name, request)
        if isinstance(known, bytes):
            self._drops.counters["retransmissions"] += 1
            actions += reply(known, received.octets, path)
            return
        if known is Verdict.REPLAY or self._under_way.get(name, request) != request:
            why = f"Identification {header.identification:#018x} was used before"
            self._drops.note("replay", why, path, now, actions)
            return
        if name in self._under_way:
            return
        exchange = received.need(Exchange)
        half_open = (header.spi, exchange.initiator_spi)
        state = self.half_open.get(half_open) if exchange.round > 1 else None
        conversation = Conversation(
            state or responder.ExpectOffer(terms, self._beginning(terms)),
            responder.TRANSITIONS,
            self,
            terms.peer,
        )
        event = responder.Offered(received, path, request, self._full(), self.clock.read(now))
        asked: list[NodeAction] = []
        self._driver.drive(conversation, event, now, asked)
        if isinstance(conversation.state, responder.Finished) and not self._drops.ration("unrecorded", now):
            # Refusals that leave no record can be had again and again by whoever has heard an old request.
            asked = [action for action in asked if not isinstance(action, Report)]
        actions += asked
        # Only an offer that has verified gets here.
        if state is not None:
            self.half_open.pop(half_open)
        if isinstance(conversation.state, responder.ExpectStored | responder.ExpectWorked):
            self._under_way[name] = request
            # It is neither a copy nor old: this is where its initiator can be asked.
            # Of a TCP connection only as long as nothing better is known: it lasts hardly longer than what it was for.
            if not path.tcp or self._paths.get(terms.peer, path).tcp:
                self._paths[terms.peer] = path
            self.proved(terms.replaces, now, actions)

    def _renewal(self, spi: int, now: Now) -> Terms | None:
        """Return the terms of an exchange that an association vouches for."""
        association = self._associations.get(spi)
        if association is None or now.wall >= association.expires:
            return None
        peer = self._peers.get(association.peer)
        if peer is None or peer.registered:
            return None
        try:
            ends = peer.terms.authority.not_after(association.root, association.peer, now.wall)
        except (BadCertificate, AuthenticationFailed):
            return None
        authority = association.authority(responding=True)
        return evolve(peer.terms, authority=authority, replaces=spi, not_after=ends)

    def _beginning(self, terms: Terms) -> Transcript:
        known = self._beginnings.get(terms.authority.spi) if not terms.replaces else None
        return known or Transcript.between(terms.peer, terms.local, terms.authority.binding)

    def abandoned(self, received: Received, path: Path, now: Now, actions: list[NodeAction]) -> None:
        """Take an ABANDON; raises `AuthenticationFailed` and `Malformed`."""
        half_open = (received.header.spi, received.need(Exchange).initiator_spi)
        state = self.half_open.get(half_open)
        if state is None:
            why = f"no exchange under way has the initiator's SPI {half_open[1]:#010x}"
            self._drops.note("unknown-exchange", why, path, now, actions)
            return
        conversation = Conversation(state, responder.TRANSITIONS, self, state.terms.peer)
        self._driver.drive(conversation, responder.Abandoned(received), now, actions)
        self.half_open.pop(half_open)

    def _full(self) -> str:
        # An offer whose answer is on its way to the store takes its places already.
        taken = len(self._under_way)
        if len(self.replays) + taken >= self.replays.limit:
            return "the table of replay records is"
        if len(self._associations) + taken >= self._associations.limit:
            return "the table of associations is"
        return (
            "the table of unconfirmed associations is"
            if len(self.unconfirmed) + taken >= self.unconfirmed.limit
            else ""
        )

    def stored(self, unit: Unit, *, durable: bool) -> None:
        """Take note of the outcome of a unit that held a replay record."""
        if unit and isinstance(unit[0], PutReplay):
            record = unit[0].record
            self._under_way.pop((record.spi, record.identification), None)
            if durable:
                self.replays.remember(record)

    # -- confirmations

    def confirmed(self, received: Received, path: Path, now: Now, actions: list[NodeAction]) -> None:
        """Take a CONFIRM; raises `AuthenticationFailed`."""
        spi = received.header.spi
        event = responder.Confirmed(received, path)
        conversation = self.unconfirmed.get(spi)
        if conversation is not None:
            self._driver.drive(conversation, event, now, actions)
            return
        association = self._associations.get(spi)
        if association is None or association.role is not Role.RESPONDER:
            self._not_known(received, path, now, actions)
            return
        actions.extend(responder.answer_confirm(association, event))

    # -- what is said under an association

    def informed(self, received: Received, path: Path, now: Now, actions: list[NodeAction]) -> None:
        """Take a PROBE or DELETE; raises `AuthenticationFailed` and `Malformed`."""
        association = self._associations.get(received.header.spi)
        if association is None or now.wall >= association.expires:
            self._not_known(received, path, now, actions)
            return
        upkeep.verify(received, association)
        self.proved(association.spi_in, now, actions)
        answer = Send(upkeep.answer(received, association), path)
        if received.header.kind is Kind.DELETE:
            detail = received.need(Detail)
            why = f"deleted by the peer: {detail.text or label_of(detail.code)}"
            self.ended(association)
            self._endings.forget(association, why, actions, then=answer)
            self._seeking.ended(association, now, actions)
        else:
            actions.append(answer)

    def _not_known(self, received: Received, path: Path, now: Now, actions: list[NodeAction]) -> None:
        why = f"no association has the SPI {received.header.spi:#010x}"
        self._drops.note("unknown-association", why, path, now, actions)
        actions.append(_unknown(received, path))

    def proved(self, spi: int, now: Now, actions: list[NodeAction]) -> None:
        """Take note that the peer has proved the keys of an association: by a link, or by what it said under it."""
        conversation = self.unconfirmed.get(spi)
        if conversation is not None:
            self._driver.drive(conversation, responder.Proved(), now, actions)

    def ended(self, association: Association) -> None:
        """Take note that an association is gone, confirmed or not."""
        if association.role is Role.RESPONDER:
            self.unconfirmed.pop(association.spi_in)

    def await_confirmation(self, terms: Terms, association: Association, now: Now) -> None:
        """Take up an association that was not confirmed when the daemon stopped."""
        state = responder.ExpectConfirm(terms, association)
        conversation = Conversation(state, responder.TRANSITIONS, self, association.peer)
        self.unconfirmed.put(association.spi_in, conversation, now.monotonic)

    # -- what conversations report

    def moved(self, conversation: Conversation, now: Now, _actions: list[NodeAction]) -> None:
        """Keep a conversation where its next event will look for it."""
        state = conversation.state
        if isinstance(state, responder.ExpectOffer):
            self.half_open.put((state.terms.authority.spi, state.spi), state, now.monotonic)
        elif isinstance(state, responder.ExpectConfirm):
            self._associations.add(state.association)
            self.unconfirmed.put(state.association.spi_in, conversation, now.monotonic)

    def delivered(self, _conversation: Conversation, result: object, now: Now, actions: list[NodeAction]) -> None:
        """Take a result."""
        match result:
            case responder.Usable(association):
                self.unconfirmed.pop(association.spi_in)
                self._seeking.confirmed(evolve(association, confirmed=True), now, actions)
            case responder.Ended(association):
                self._associations.remove(association.spi_in)
                actions.append(Gone(association, "never confirmed by the initiator"))
            case Outcome():
                pass

    def tick(self, now: Now, actions: list[NodeAction]) -> None:
        """End what has waited too long."""
        self.replays.expire(self.clock.read(now))
        for _ in self.half_open.expired(now.monotonic):
            self._drops.counters["half-open-expired"] += 1
        for _, conversation in self.unconfirmed.expired(now.monotonic):
            self._driver.drive(conversation, Tick(), now, actions)

    def reconfigure(self, limits: Limits, changes: PeerChanges, now: Now) -> None:
        """Go on with what the terms are now, and with other limits.

        Exchanges between a counter-offer and the next offer are forgotten where their terms have changed, as by a
        restart: their initiators begin anew.
        """
        self._beginnings = _beginnings(self._terms)
        self.clock.widen(_window(self._peers), now)
        for key, state in self.half_open.items():
            if state.terms.peer in changes.ended | changes.altered:
                self.half_open.pop(key)
        # What is worked out aside for a peer that is gone has no outcome.
        self._under_way = {name: each for name, each in self._under_way.items() if self._lives(name[0], changes)}
        self.replays.limit = limits.replay_records
        self.half_open.limit = limits.half_open
        self.unconfirmed.limit = limits.unconfirmed

    def _lives(self, spi: int, changes: PeerChanges) -> bool:
        terms, association = self._terms.get(spi), self._associations.get(spi)
        return association is not None or (terms is not None and terms.peer not in changes.ended)

    def deadlines(self) -> list[float | None]:
        """Return when `tick` has something to do (monotonic)."""
        return [self.half_open.deadline(), self.unconfirmed.deadline()]


def _window(peers: Mapping[str, Peer]) -> int:
    # Of all: associations that came of certificates are renewed within a window as well.
    return max((peer.terms.clock_window for peer in peers.values()), default=0)


def _beginnings(terms: Mapping[int, Terms]) -> dict[int, Transcript]:
    return {spi: Transcript.between(each.peer, each.local, each.authority.binding) for spi, each in terms.items()}


def _unknown(received: Received, path: Path) -> Send:
    """Return the hint that the SPI of a request names nothing here; it has a header only, so it is never longer."""
    asked = received.header
    return Send(
        encode_header(Header(Kind.UNKNOWN, answer=True, identification=asked.identification, spi=asked.spi)), path
    )
