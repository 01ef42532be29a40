"""One principal and all its conversations, without a socket or a clock.

The edge hands in datagrams, outcomes of commits and ticks, and runs the
actions that come back, in their order. The node finds out which conversation an
input belongs to and owns every table; what is said is the business of the
conversations in `seckex.exchange`. Nothing here raises on what a peer sends:
what cannot be believed is counted, reported within a ration, and dropped.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from typing import Final

from attrs import evolve

from seckex.crypto.groups.verdicts import Verdicts
from seckex.crypto.secrets import Secret
from seckex.errors import (
    AuthenticationFailed,
    BadCertificate,
    Malformed,
    PeerFault,
    PeerIncompatible,
    Unfeasible,
    UnsupportedVersion,
)
from seckex.events import AssociationEnded, StoreUnwritable, VersionUnsupported
from seckex.exchange.aside import Aside
from seckex.exchange.attempt import OtherVersions, Unknown
from seckex.exchange.messages import Received
from seckex.exchange.terms import Entropy, Terms
from seckex.machine import Now, Path, Report, Send
from seckex.node.actions import Gone, NodeAction
from seckex.node.adopted import Adopted
from seckex.node.answering import Answering
from seckex.node.asking import Asking
from seckex.node.associations import AssociationTable
from seckex.node.certified import CertifiedAnswering
from seckex.node.conversation import Driver
from seckex.node.drops import Drops
from seckex.node.endings import Endings
from seckex.node.gate import Gate
from seckex.node.limits import Limits, Peer
from seckex.node.peers import Peers
from seckex.node.reconfiguration import REKEYED, REMOVED, UNKEPT, compare, strangers
from seckex.node.seeking import Seeking
from seckex.sa.association import Association
from seckex.sa.store import DeleteAssociation, Outcome, PutAssociation, Snapshot, Unit
from seckex.wire.general import decode_message, decode_versions, encode_versions
from seckex.wire.numbers import HEADER_SIZE, MAX_DATAGRAM, ROAMING_KINDS, VERSIONS_SPOKEN, Code, Kind, Role

PURGE_EVERY: Final = 60.0


class Node:
    """See the module; ``peers`` are all whom it knows, each with its own KEY 0."""

    def __init__(self, local: str, peers: Iterable[Peer], entropy: Entropy, limits: Limits) -> None:
        self.local = local
        self.associations = AssociationTable(limits.associations)
        self._verdicts, self._aside = Verdicts(), Aside()
        self.peers = Peers(local, self._taken(peers))
        self._drops = Drops()
        self._driver = Driver()
        self._terms = self._by_spi()
        self._paths: dict[str, Path] = {}
        self._asking = Asking(self._driver, self._drops)
        self._endings = Endings(self.peers, self._driver, self.associations, self._asking, self._paths)
        self._seeking = Seeking(
            self.peers, self._driver, self.associations, self._asking, self._endings, self._paths, entropy
        )
        self._answering = Answering(
            self._terms,
            self.peers,
            self._driver,
            self.associations,
            self._seeking,
            self._endings,
            self._paths,
            self._drops,
            limits,
        )
        self._certified = CertifiedAnswering(
            self.peers, self._driver, self.associations, self._seeking, self._drops, limits
        )
        self._adopted = Adopted(self.associations, limits)
        self._gate = Gate(limits.flood, entropy, self._answering.crowded, self._drops)
        self._purge_at: float | None = None
        self._told_expiry = math.inf

    def _taken(self, peers: Iterable[Peer]) -> list[Peer]:
        taken, verdicts, aside = self._spi_taken, self._verdicts, self._aside
        return [evolve(p, terms=evolve(p.terms, taken=taken, verdicts=verdicts, aside=aside)) for p in peers]

    def _by_spi(self) -> dict[int, Terms]:
        shared = (peer.terms for peer in self.peers.values() if not peer.certified and not peer.registered)
        return {terms.authority.spi: terms for terms in shared}

    def _spi_taken(self, spi: int) -> bool:
        return spi in self._terms or self.associations.get(spi) is not None or self._certified.knows(spi)

    @property
    def counters(self) -> dict[str, int]:
        """Every counter and the size of every table, by name."""
        return (
            dict(self._drops.counters)
            | self._gate.counters
            | {
                "associations": len(self.associations),
                "commits-waiting": self._driver.waiting,
                "asking": len(self._asking),
                "certified-half-open": len(self._certified.half_open),
                "half-open": len(self._answering.half_open),
                "replay-records": len(self._answering.replays),
                "unconfirmed": len(self._answering.unconfirmed),
            }
        )

    def start(self, snapshot: Snapshot, now: Now) -> list[NodeAction]:
        """Take over what the store holds.

        An association with a bound on octets is not taken up again, since what
        it has carried is not durable and the bound could be passed; nor is one
        with a peer that is no longer configured, by other keys, or under a name that is no longer ours.
        """
        actions: list[NodeAction] = []
        self._answering.start(snapshot, now)
        for association in snapshot.associations:
            why = self._unvouched(association, self.peers, now) or (UNKEPT if association.octet_bound else "")
            if why:
                self._driver.commit(None, (DeleteAssociation(association.spi_in),), actions)
                actions.append(Report(AssociationEnded(association.peer, association.spi_in, why)))
                continue
            self.associations.add(association)
            if association.role is Role.RESPONDER and not association.confirmed:
                self._answering.await_confirmation(self.peers[association.peer].terms, association, now)
        self._purge_at = now.monotonic + PURGE_EVERY
        return actions

    def _unvouched(self, association: Association, peers: Peers, now: Now) -> str:
        """Return why nothing vouches for an association where ``peers`` are those that are known, if so."""
        peer = peers.get(association.peer)
        if peer is None or association.local != self.local:
            return REMOVED
        try:
            ends = peer.terms.authority.not_after(association.root, association.peer, now.wall)
        except BadCertificate as error:
            return f"{REKEYED}: {error.why}"
        except AuthenticationFailed:
            return REKEYED
        return "" if now.wall < ends else REKEYED

    def unvouched(self, now: Now) -> dict[int, str]:
        """Return which associations, by their SPIs here, nothing that is configured vouches for at ``now``, and why.

        Dates and revocation lists are looked at anew.
        """
        found = {each.spi_in: self._unvouched(each, self.peers, now) for each in self.associations}
        return {spi: why for spi, why in found.items() if why}

    def reconfigure(self, peers: Iterable[Peer], limits: Limits, now: Now) -> list[NodeAction]:
        """Go on with other ``peers`` and ``limits``; see `seckex.node.reconfiguration`.

        What is over a lowered limit stays until it ends by itself. Peers that were added are not wanted yet.
        """
        actions: list[NodeAction] = []
        before, after = Peers(self.local, self.peers.values()), Peers(self.local, self._taken(peers))
        changes = compare(before, after)
        lost = strangers(before, after, changes)
        self._driver.let_go(lambda conversation: lost(conversation.peer))
        self._asking.let_go(lambda conversation: lost(conversation.peer))
        gone: list[Association] = []
        for association in tuple(self.associations):
            why = self._unvouched(association, after, now)
            if why:
                gone.append(association)
                self._answering.ended(association)
                self._endings.end(association, Code.DELETED, why, now, actions)
        same = before.keys() & after.keys() - changes.ended - changes.altered
        self.peers.replace({**after, **{nai: before[nai] for nai in same}}.values())
        self._terms.clear()
        self._terms.update(self._by_spi())
        for nai in [nai for nai in self._paths if lost(nai)]:
            del self._paths[nai]
        self.associations.limit = limits.associations
        self._adopted.reconfigure(limits)
        self._answering.reconfigure(limits, changes, now)
        self._certified.reconfigure(limits)
        self._gate.reconfigure(limits.flood)
        self._seeking.reconfigure(before, changes, now)
        for association in gone:
            self._seeking.ended(association, now, actions)
        return actions

    def want(self, nai: str, now: Now) -> list[NodeAction]:
        """Have an association with the peer ``nai`` from now on, renewed before it expires; raises `Unfeasible`."""
        actions: list[NodeAction] = []
        self._known(nai)
        if self.peers[nai].registered:
            self._adopted.want(nai, actions)
        else:
            self._seeking.want(nai, now, actions)
        return actions

    def rekey(self, nai: str, now: Now) -> list[NodeAction]:
        """Renew the association with the peer ``nai`` now, from whichever end; raises `Unfeasible`."""
        actions: list[NodeAction] = []
        self._known(nai)
        if self.peers[nai].registered:
            raise Unfeasible(f"the association with {nai} comes of registering: the mobile node renews it so")
        self._seeking.rekey(nai, now, actions)
        return actions

    def down(self, nai: str, now: Now) -> list[NodeAction]:
        """End every association with the peer ``nai``, tell it, and ask for no more; raises `Unfeasible`."""
        actions: list[NodeAction] = []
        self._known(nai)
        if self.peers[nai].registered:
            # The registration would stay behind without what came of it.
            raise Unfeasible(
                f"the association with {nai} comes of registering: the mobile node ends it by deregistering, "
                "or its key distribution center by disabling the node"
            )
        self._seeking.unwant(nai)
        for association in [each for each in self.associations if each.peer == nai]:
            self._answering.ended(association)
            self._endings.end(association, Code.DELETED, "ended by an operator", now, actions)
        return actions

    def export(self, nai: str, label: bytes, context: bytes, length: int) -> Secret:
        """Return keying material of the association with ``nai``, the same at both ends; raises `Unfeasible`.

        ``length`` in octets, 32 at least. Both ends get the same from the same
        association: it changes when that is renewed.
        """
        self._known(nai)
        association = self.associations.newest(nai)
        if association is None or not association.confirmed:
            raise Unfeasible(f"there is no association with {nai} that both ends have confirmed")
        return association.keys.export(label, context, length)

    def adopt(self, association: Association, replaces: Iterable[int], now: Now) -> list[NodeAction]:
        """Use ``association``, which came of registering and is durable, for links and dialogs.

        Those that it ``replaces``, by their SPIs here, are durably gone; they are used until their links have moved,
        60 s at most.
        """
        actions: list[NodeAction] = []
        self._adopted.adopt(association, replaces, now, actions)
        return actions

    def release(self, spi_in: int, why: str) -> list[NodeAction]:
        """Use the association that ``spi_in`` names no more, and close its links; its record is gone already."""
        actions: list[NodeAction] = []
        self._adopted.release(spi_in, why, actions)
        return actions

    def _known(self, nai: str) -> None:
        if nai not in self.peers:
            raise Unfeasible(f"{nai} is not among the peers that are configured here")

    def renew(self, association: Association, now: Now, *, hinted: bool) -> None:
        """Have another in place of an association in use that is worn out or, as is ``hinted``, unknown to the peer."""
        self._seeking.renew(association, now, hinted=hinted)

    def retire(self, association: Association) -> list[NodeAction]:
        """Forget an association that another one has replaced; nothing if it is the newest with its peer."""
        actions: list[NodeAction] = []
        newest = self.associations.newest(association.peer)
        if newest is not None and newest.spi_in != association.spi_in:
            self._adopted.retired(association)
            self._answering.ended(association)
            self._endings.forget(association, "replaced by a newer one", actions)
        return actions

    def lost(self, association: Association, now: Now) -> list[NodeAction]:
        """Forget an association that the peer has no more, as it said on a link on which it had proved its keys."""
        actions: list[NodeAction] = []
        self._answering.ended(association)
        self._endings.forget(association, "the peer says that it is gone", actions)
        self._seeking.ended(association, now, actions)
        return actions

    def proved(self, spi_in: int, now: Now) -> list[NodeAction]:
        """Take note that a link's first record has verified under an association."""
        actions: list[NodeAction] = []
        self._answering.proved(spi_in, now, actions)
        return actions

    def ration(self, cause: str, now: Now) -> bool:
        """Count something that anybody can cause; return whether it may be reported."""
        return self._drops.ration(cause, now)

    def usable(self, spi_in: int, now: Now) -> Association | None:
        """Return the association that ``spi_in`` names, if it lives."""
        association = self.associations.get(spi_in)
        return association if association is not None and now.wall < association.expires else None

    def judge(self, octets: bytes, host: str, port: int, now: Now) -> bytes | None:
        """Return what a datagram gets at once in place of `admitted`: an answer, or silence if that is empty.

        None lets it go on. This is all that a flood costs; see `seckex.node.gate`.
        """
        return self._gate.judge(octets, host, port, now)

    def source_of(self, host: str) -> Hashable:
        """Return the part of the net that an address belongs to."""
        return self._gate.source(host)

    @property
    def has_news(self) -> bool:
        """Whether `judge` has left something for `news`."""
        return bool(self._gate.news)

    def news(self) -> list[NodeAction]:
        """Return what verdicts have led to beside themselves."""
        told, self._gate.news = self._gate.news, []
        return told

    def receive(self, octets: bytes, path: Path, now: Now) -> list[NodeAction]:
        """Take one datagram, or one message that came over TCP."""
        verdict = None if path.tcp else self.judge(octets, path.host, path.port, now)
        if verdict is None:
            return [*self.admitted(octets, path, now), *self.news()]
        return [*((Send(verdict, path),) if verdict else ()), *self.news()]

    def admitted(self, octets: bytes, path: Path, now: Now) -> list[NodeAction]:
        """Take what `judge` lets go on, or what came over TCP."""
        actions: list[NodeAction] = []
        if len(octets) > MAX_DATAGRAM and not path.tcp:
            why = f"{len(octets)} octets where a datagram has {MAX_DATAGRAM} at most"
            self._drops.note("too-long", why, path, now, actions)
            return actions
        try:
            received = Received(decode_message(octets), octets)
            kind = received.header.kind
            if kind in ROAMING_KINDS:
                raise PeerIncompatible(Code.UNSPECIFIED, f"{kind.name} is not for this daemon")
            if kind is Kind.OFFER:
                if path.tcp and not self._gate.admits(path.host, path.port, now):
                    return [*actions, *self.news()]
                if received.header.spi:
                    self._answering.offered(received, path, now, actions)
                else:
                    self._certified.offered(received, path, now, actions)
            elif kind is Kind.CONFIRM and self._certified.knows(received.header.spi):
                self._certified.confirmed(received, path, now, actions)
            elif kind is Kind.CONFIRM:
                self._answering.confirmed(received, path, now, actions)
            elif kind is Kind.ABANDON:
                self._answering.abandoned(received, path, now, actions)
            elif kind in (Kind.PROBE, Kind.DELETE):
                self._answering.informed(received, path, now, actions)
            elif kind is Kind.UNKNOWN:
                if len(octets) != HEADER_SIZE:
                    raise Malformed("UNKNOWN", HEADER_SIZE, "has nothing behind its header")
                self._asking.hinted(received.header.identification, Unknown(str(path)), now, actions)
            else:
                self._asking.answered(received, now, actions)
        except UnsupportedVersion as error:
            self._other_version(octets, error, path, now, actions)
        except Malformed as error:
            self._drops.note("malformed", str(error), path, now, actions)
        except AuthenticationFailed as error:
            self._drops.note("unauthenticated", str(error), path, now, actions)
        except PeerFault as error:
            self._drops.note("incompatible", str(error), path, now, actions)
        return actions

    def _other_version(
        self, octets: bytes, error: UnsupportedVersion, path: Path, now: Now, actions: list[NodeAction]
    ) -> None:
        if error.version == 0:
            try:
                heard = decode_versions(octets)
            except Malformed as malformed:
                self._drops.note("malformed", str(malformed), path, now, actions)
            else:
                hint = OtherVersions(heard.versions, str(path))
                self._asking.hinted(heard.identification, hint, now, actions)
            return
        answer = encode_versions(octets, VERSIONS_SPOKEN)
        if answer is None:
            self._drops.note("version", str(error), path, now, actions)
            return
        actions.append(Send(answer, path))
        if self._drops.ration("version", now):
            actions.append(Report(VersionUnsupported(str(path), error.version, VERSIONS_SPOKEN)))

    def unreachable(self, host: str, port: int, why: str, now: Now) -> list[NodeAction]:
        """Take note that nothing could be sent to a peer's ``host`` and ``port``, or no connection made."""
        actions: list[NodeAction] = []
        self._asking.unreachable(host, port, why, now, actions)
        return actions

    def committed(self, token: int, outcome: Outcome | str, now: Now) -> list[NodeAction]:
        """Take what became of a `Commit`: an outcome, or why nothing was stored."""
        actions: list[NodeAction] = []
        conversation, unit = self._driver.committed(token, outcome, now, actions)
        if conversation is None and isinstance(outcome, str):
            actions.append(Report(StoreUnwritable(outcome)))
        self._answering.stored(unit, durable=outcome is Outcome.STORED)
        if conversation is not None and outcome is Outcome.STORED:
            self._still_vouched(unit, now, actions)
        return actions

    def _still_vouched(self, unit: Unit, now: Now, actions: list[NodeAction]) -> None:
        """End at once what is no longer vouched for by the time that it is durable."""
        stored = (each.association.spi_in for each in unit if isinstance(each, PutAssociation))
        for held in filter(None, map(self.associations.get, stored)):
            why = self._unvouched(held, self.peers, now)
            if why:
                self._answering.ended(held)
                self._endings.end(held, Code.DELETED, why, now, actions)
                self._seeking.ended(held, now, actions)

    def worked(self, token: int, result: object, now: Now) -> list[NodeAction]:
        """Take what became of a `Work`: what its call returned, or the `SeckexError` that it raised."""
        actions: list[NodeAction] = []
        self._driver.worked(token, result, now, actions)
        return actions

    def tick(self, now: Now) -> list[NodeAction]:
        """Do what is due."""
        actions: list[NodeAction] = []
        self._asking.tick(now, actions)
        self._seeking.tick(now, actions)
        self._answering.tick(now, actions)
        self._certified.tick(now, actions)
        self._adopted.tick(now, actions)
        self._gate.tick(now)
        actions += self.news()
        self._expire(self.associations.expired(now.wall), now, actions)
        if self._purge_at is not None and now.monotonic >= self._purge_at:
            self._purge_at = now.monotonic + PURGE_EVERY
            self._forget_paths()
            outlived = list(self.associations.outlived(now.monotonic))
            self._expire(outlived, now, actions)
            deletions = (DeleteAssociation(association.spi_in) for association in outlived)
            self._driver.commit(None, (*deletions, self._answering.purge(now)), actions)
        return actions

    def _forget_paths(self) -> None:
        # Whoever is known by its realm only is one of as many as have certificates.
        idle = [nai for nai in self._paths if not self.peers.named(nai) and self.associations.newest(nai) is None]
        for nai in idle:
            del self._paths[nai]

    def _expire(self, associations: Iterable[Association], now: Now, actions: list[NodeAction]) -> None:
        for association in associations:
            self._seeking.ended(association, now, actions)
            self._answering.ended(association)
            ended = AssociationEnded(association.peer, association.spi_in, "its lifetime is over")
            actions += [Report(ended), Gone(association, "its lifetime is over")]

    def take_sooner(self) -> bool:
        """Return whether something may have become due sooner since this was last asked.

        Answering only ever adds deadlines that are half a minute and more away,
        which the next tick finds early enough: so most datagrams need no look.
        """
        sooner, self._asking.sooner = self._asking.sooner, False
        expiry = self.associations.next_expiry()
        return sooner or (expiry is not None and expiry < self._told_expiry)

    def next_deadline(self, now: Now) -> float | None:
        """Return when `tick` has something to do (monotonic)."""
        deadlines = [
            self._asking.deadline(),
            *self._seeking.deadlines(),
            *self._answering.deadlines(),
            *self._certified.deadlines(),
            self._adopted.deadline(),
        ]
        deadlines += [self._gate.deadline, self._purge_at]
        expiry = self.associations.next_expiry()
        self._told_expiry = math.inf if expiry is None else expiry
        if expiry is not None:
            deadlines.append(now.monotonic + max(expiry - now.wall, 0))
        return min((deadline for deadline in deadlines if deadline is not None), default=None)
