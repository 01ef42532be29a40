"""The responder's side of a node in exchanges by certificates: offers and confirmations, and what is kept meanwhile.

Whoever offers has proved an address and nothing else, so that all is in
memory, for 30 s, and the oldest gives way to the youngest: whoever was pushed
out begins anew. A copy of an offer finds the conversation or the counter-offer that answered it, by
its hash, and costs no public-key work; a CONFIRM finds it by the responder's SPI.

An offer costs a signature and a key agreement, a CONFIRM what verifying a chain
costs: either is below 2 ms, and is done where it comes in. Both are over TCP
only, and offers within the rates of the gate (`seckex.node.gate`).
"""

from __future__ import annotations

from typing import Final

from seckex.crypto.suites import SHA256
from seckex.errors import AuthenticationFailed
from seckex.exchange import certified_messages, certified_responder
from seckex.exchange.attempt import Outcome
from seckex.exchange.certified_shares import light
from seckex.exchange.messages import Received
from seckex.exchange.terms import Terms
from seckex.machine import Now, Path, Report, Send, Tick
from seckex.node.actions import NodeAction
from seckex.node.associations import AssociationTable
from seckex.node.conversation import Conversation, Driver
from seckex.node.drops import Drops
from seckex.node.limits import Limits
from seckex.node.peers import EVERYBODY, Peers
from seckex.node.seeking import Seeking
from seckex.node.tables import ExpiringTable
from seckex.sa.association import Association
from seckex.wire.extensions import Exchange

HALF_OPEN_FOR: Final = 30.0


class CertifiedAnswering:
    """See the module."""

    def __init__(
        self,
        peers: Peers,
        driver: Driver,
        associations: AssociationTable,
        seeking: Seeking,
        drops: Drops,
        limits: Limits,
    ) -> None:
        self._terms: Terms | None = None
        self._peers = peers
        self._driver = driver
        self._associations = associations
        self._seeking = seeking
        self._drops = drops
        self._offers: ExpiringTable[bytes, Conversation] = ExpiringTable(limits.half_open, HALF_OPEN_FOR, yielding=True)
        self._rounds: ExpiringTable[tuple[str, int], certified_responder.ExpectOffer] = ExpiringTable(
            limits.half_open, HALF_OPEN_FOR, yielding=True
        )
        self._countered: ExpiringTable[bytes, bytes] = ExpiringTable(limits.half_open, HALF_OPEN_FOR, yielding=True)
        self.half_open: ExpiringTable[int, Conversation] = ExpiringTable(limits.half_open, HALF_OPEN_FOR, yielding=True)

        self._look()

    def _look(self) -> None:
        # Identity, trust and policy are the same for all peers by certificate, and nobody has said who it is yet.
        self._terms = next((light(peer.terms) for peer in self._peers.values() if peer.certified), None)

    def reconfigure(self, limits: Limits) -> None:
        """Go on with what the peers are now; exchanges under way are forgotten, as by a restart."""
        self._driver.let_go(lambda conversation: conversation.owner is self)
        for table in (self._offers, self._rounds, self._countered, self.half_open):
            table.limit = limits.half_open
            table.clear()
        self._look()

    def offered(self, received: Received, path: Path, now: Now, actions: list[NodeAction]) -> None:
        """Take an OFFER with the SPI 0; raises `Malformed`."""
        if self._terms is None or not path.tcp:
            why = "an offer by certificates, " + ("over UDP" if self._terms else "which are not configured here")
            self._drops.note("no-certificates", why, path, now, actions)
            return
        request = SHA256.digest(received.octets)
        event = certified_responder.Offered(received, path, self._full())
        known = self._offers.get(request)
        if known is not None:
            self._drops.counters["retransmissions"] += 1
            self._driver.drive(known, event, now, actions)
            return
        counter = self._countered.get(request)
        if counter is not None:
            # Another counter-offer would have another nonce, and the next round would be to the one before.
            self._drops.counters["retransmissions"] += 1
            actions.append(Send(counter, path))
            return
        exchange = received.need(Exchange)
        place = path.host, exchange.initiator_spi
        state = self._rounds.get(place) if exchange.round > 1 else None
        first = certified_responder.ExpectOffer(self._terms, self._admits, certified_messages.beginning())
        conversation = Conversation(state or first, certified_responder.TRANSITIONS, self, str(path))
        asked: list[NodeAction] = []
        self._driver.drive(conversation, event, now, asked)
        actions += self._rationed(asked, now)
        after = conversation.state
        if state is not None:
            self._rounds.pop(place)
        if isinstance(after, certified_responder.ExpectOffer):
            self._rounds.put(place, after, now.monotonic)
            for answer in asked:
                if isinstance(answer, Send):
                    self._countered.put(request, answer.octets, now.monotonic)
        elif isinstance(after, certified_responder.ExpectConfirm):
            self._offers.put(request, conversation, now.monotonic)
            self.half_open.put(after.place.spis[1], conversation, now.monotonic)

    def knows(self, spi: int) -> bool:
        """Tell whether a CONFIRM with this SPI is for an exchange by certificates."""
        return spi in self.half_open

    def confirmed(self, received: Received, path: Path, now: Now, actions: list[NodeAction]) -> None:
        """Take a CONFIRM; raises `AuthenticationFailed` and `Malformed`."""
        if not path.tcp:
            # Its answer may be longer, and would go to whoever has the address that it seems to come from.
            self._drops.note("no-certificates", "a confirmation by certificates, over UDP", path, now, actions)
            return
        conversation = self.half_open.get(received.header.spi)
        if conversation is None:
            raise AuthenticationFailed(f"no exchange by certificates has the SPI {received.header.spi:#010x}")
        asked: list[NodeAction] = []
        self._driver.drive(conversation, certified_responder.Confirmed(received, path, self._full()), now, asked)
        actions += self._rationed(asked, now)

    def _rationed(self, asked: list[NodeAction], now: Now) -> list[NodeAction]:
        """Return what is ``asked`` without more reports than anybody may cause who has proved nothing but an address.

        Whoever has proved a name is told of once that is durable, which is not asked here.
        """
        told = any(isinstance(action, Report) for action in asked)
        if not told or self._drops.ration("unproved", now):
            return asked
        return [action for action in asked if not isinstance(action, Report)]

    def _admits(self, nai: str) -> bool:
        peer = self._peers.get(nai)
        # Whoever is to prove its name by KEY 0 does not prove it by a certificate.
        return peer is not None and peer.certified and not nai.startswith(EVERYBODY)

    def _full(self) -> str:
        return "the table of associations is" if len(self._associations) >= self._associations.limit else ""

    # -- what conversations report

    def moved(self, _conversation: Conversation, _now: Now, _actions: list[NodeAction]) -> None:
        """Nothing: a conversation stays where it is."""

    def delivered(self, _conversation: Conversation, result: object, now: Now, actions: list[NodeAction]) -> None:
        """Take a result."""
        match result:
            case Outcome(association=Association() as association):
                self._seeking.confirmed(association, now, actions)
            case _:
                pass

    def tick(self, now: Now, actions: list[NodeAction]) -> None:
        """End what has waited too long."""
        for table in (self._offers, self._countered):
            for _ in table.expired(now.monotonic):
                pass
        for _ in self._rounds.expired(now.monotonic):
            self._drops.counters["half-open-expired"] += 1
        for _, conversation in self.half_open.expired(now.monotonic):
            if isinstance(conversation.state, certified_responder.ExpectConfirm):
                self._drops.counters["half-open-expired"] += 1
            self._driver.drive(conversation, Tick(), now, actions)

    def deadlines(self) -> list[float | None]:
        """Return when `tick` has something to do (monotonic)."""
        tables = (self._offers, self._rounds, self._countered, self.half_open)
        return [table.deadline() for table in tables]
