"""The initiator's side of a node: having an association with every wanted peer.

A peer that is wanted is negotiated with until there is an association, after
failures with growing pauses, and again before the association's life is over:
at 80 to 90 % of it, drawn anew each time, so that many nodes do not come at
once. A renewal is vouched for by the association that it replaces; where that
does not work, by what vouched for the first. The old association goes on until
its links have moved, at the longest until it expires.

A peer that only asks, so that there is no address of it, can be asked where it
asked from last: an operator may renew an association from either end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from attrs import define, evolve

from seckex.crypto.certified import Certificates
from seckex.errors import AuthenticationFailed, BadCertificate, Unfeasible
from seckex.exchange import certified_initiator, initiator, upkeep
from seckex.exchange.attempt import Outcome
from seckex.exchange.terms import Entropy, Terms
from seckex.machine import Now, Path
from seckex.node.actions import NodeAction, Ready, Unavailable
from seckex.node.asking import Asking
from seckex.node.associations import AssociationTable
from seckex.node.conversation import Conversation, Driver
from seckex.node.endings import Endings
from seckex.node.limits import Peer
from seckex.node.reconfiguration import PeerChanges, new_policy, strangers
from seckex.sa.association import Association
from seckex.wire.numbers import Code, Role

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
RENEW_FROM, RENEW_TO = 0.8, 0.9
# How often an association that has no links, for want of encryption, is asked after.
PROBE_EVERY: Final = 20.0


# What may be agreed to by terms of before when terms change.
_OFFERING: Final = (
    initiator.ExpectShares,
    initiator.ExpectAnswer,
    initiator.ExpectSecret,
    certified_initiator.ExpectAnswer,
    certified_initiator.ExpectConfirmed,
    certified_initiator.ExpectStored,
)


@define(eq=False)
class Wanted:
    """A peer with which an association is to be had: what is under way, and when to begin next.

    ``lasting`` is False where one renewal was asked for and no more. ``anew``
    tells that the next exchange is not to be vouched for by ``association``.
    """

    peer: Peer
    path: Path
    lasting: bool = True
    conversation: Conversation | None = None
    association: Association | None = None
    begin_at: float | None = None
    pause: float = FIRST_PAUSE
    shift: int = 0
    hinted_at: float = -math.inf
    anew: bool = False
    probe_at: float | None = None


class Seeking:
    """See the module; ``paths`` has, by peer, where it asked from last."""

    def __init__(
        self,
        peers: Mapping[str, Peer],
        driver: Driver,
        associations: AssociationTable,
        asking: Asking,
        endings: Endings,
        paths: Mapping[str, Path],
        entropy: Entropy,
    ) -> None:
        self._peers = peers
        self._driver = driver
        self._associations = associations
        self._asking = asking
        self._endings = endings
        self._paths = paths
        self._entropy = entropy
        self._wanted: dict[str, Wanted] = {}

    def want(self, nai: str, now: Now, actions: list[NodeAction]) -> None:
        """Have an association with ``nai`` from now on; one from before a restart serves.

        Raises `Unfeasible` for a peer whose address is not configured, unless there is one: such a peer looks after
        it by itself.
        """
        peer = self._peers[nai]
        wanted = self._wanted.get(nai)
        if wanted is not None and wanted.lasting:
            if wanted.conversation is None and wanted.association is None:
                # Somebody asks for it now: that is worth an attempt before the pause is over.
                wanted.begin_at, wanted.pause = now.monotonic, FIRST_PAUSE
                self._asking.sooner = True
            return
        if peer.path is None:
            if self._associations.newest(nai) is not None:
                return
            raise Unfeasible(f"no address of {nai} is configured here: it has to begin")
        wanted = self._wanted[nai] = Wanted(peer, peer.path)
        association = self._associations.newest(nai)
        if association is not None and (association.role is Role.INITIATOR or association.confirmed):
            self._use(wanted, association, now, actions)
        else:
            self._begin(wanted, now, actions)

    def unwant(self, nai: str) -> None:
        """Negotiate no more with ``nai``; what is under way is let go."""
        wanted = self._wanted.pop(nai, None)
        if wanted is None or wanted.conversation is None:
            return
        state = wanted.conversation.state
        if isinstance(state, _OFFERING) and not isinstance(state, certified_initiator.ExpectStored):
            self._let_go(wanted.conversation)
        else:
            # What the peer holds already ends once it is had here, so that the peer is told.
            self._asking.forget(wanted.conversation)

    def rekey(self, nai: str, now: Now, actions: list[NodeAction]) -> None:
        """Renew the association with ``nai`` now, from either end; raises `Unfeasible`."""
        association = self._associations.newest(nai)
        if association is None:
            raise Unfeasible(f"there is no association with {nai} to renew")
        if not association.confirmed:
            raise Unfeasible(f"the association with {nai} is not confirmed yet: try again in a moment")
        wanted = self._wanted.get(nai)
        if wanted is not None and wanted.conversation is not None:
            raise Unfeasible(f"a negotiation with {nai} is under way already")
        if wanted is None:
            path = self._peers[nai].path or self._paths.get(nai)
            if path is None:
                raise Unfeasible(f"{nai} was not heard from since this daemon started: rekey at its end")
            wanted = self._wanted[nai] = Wanted(self._peers[nai], path, lasting=False)
        wanted.association, wanted.anew = association, False
        self._begin(wanted, now, actions)

    def renew(self, association: Association, now: Now, *, hinted: bool) -> None:
        """Negotiate in place of ``association``, unless that is under way or it is not the one in use.

        ``hinted`` tells that the peer does not know it, which is not authenticated.
        """
        wanted = self._wanted.get(association.peer)
        if wanted is None or wanted.conversation is not None or wanted.association is None:
            return
        if wanted.association.spi_in != association.spi_in:
            return
        soon = now.monotonic
        if hinted:
            # Anybody on the path can forge a hint: the first is followed soon, others a minute after the one before.
            soon = max(soon + FIRST_PAUSE, wanted.hinted_at + LONGEST_PAUSE)
            wanted.anew = True
        if wanted.begin_at is None or soon < wanted.begin_at:
            wanted.begin_at = soon
            wanted.hinted_at = soon if hinted else wanted.hinted_at
            self._asking.sooner = True

    def reconfigure(self, before: Mapping[str, Peer], changes: PeerChanges, now: Now) -> None:
        """Go on with what the peers are now; ``before`` are those of before.

        Conversations with peers that keep nothing have been let go.
        """
        lost = strangers(before, self._peers, changes)
        for nai in [nai for nai in self._wanted if nai not in changes.ended and lost(nai)]:
            self.unwant(nai)
        for nai in changes.ended | changes.altered:
            wanted = self._wanted.get(nai)
            if wanted is None:
                continue
            if nai in changes.removed or not wanted.lasting:
                # What was asked for once is not asked for again.
                self.unwant(nai)
                continue
            peer = wanted.peer = self._peers[nai]
            wanted.path = peer.path or wanted.path
            if nai in changes.rekeyed:
                wanted.conversation = wanted.association = wanted.probe_at = None
            elif wanted.conversation is not None and isinstance(wanted.conversation.state, _OFFERING):
                # An offer by old terms may be agreed to; what has been agreed to goes on.
                self._let_go(wanted.conversation)
                wanted.conversation = None
            if wanted.association is None or new_policy(before[nai], peer):
                wanted.pause = FIRST_PAUSE
                wanted.begin_at = now.monotonic
                self._asking.sooner = True

    def _let_go(self, conversation: Conversation) -> None:
        self._driver.let_go(lambda one: one is conversation)
        self._asking.forget(conversation)

    def _begin(self, wanted: Wanted, now: Now, actions: list[NodeAction]) -> None:
        wanted.begin_at = None
        terms = self._terms(wanted, now)
        if isinstance(terms.authority, Certificates):
            step = certified_initiator.begin(terms, wanted.path._replace(via=None, tcp=True), now)
            table = certified_initiator.TRANSITIONS
        else:
            step = initiator.begin(terms, wanted.path, now, wanted.shift)
            table = initiator.TRANSITIONS
        conversation = Conversation(step.state, table, self, terms.peer)
        wanted.conversation = conversation
        self._driver.take(conversation, step.state, step.actions, now, actions)

    def _terms(self, wanted: Wanted, now: Now) -> Terms:
        terms, old = wanted.peer.terms, wanted.association
        if old is None or wanted.anew or not old.confirmed or now.wall >= old.expires:
            return terms
        try:
            ends = terms.authority.not_after(old.root, old.peer, now.wall)
        except (BadCertificate, AuthenticationFailed):
            return terms
        return evolve(terms, authority=old.authority(responding=False), replaces=old.spi_in, not_after=ends)

    def _use(self, wanted: Wanted, association: Association, now: Now, actions: list[NodeAction]) -> None:
        drawn = int.from_bytes(self._entropy(2), "big") / 0xFFFF
        share = RENEW_FROM + (RENEW_TO - RENEW_FROM) * drawn
        most = association.agreement.lifetime * share
        # A clock that was set back does not make the association younger than new.
        left = min(max(association.created + most - now.wall, 0), most)
        wanted.association, wanted.anew = association, False
        wanted.begin_at = now.monotonic + left
        wanted.probe_at = None if association.agreement.suite else now.monotonic + PROBE_EVERY
        self._asking.sooner = True
        actions.append(Ready(association))

    # -- what conversations report

    def moved(self, conversation: Conversation, _now: Now, _actions: list[NodeAction]) -> None:
        """Keep a conversation where its answers and its timer will look for it."""
        self._asking.moved(conversation)
        wanted = self._wanted.get(conversation.peer)
        if wanted is not None and isinstance(conversation.state, initiator.ExpectAnswer):
            wanted.shift = conversation.state.attempt.shift

    def delivered(self, conversation: Conversation, result: object, now: Now, actions: list[NodeAction]) -> None:
        """Take a result: an association, its confirmation, or a failure."""
        wanted = self._wanted.get(conversation.peer)
        match result:
            case Outcome(association=None, why=why):
                if wanted is not None and wanted.conversation is conversation:
                    self._failed(wanted, why, now, actions)
            case Outcome(association=Association() as association):
                self._associations.add(association)
                if wanted is None or wanted.conversation is not conversation:
                    why = "it is not wanted any more"
                    self._endings.end(association, Code.DELETED, why, now, actions)
                    return
                wanted.conversation = None
                wanted.pause = FIRST_PAUSE
                if wanted.lasting:
                    self._use(wanted, association, now, actions)
                else:
                    del self._wanted[conversation.peer]
            case initiator.Unverified(path, why):
                self._asking.unverified(path, why, now, actions)
            case initiator.Confirmed(spi_in):
                held = self._associations.get(spi_in)
                if held is not None:
                    self.confirmed(evolve(held, confirmed=True), now, actions)
            case initiator.Doubted(spi_in):
                held = self._associations.get(spi_in)
                if held is not None:
                    self.renew(held, now, hinted=True)
            case upkeep.Answered(association):
                if wanted is not None and wanted.probe_at is None:
                    wanted.probe_at = now.monotonic + PROBE_EVERY
                    self._asking.sooner = True
            case upkeep.Unanswered(association, unknown=unknown):
                if unknown:
                    self.renew(association, now, hinted=True)
                elif self._associations.get(association.spi_in) is not None:
                    self._endings.forget(association, "the peer does not answer", actions)
                    self.ended(association, now, actions)

    def _failed(self, wanted: Wanted, why: str, now: Now, actions: list[NodeAction]) -> None:
        wanted.conversation = None
        peer = wanted.peer.terms.peer
        if not wanted.lasting:
            del self._wanted[peer]
            return
        pause = FIRST_PAUSE
        if wanted.association is None or wanted.anew:
            pause, wanted.pause = wanted.pause, min(wanted.pause * 2, LONGEST_PAUSE)
        # What vouched for the first is asked next, and goes on being asked.
        wanted.anew = True
        wanted.begin_at = now.monotonic + pause
        self._asking.sooner = True
        if wanted.association is None:
            actions.append(Unavailable(peer, why, pause))

    def confirmed(self, association: Association, now: Now, actions: list[NodeAction]) -> None:
        """Use an association that both ends have proved, whichever began, unless another renewal stays instead."""
        self._associations.add(association)
        judged = self._endings.renewals.judge(association, now)
        loser, stays = judged if judged is not None else (None, None)
        # Who began it deletes it: the other end could forget it before its proof has been answered.
        if loser is not None and loser.role is Role.INITIATOR and self._associations.get(loser.spi_in) is not None:
            self._endings.end(loser, Code.REPLACED, "both ends renewed at once", now, actions)
        wanted = self._wanted.get(association.peer)
        if wanted is None or not wanted.lasting or wanted.association is None:
            return
        in_use = wanted.association.spi_in
        if association.spi_in == in_use:
            wanted.association = association
        if loser is not None and stays is not None and in_use == loser.spi_in:
            self._use(wanted, self._associations.get(stays.spi_in) or stays, now, actions)
        elif loser is None and association.role is Role.RESPONDER and association.replaces == in_use:
            self._use(wanted, association, now, actions)

    def ended(self, association: Association, now: Now, actions: list[NodeAction]) -> None:
        """Take note that an association is gone: use another, or begin anew if it was the one in use."""
        wanted = self._wanted.get(association.peer)
        if wanted is None or wanted.association is None or wanted.association.spi_in != association.spi_in:
            return
        wanted.association = wanted.probe_at = None
        newest = self._associations.newest(association.peer)
        if newest is not None and newest.confirmed:
            self._use(wanted, newest, now, actions)
        elif wanted.conversation is None:
            wanted.begin_at = now.monotonic if now.wall >= association.expires else now.monotonic + FIRST_PAUSE
            self._asking.sooner = True

    def tick(self, now: Now, actions: list[NodeAction]) -> None:
        """Begin what is due, and ask after associations that have no links."""
        for wanted in tuple(self._wanted.values()):
            if wanted.conversation is None and wanted.begin_at is not None and wanted.begin_at <= now.monotonic:
                self._begin(wanted, now, actions)
            if wanted.probe_at is not None and wanted.probe_at <= now.monotonic:
                wanted.probe_at = None
                if wanted.association is not None:
                    self.probe(wanted, wanted.association, now, actions)

    def probe(self, wanted: Wanted, association: Association, now: Now, actions: list[NodeAction]) -> None:
        """Ask whether the peer is there."""
        step = upkeep.probe(wanted.peer.terms, wanted.path, association, now)
        conversation = Conversation(step.state, upkeep.TRANSITIONS, self, association.peer)
        self._driver.take(conversation, step.state, step.actions, now, actions)

    def deadlines(self) -> list[float | None]:
        """Return when `tick` has something to do (monotonic)."""
        begin = [wanted.begin_at for wanted in self._wanted.values() if wanted.conversation is None]
        return [*begin, *(wanted.probe_at for wanted in self._wanted.values())]
