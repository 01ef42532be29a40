"""``seckex counters``: what a daemon counts, and what each counter means."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click
from rich import box
from rich.table import Table
from rich.text import Text

from seckex.cli.control_client import Refused, Unreachable, ask
from seckex.cli.finding import daemon_options, elsewhere, sockets_of
from seckex.cli.output import Fault, NoDaemon, json_option, plain, print_json, print_tables

SCHEMA: Final = "seckex.counters/1"
_STATUS: Final = "seckex.status/1"

#: Every counter there is; docs/operations.md has the same ones.
MEANINGS: Final[Mapping[str, str]] = {
    "associations": "associations alive",
    "asking": "requests of this end that await an answer",
    "unconfirmed": "associations whose initiator has not proved its keys yet",
    "half-open": "exchanges between a counter-offer and the next offer",
    "certified-half-open": "exchanges by certificates that were answered within the last 30 s",
    "replay-records": "requests that are remembered against replay",
    "commits-waiting": "units that the disk has not taken yet",
    "retransmissions": "requests that came again and were answered from memory",
    "answers-unexpected": "answers to nothing that is under way: late copies, as a rule",
    "half-open-expired": "counter-offers upon which nothing came for 30 s",
    "dropped.unknown-key0": "neither a KEY 0 nor an association has the SPI of the request",
    "dropped.no-certificates": "an OFFER or CONFIRM by certificates over UDP, or an OFFER where none are configured",
    "dropped.unauthenticated": "a MAC does not verify",
    "dropped.replay": "an Identification was used before, for another request",
    "dropped.malformed": "not a message, or an OFFER that is too short",
    "dropped.incompatible": "an extension that this version does not have",
    "dropped.unproved": "an exchange by certificates countered or refused before the peer had proved its name",
    "dropped.unrecorded": "an OFFER refused with 130 or 133, which leaves no record",
    "dropped.source-rate": "more offers with proved addresses from one part of the net than it may send",
    "dropped.too-long": "a datagram of more than 1,232 octets",
    "dropped.link": "a TCP connection that ended before it proved any keys",
    "dropped.passage": "a passage that was refused, or could not be had: see PassageRefused and PassageFailed",
    "dropped.version": "another version of the protocol",
    "dropped.unknown-association": "a CONFIRM, PROBE or DELETE for what is not there",
    "dropped.unknown-exchange": "an ABANDON for what is not there",
    "gate.cookies-asked": "offers that were asked for a cookie",
    "gate.cookies-right": "offers with a valid cookie",
    "gate.cookies-wrong": "offers with a cookie that is not valid, or not any more",
    "gate.sources": "parts of the net whose rates are remembered",
    "tcp.messages": "connections that carry general messages",
    "tcp.messages-dropped": "those that gave way, over limits.messages-over-tcp",
    "tcp.messages-foreign": "those that were closed for an impossible length",
    "tcp.silent-dropped": "connections that had said nothing and gave way to younger ones",
    "links.foreign": "what came first does not begin a link",
    "links.malformed": "a first record that no peer can have sent",
    "links.unknown-association": "the association is not known at the responder",
    "links.forged": "a first record did not verify",
    "links.timed-out": "no proof of keys within 10 s",
    "links.violated": "the peer broke a rule, or somebody altered what it sent",
    "links.closed-by-peer": "closed in order by the peer",
    "links.closed": "closed in order by this side",
    "links.worn-out": "the association has carried what it may",
    "links.lost": "the TCP connection was lost",
    "links.dead": "nothing came from the peer for too long",
    "links.refused": "connections over limits.links",
    "links.dropped": "connections without proof that gave way to younger ones",
    "dialogs.detached": "dialogs that wait for a link now",
    "dialogs.not-resumed": "dialogs that waited for a link in vain",
    "forwards.refused": "local connections over limits.forward-connections",
    "aaa.relayed": "registrations that were passed on",
    "aaa.answered": "answers that were passed back",
    "aaa.pending": "registrations that await an answer",
    "aaa.refused": "registrations that were refused, or upon which nothing came",
    "aaa.unanswered": "those upon which nothing came",
    "dropped.messages": "envelopes and connections of durable messages that were refused",
    "messages.connections": "connections of durable messages",
    "messages.connections-made": "those that were made to peers",
    "messages.connections-accepted": "those that others have made",
    "messages.connections-refused": "those that were closed at once, over messages.limits.connections",
    "messages.connections-broken": "those that were closed for what came over them",
    "messages.calls-failed": "attempts to reach a peer that failed",
    "messages.held-back": "times that nothing was read from them since the disk did not keep up",
    "messages.octets-in": "octets that came over them",
    "messages.octets-out": "octets that went over them",
    "messages.dialogs": "dialogs of messages, those that have ended and are remembered included",
    "messages.outbox-octets": "octets of messages that were sent and are not processed",
    "messages.inbox-octets": "octets of messages that came and are not processed",
    "messages.spool-octets": "octets of payloads in files of the spool",
    "messages.dead": "messages that are put aside",
    "messages.sent": "messages that programs have sent",
    "messages.given": "messages that programs were given for the first time",
    "messages.given-again": "those that they were given again",
    "messages.failed": "messages of programs here that have failed for good",
    "messages.commits-waiting": "units of messages that the disk has not taken yet",
    "messages.prekeys": "prekeys that are not destroyed yet",
    "messages.relay-envelopes": "envelopes that are kept for others",
    "messages.relay-octets": "octets that are kept for others, an envelope at least 1 KiB",
    "messages.relay-kept": "envelopes that were kept for others",
    "messages.relay-refused": "envelopes for others that were refused, most of them at a bound",
    "messages.relay-given": "envelopes that were given to collectors",
    "messages.relay-collected": "envelopes that their collectors have taken",
    "messages.relay-expired": "envelopes that nobody has collected in time",
    "messages.relay-lost": "envelopes for others that could not be read from the disk",
    "messages.refused.relay": "strangers who wanted to deposit or collect",
    "messages.refused.headers-missing": "envelopes whose keys are not held",
    "messages.refused.refused": "envelopes that ask for what is not allowed",
    "messages.refused.forged": "envelopes that do not verify, and copies",
    "messages.refused.phases": "messages of three-phase exchanges that were refused",
    "messages.refused.notices": "notices that were not believed",
    "aaa.malformed": "messages of neighbours that could not be read",
    "aaa.failovers": "times that somebody else was asked, since one did not lead to the home agent",
    "aaa.repeated": "repetitions that were dropped",
    "aaa.unexpected": "answers that nobody awaited",
    "foreign-agent.advertisements": "advertisements to everybody",
    "foreign-agent.solicited": "advertisements that were asked for",
    "foreign-agent.requests": "requests of nodes, those that had to prove their address first not counted",
    "foreign-agent.repeated": "requests that came again, answered from memory or under way",
    "foreign-agent.relayed": "requests that were said to a neighbour, one by one",
    "foreign-agent.registered": "registrations",
    "foreign-agent.left": "registrations that their nodes have ended",
    "foreign-agent.refused-at-home": "refusals by home agents, for reasons that only the node learns",
    "foreign-agent.unsent": "answers that did not leave",
    "foreign-agent.answers-unexpected": "answers of neighbours to nothing that is under way",
    "foreign-agent.under-way": "requests that await their reply",
    "foreign-agent.answers": "answers kept for repetitions",
    "foreign-agent.visitors": "nodes that are registered",
    "foreign-agent.revoked": "registrations that home agents have ended",
    "foreign-agent.revoked-again": "repetitions of that",
    "foreign-agent.gone": "visitors that have ended, for which is answered until their lifetimes are over",
    "foreign-agent.dropped.malformed": "solicitations that are none",
    "foreign-agent.dropped.source-rate": "more requests or solicitations from one part of the net than it may send",
    "foreign-agent.dropped.malformed-on-hop": "answers of neighbours that make no sense",
    "foreign-agent.gate.cookies-asked": "requests that were asked for a cookie",
    "foreign-agent.gate.cookies-right": "requests with a valid cookie",
    "foreign-agent.gate.cookies-wrong": "requests with a cookie that is not valid, or not any more",
    "foreign-agent.gate.sources": "parts of the net whose rates are remembered",
    "foreign-agent.accounts.open": "passages that have an account and are under way",
    "foreign-agent.accounts.kept": "finished accounts that are kept",
    "foreign-agent.accounts.totals": "totals of accounts",
    "foreign-agent.accounts.waiting": "finished accounts that are not durable yet",
    "foreign-agent.accounts.finished": "passages whose account was closed",
    "foreign-agent.accounts.cut-short": "those among them whose end was not seen",
    "foreign-agent.accounts.lost": "those that were too many to wait for a store that cannot be written",
    "foreign-agent.accounts.outward": "octets of passages from nodes, as far as accounts have them",
    "foreign-agent.accounts.outward-proved": "those of them that are proved",
    "foreign-agent.accounts.inward": "octets of passages to nodes, as far as accounts have them",
    "foreign-agent.accounts.inward-proved": "those of them that are proved",
    "trace.passed-on": "questions for ways that were passed on",
    "trace.answered": "questions for ways that were for us",
    "trace.unexpected": "messages about ways that nobody awaited or that could not be read",
    "passages.standing": "passages of traffic through agents that stand",
    "passages.opened": "passages that came about",
    "passages.closed": "those of them that have ended",
    "passages.refused": "those that an agent refused us, at a node; those that we refused or that were no passages",
    "passages.failed": "attempts that led nowhere: an agent that cannot be reached, or a home agent",
    "passages.dropped": "callers that gave way to others before they had proved who they are",
    "passages.unproved": "callers that were accepted and never proved it",
    "hops.made": "secure hops to neighbours that stand",
    "hops.accepted": "secure hops that neighbours have made to us and that stand",
    "kdc.principals": "nodes that a key distribution center knows",
    "kdc.revoked": "nodes of these that are revoked",
    "kdc.deleted": "names of nodes that were deleted",
    "kdc.unopened": "nodes that have not been looked at since the start",
    "kdc.limited": "requests that got no keys since their nodes had too many",
    "kdc.home-agents": "home agents of these",
    "kdc.home-keys": "home agents whose static keys are known",
    "kdc.neighbours": "home agents and replicas that have asked for nodes, and are told of changes",
    "kdc.issued": "requests that keys were issued for",
    "kdc.repeated": "requests that came again and got the same keys",
    "kdc.refused": "requests that got no keys",
    "kdc.waiting": "requests whose keys are about to be durable",
    "kdc.remembered": "requests whose keys are remembered, so that they get them again",
    "kdc.forgotten-early": "requests that were forgotten before their time, over kdc.issued",
    "kdc.nodes-asked": "questions for nodes",
    "kdc.malformed": "messages of neighbours that make no sense",
    "mobile-node.begun": "registrations that were begun, deregistrations too",
    "mobile-node.registered": "registrations that were accepted",
    "mobile-node.failed": "registrations that came to nothing",
    "mobile-node.agents": "foreign agents that are heard",
    "mobile-node.moves": "registrations by way of another agent, or from another address",
    "mobile-node.commits-waiting": "what is about to be durable",
    "mobile-node.answers-unexpected": "replies and requests for cookies that belong to nothing under way",
    "mobile-node.dropped.malformed": "advertisements and replies that are none",
    "mobile-node.dropped.unauthenticated": "replies that do not verify, advertisements that nobody asked for",
    "mobile-node.dropped.incompatible": "advertisements and replies of what this version does not have",
    "home-agent.nodes": "nodes that a home agent knows",
    "home-agent.bound": "nodes that are registered",
    "home-agent.registered": "requests that were granted",
    "home-agent.deregistered": "requests that ended a registration",
    "home-agent.refused": "requests that were refused, sealed",
    "home-agent.repeated": "requests that came again and got the same reply",
    "home-agent.replies": "replies that are kept for that",
    "home-agent.revocations": "registrations that have ended and that agents may still have",
    "home-agent.revocations-pending": "those of which the agent is told, and has not answered",
    "home-agent.revocations-told": "agents that have confirmed the end of a registration",
    "home-agent.revocations-given-up": "agents that have not, as long as it mattered",
    "home-agent.leaving": "registrations that another one has replaced and whose links may still move",
    "home-agent.under-way": "requests whose reply waits for keys or for the store",
    "home-agent.rounds": "nodes that were sent a counter-offer within the last 30 s",
    "home-agent.centers-failed": "times that a center issued no keys",
    "home-agent.accounts.open": "passages that have an account and are under way",
    "home-agent.accounts.kept": "finished accounts that are kept",
    "home-agent.accounts.totals": "totals of accounts",
    "home-agent.accounts.waiting": "finished accounts that are not durable yet",
    "home-agent.accounts.finished": "passages whose account was closed",
    "home-agent.accounts.cut-short": "those among them whose end was not seen",
    "home-agent.accounts.lost": "those that were too many to wait for a store that cannot be written",
    "home-agent.accounts.outward": "octets of passages from nodes, as far as accounts have them",
    "home-agent.accounts.outward-proved": "those of them that are proved",
    "home-agent.accounts.inward": "octets of passages to nodes, as far as accounts have them",
    "home-agent.accounts.inward-proved": "those of them that are proved",
    "hops.opened": "secure hops that came about",
    "hops.closed": "secure hops that have ended",
    "hops.failed": "attempts at a hop that led nowhere, or to somebody who did not prove the right name",
    "hops.refused": "connections that came and did not prove to be of a neighbour",
    "hops.unreachable": "messages that no hop could be had for",
    "hops.answers-lost": "answers whose asker has gone",
    "strays": "messages that no role of this daemon takes or awaits",
}


@click.command()
@daemon_options
@json_option
def counters(socket_path: Path | None, config_path: Path | None, as_json: bool) -> None:
    """Print every counter with its meaning, those of tables with their present size.

    What was never counted is 0.
    """
    found = False
    silent = []
    sockets = sockets_of(socket_path, config_path)
    for path in sockets:
        try:
            answer = ask(path, {"command": "status"}, _STATUS)
        except Unreachable as error:
            silent.append(error)
            continue
        except Refused as error:
            raise Fault(str(error)) from error
        found = True
        _print(answer, as_json)
    if not found:
        raise NoDaemon("; ".join(map(str, silent)) + elsewhere(sockets))


def _print(answer: Mapping[str, Any], as_json: bool) -> None:
    daemon, counted = (answer.get(name) for name in ("daemon", "counters"))
    daemon = daemon if isinstance(daemon, dict) else {}
    counted = counted if isinstance(counted, dict) else {}
    names = [*MEANINGS, *(name for name in counted if name not in MEANINGS)]
    if as_json:
        told = [{"name": name, "count": counted.get(name, 0), "meaning": MEANINGS.get(name, "")} for name in names]
        print_json(SCHEMA, {"role": daemon.get("role"), "nai": daemon.get("nai"), "counters": told})
        return
    boxed = sys.stdout.isatty()
    table = Table(box=box.SIMPLE_HEAD if boxed else None, pad_edge=boxed, padding=(0, 2, 0, 0))
    for head in (f"{plain(daemon.get('role', 'daemon'))} {plain(daemon.get('nai', '?'))}", "count", "meaning"):
        table.add_column(Text(head))
    for name in names:
        table.add_row(*map(Text, (plain(name), plain(counted.get(name, 0)), MEANINGS.get(name, ""))))
    print_tables([table])
