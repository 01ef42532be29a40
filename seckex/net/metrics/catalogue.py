"""Every metric there is: name, type, label, what it tells, and which of the daemon's counters it is made of.

Names, types and labels are stable, and docs/operations.md has the same table. A label is one of few
words that the program has (a cause, a code, a direction): never who somebody is, nor
where. All have the label ``role`` besides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from functools import lru_cache
from typing import Final

from attrs import Factory, frozen

PREFIX: Final = "seckex_"
#: In place of what stands in the name of a counter.
ANY: Final = "*"


class Type(Enum):
    """What Prometheus calls it."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@frozen(eq=False)  # there is one of each
class Family:
    """A metric; ``sources`` are names of counters, or of those that begin alike (``dropped.*``), with their labels."""

    name: str
    type: Type
    what: str
    label: str = ""
    sources: Mapping[str, str] = Factory(dict)

    @property
    def shown(self) -> str:
        """The name as it is scraped; of a histogram without what is added to it."""
        return PREFIX + self.name + ("_total" if self.type is Type.COUNTER else "")


def _family(kind: Type, name: str, what: str, sources: str, label: str = "") -> Family:
    """Return a family of counters ``a.b``, or ``a.b=word`` where there is a label; ``a.*`` has words of its own."""
    found: dict[str, str] = {}
    for source in sources.split():
        counter, _, word = source.partition("=")
        found[counter] = word or (ANY if counter.endswith(ANY) else counter.rpartition(".")[2] if label else "")
    return Family(name, kind, what, label, found)


def _counter(name: str, what: str, sources: str, label: str = "") -> Family:
    return _family(Type.COUNTER, name, what, sources, label)


def _gauge(name: str, what: str, sources: str = "", label: str = "") -> Family:
    return _family(Type.GAUGE, name, what, sources, label)


def _of_accounts(side: str) -> Iterator[Family]:
    name, at = side.replace("-", "_"), f"{side}.accounts"
    yield _gauge(f"{name}_accounts", "Accounts of passages, by state.", f"{at}.open {at}.kept {at}.waiting", "state")
    yield _gauge(f"{name}_account_totals", "Totals of accounts.", f"{at}.totals")
    what = "Accounts that were closed (finished), those among them whose end was not seen, those that were lost."
    octets = "Octets of passages, as far as accounts have figures of them: every 30 s, and at the end."
    yield _counter(f"{name}_account_octets", octets, f"{at}.outward {at}.inward", "direction")
    proved = f"{at}.outward-proved=outward {at}.inward-proved=inward"
    yield _counter(f"{name}_account_octets_proved", "Those that are covered by proofs.", proved, "direction")
    yield _counter(f"{name}_accounts_closed", what, f"{at}.finished {at}.cut-short {at}.lost", "outcome")


#: Not made of counters.
INFO: Final = _gauge("info", "1; the version of the program.", label="version")
STARTED: Final = _gauge("start_time_seconds", "When the daemon started, in seconds since 1970.")
LAG: Final = _gauge("reactor_lag_seconds", "How late the latest of the last minute's timers was.")
READY: Final = _gauge("ready", "Whether each check of /readyz passes: 1 or 0.", label="check")
LINKS: Final = _gauge("links", "Links that are open.")
DIALOGS: Final = _gauge("dialogs", "Dialogs that links carry.")
OCTETS: Final = Family("link_octets", Type.COUNTER, "Octets that links have carried.", "direction")
COMMITS: Final = Family("commit_seconds", Type.HISTOGRAM, "How long transactions of the store took.")
MESSAGE_COMMITS: Final = Family(
    "message_commit_seconds", Type.HISTOGRAM, "How long transactions of the store of messages took."
)
REGISTRATION: Final = Family(
    "registration_seconds",
    Type.HISTOGRAM,
    "At a mobile node: how long registering took, from the first request to keys in place.",
)
PAUSE: Final = Family(
    "move_pause_seconds", Type.HISTOGRAM, "At a mobile node: the longest that a dialog stood still at a move."
)
ISSUE: Final = Family(
    "kdc_issue_seconds",
    Type.HISTOGRAM,
    "At a key distribution center: from a request for keys to its answer, durable by then.",
)
#: Counters that have no metric of their own yet.
OTHERS: Final = _gauge("other", "Whatever else the daemon counts, by its name in seckex counters.", label="counter")

FAMILIES: Final[tuple[Family, ...]] = (
    INFO,
    STARTED,
    LAG,
    READY,
    # -- negotiations and associations
    _gauge("associations", "Associations alive.", "associations"),
    _gauge(
        "exchanges",
        "Exchanges under way, by what is awaited.",
        "asking=answer half-open=next-offer certified-half-open=confirmation unconfirmed=proof",
        "awaiting",
    ),
    _gauge("replay_records", "Requests that are remembered against replay.", "replay-records"),
    _gauge("commits_waiting", "Units that the disk has not taken yet.", "commits-waiting"),
    COMMITS,
    _counter("retransmissions", "Requests that came again and were answered from memory.", "retransmissions"),
    _counter("answers_unexpected", "Answers to nothing that was under way.", "answers-unexpected"),
    _counter("half_open_expired", "Counter-offers upon which nothing came.", "half-open-expired"),
    _counter("dropped", "Messages met with silence, by cause.", "dropped.*", "reason"),
    _counter(
        "cookies",
        "Offers over UDP that had to prove their address, by what came of it.",
        "gate.cookies-asked=asked gate.cookies-right=right gate.cookies-wrong=wrong",
        "outcome",
    ),
    _gauge("sources", "Parts of the net whose rates are remembered.", "gate.sources"),
    _gauge("message_connections", "TCP connections with general messages.", "tcp.messages"),
    _counter(
        "message_connections_closed",
        "Those that were closed by this side, by reason.",
        "tcp.messages-dropped=limit tcp.messages-foreign=foreign tcp.silent-dropped=silent",
        "reason",
    ),
    # -- links and dialogs
    LINKS,
    DIALOGS,
    OCTETS,
    _counter("links_ended", "Links that a responder saw end, by cause.", "links.*", "cause"),
    _counter(
        "links_turned_away",
        "Connections over a limit, by reason.",
        "links.refused=limit links.dropped=silent",
        "reason",
    ),
    _gauge("dialogs_detached", "Dialogs that wait for a link.", "dialogs.detached"),
    _counter("dialogs_not_resumed", "Dialogs that waited for a link in vain.", "dialogs.not-resumed"),
    _counter("forwards_refused", "Local connections over a limit.", "forwards.refused"),
    # -- durable messages
    _gauge(
        "message_dialogs", "Dialogs of messages, with those that have ended and are remembered.", "messages.dialogs"
    ),
    _gauge("messages_connections", "TCP connections of durable messages.", "messages.connections"),
    _counter(
        "messages_connection_events",
        "What became of these connections, and of calls to peers.",
        "messages.connections-made=made messages.connections-accepted=accepted messages.connections-refused=limit "
        "messages.connections-broken=broken messages.calls-failed=not-reached",
        "event",
    ),
    _counter(
        "messages_octets",
        "Octets that these connections have carried.",
        "messages.octets-in=in messages.octets-out=out",
        "direction",
    ),
    _counter("messages_held_back", "Times that nothing was read since the disk did not keep up.", "messages.held-back"),
    _gauge(
        "message_queue_octets",
        "Octets of messages that are not processed, by where they are.",
        "messages.outbox-octets=outbox messages.inbox-octets=inbox messages.spool-octets=spool",
        "state",
    ),
    _counter(
        "messages_events",
        "Messages of programs here: sent, given, given again, failed for good.",
        "messages.sent messages.given messages.given-again messages.failed",
        "event",
    ),
    _gauge("messages_dead", "Messages that were put aside.", "messages.dead"),
    _counter("messages_refused", "Envelopes that were refused, by cause.", "messages.refused.*", "reason"),
    _gauge("message_commits_waiting", "Units of messages that the disk has not taken yet.", "messages.commits-waiting"),
    _gauge("message_prekeys", "Prekeys that are not destroyed yet.", "messages.prekeys"),
    _gauge("relay_envelopes", "Envelopes that are kept for others.", "messages.relay-envelopes"),
    _gauge("relay_octets", "What is kept for others, as it counts against the bounds.", "messages.relay-octets"),
    _counter(
        "relay_events",
        "Envelopes that were kept for others, refused, given, collected, not collected in time, not readable.",
        "messages.relay-kept=kept messages.relay-refused=refused messages.relay-given=given "
        "messages.relay-collected=collected messages.relay-expired=expired messages.relay-lost=lost",
        "event",
    ),
    MESSAGE_COMMITS,
    # -- passages
    _gauge("passages", "Passages of traffic through agents that stand.", "passages.standing"),
    _counter(
        "passage_events",
        "What became of passages: dropped and unproved are callers that never proved who they are.",
        "passages.opened passages.closed passages.refused passages.failed passages.dropped passages.unproved",
        "event",
    ),
    # -- hops
    _gauge("hops", "Secure hops that stand, by who made them.", "hops.made=us hops.accepted=neighbour", "by"),
    _counter(
        "hop_events",
        "What became of hops and of what was to go over them.",
        "hops.opened hops.closed hops.failed hops.refused hops.unreachable hops.answers-lost",
        "event",
    ),
    _counter("strays", "Messages that no role takes or awaits.", "strays"),
    _counter(
        "trace_messages",
        "Questions for ways, by outcome.",
        "trace.passed-on trace.answered trace.unexpected",
        "outcome",
    ),
    # -- AAA relays
    _gauge("aaa_pending", "Registrations that await an answer.", "aaa.pending"),
    _counter(
        "aaa_registrations",
        "Registrations at an AAA relay, by outcome; unanswered ones are refused too.",
        "aaa.relayed aaa.answered aaa.refused aaa.unanswered aaa.repeated aaa.unexpected aaa.malformed",
        "outcome",
    ),
    _counter("aaa_failovers", "Times that another neighbour was asked.", "aaa.failovers"),
    # -- foreign agents
    _gauge("foreign_agent_visitors", "Registrations by way of the agent.", "foreign-agent.visitors"),
    _gauge(
        "foreign_agent_table",
        "Entries of tables of requests.",
        "foreign-agent.under-way foreign-agent.answers foreign-agent.gate.sources=sources",
        "table",
    ),
    _counter(
        "foreign_agent_advertisements",
        "Advertisements, by why they were sent.",
        "foreign-agent.advertisements=periodic foreign-agent.solicited=solicited",
        "reason",
    ),
    _counter("foreign_agent_requests", "Requests of nodes.", "foreign-agent.requests"),
    _counter("foreign_agent_requests_repeated", "Those among them that came again.", "foreign-agent.repeated"),
    _counter("foreign_agent_requests_relayed", "Requests said to a neighbour, each time.", "foreign-agent.relayed"),
    _counter(
        "foreign_agent_registrations",
        "What became of what was relayed.",
        "foreign-agent.registered foreign-agent.left foreign-agent.refused-at-home",
        "outcome",
    ),
    _counter("foreign_agent_turned_away", "Requests refused here, by code.", "foreign-agent.turned-away.*", "code"),
    _counter("foreign_agent_dropped", "Messages met with silence, by cause.", "foreign-agent.dropped.*", "reason"),
    _counter(
        "foreign_agent_cookies",
        "Requests that had to prove their address, by what came of it.",
        "foreign-agent.gate.cookies-asked=asked foreign-agent.gate.cookies-right=right "
        "foreign-agent.gate.cookies-wrong=wrong",
        "outcome",
    ),
    _counter(
        "foreign_agent_revocations",
        "Registrations that home agents have ended, and repetitions of that.",
        "foreign-agent.revoked=ended foreign-agent.revoked-again=repeated",
        "outcome",
    ),
    _gauge("foreign_agent_visitors_gone", "Visitors that have ended and may be asked about.", "foreign-agent.gone"),
    _counter("foreign_agent_unsent", "Answers to nodes that did not leave.", "foreign-agent.unsent"),
    _counter(
        "foreign_agent_answers_unexpected",
        "Answers of neighbours to nothing under way.",
        "foreign-agent.answers-unexpected",
    ),
    *_of_accounts("foreign-agent"),
    # -- home agents
    _gauge(
        "home_agent_nodes",
        "Nodes, by state; those that are registered are known too.",
        "home-agent.nodes=known home-agent.bound=registered",
        "state",
    ),
    _gauge(
        "home_agent_table",
        "Entries of tables of requests.",
        "home-agent.replies home-agent.under-way home-agent.rounds",
        "table",
    ),
    _counter(
        "home_agent_requests",
        "Requests that were authenticated, by outcome.",
        "home-agent.registered home-agent.deregistered home-agent.refused home-agent.repeated",
        "outcome",
    ),
    _counter("home_agent_dropped", "Requests that had no reply, by cause.", "home-agent.dropped.*", "reason"),
    _gauge(
        "home_agent_revocations",
        "Registrations that have ended and that agents may still have, those that are not confirmed, and those whose "
        "links may still move.",
        "home-agent.revocations=ended home-agent.revocations-pending=pending home-agent.leaving=leaving",
        "state",
    ),
    _counter(
        "home_agent_revocations_told",
        "Agents that were told of an end, by whether they have confirmed it.",
        "home-agent.revocations-told=confirmed home-agent.revocations-given-up=given-up",
        "outcome",
    ),
    _counter("home_agent_centers_failed", "Times that a center issued no keys.", "home-agent.centers-failed"),
    *_of_accounts("home-agent"),
    # -- key distribution centers
    _gauge("kdc_principals", "Nodes that the center knows.", "kdc.principals"),
    _gauge(
        "kdc_nodes",
        "Nodes by state: revoked, names of those that were deleted, not looked at since the start.",
        "kdc.revoked kdc.deleted kdc.unopened",
        "state",
    ),
    _gauge(
        "kdc_home_agents",
        "Home agents of these, those whose static keys are known, and neighbours that are told of changes.",
        "kdc.home-agents=known kdc.home-keys=with-keys kdc.neighbours=told",
        "state",
    ),
    _gauge("kdc_requests", "Requests for keys, by state.", "kdc.waiting kdc.remembered", "state"),
    _counter(
        "kdc_requests_answered",
        "Requests for keys, by outcome.",
        "kdc.issued kdc.repeated kdc.refused kdc.limited",
        "outcome",
    ),
    ISSUE,
    _counter("kdc_forgotten_early", "Requests forgotten before their time.", "kdc.forgotten-early"),
    _counter("kdc_nodes_asked", "Questions for nodes.", "kdc.nodes-asked"),
    _counter("kdc_malformed", "Messages of neighbours that make no sense.", "kdc.malformed"),
    # -- mobile nodes
    _gauge("mobile_node_agents", "Foreign agents that are heard.", "mobile-node.agents"),
    _gauge("mobile_node_commits_waiting", "What is about to be durable.", "mobile-node.commits-waiting"),
    _counter(
        "mobile_node_registrations",
        "Registrations and deregistrations, by outcome.",
        "mobile-node.begun mobile-node.registered mobile-node.failed",
        "outcome",
    ),
    _counter("mobile_node_moves", "Moves.", "mobile-node.moves"),
    REGISTRATION,
    PAUSE,
    _counter("mobile_node_answers_unexpected", "Replies to nothing under way.", "mobile-node.answers-unexpected"),
    _counter("mobile_node_dropped", "Messages met with silence, by cause.", "mobile-node.dropped.*", "reason"),
    OTHERS,
)

_EXACT: Final = {name: family for family in FAMILIES for name in family.sources if not name.endswith(ANY)}
_PREFIXES: Final = {name[:-1]: family for family in FAMILIES for name in family.sources if name.endswith(ANY)}


@lru_cache(1024)
def place_of(counter: str) -> tuple[Family, str]:
    """Return the family that a counter is part of, and the value of its label there."""
    family = _EXACT.get(counter)
    if family is not None:
        return family, family.sources[counter]
    for prefix, family in _PREFIXES.items():
        if counter.startswith(prefix):
            return family, counter[len(prefix) :]
    return OTHERS, counter
