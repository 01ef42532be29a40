"""What an agent and a home agent say of the same passages, side by side: docs/passages.md, section 8.

Of a direction one end is the sender: of what goes outward the agent, of what comes inward the home agent. What
is reconciled is what the sender's account says it has proved and the receiver's that proofs
verified for, whichever is less; of that, what the sender has receipts for is ``receipted``, for which each end can show
something that only the other can have made. An end that has acknowledged more than its account
says it ever had contradicts itself, and is told of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from attrs import field, frozen

from seckex.cli.accounting.written import DIRECTIONS
from seckex.cli.output import Fault

EQUAL: Final = "equal"
DIFFERS: Final = "differs"
OPEN: Final = "open"
AGENT_ONLY: Final = "agent-only"
HOME_ONLY: Final = "home-only"
VERDICTS: Final = (EQUAL, DIFFERS, OPEN, AGENT_ONLY, HOME_ONLY)
#: Those that leave something to be found out.
AMISS: Final = (DIFFERS, AGENT_ONLY, HOME_ONLY)

#: What is told of a direction.
SUMS: Final = ("agent", "home", "reconciled", "receipted")

_SENDERS: Final = {"outward": ("agent", "home"), "inward": ("home", "agent")}

Row = dict[str, Any]


@frozen
class Ends:
    """The accounts of both ends of what may be the same passages: of one ``agent`` with one ``home`` agent."""

    agent: str
    home: str
    at_agent: dict[str, Row] = field(repr=False)
    at_home: dict[str, Row] = field(repr=False)

    @classmethod
    def of(cls, agents: Iterable[Row], homes: Iterable[Row]) -> Ends:
        """Take two exports, and leave out what is with somebody else; raises `Fault` where they are not of one each."""
        at_agent = [row for row in agents if row["role"] == "foreign-agent"]
        at_home = [row for row in homes if row["role"] == "home-agent"]
        agent, home = _keeper(at_agent, "a foreign agent"), _keeper(at_home, "a home agent")
        realm = home.partition("@")[2]
        return cls(
            agent,
            home,
            _by_id(row for row in at_agent if row["domain"] == realm),
            _by_id(row for row in at_home if row["agent"] == agent),
        )

    def reconciled(self) -> Iterator[Row]:
        """Yield what comes of each passage, in the order in which they began."""
        idents = self.at_agent.keys() | self.at_home.keys()
        for ident in sorted(idents, key=lambda each: (_began(self.at_agent.get(each), self.at_home.get(each)), each)):
            yield reconcile(self.at_agent.get(ident), self.at_home.get(ident))


def reconcile(at_agent: Row | None, at_home: Row | None) -> Row:
    """Return what comes of one passage, of which one end at least has an account."""
    known = at_home or at_agent or {}
    ways = {way: _direction(way, at_agent, at_home) for way in DIRECTIONS}
    lacks: list[str] = []
    if at_agent is None:
        verdict = HOME_ONLY
    elif at_home is None:
        verdict = AGENT_ONLY
    else:
        open_ends = [end for end, row in (("agent", at_agent), ("home", at_home)) if row["ended"] is None]
        contradictions = [text for way in DIRECTIONS for text in _contradictions(way, at_agent, at_home)]
        apart = [text for way in DIRECTIONS for text in _apart(way, ways[way])]
        lacks = [*(f"still open at the {_named(end)}" for end in open_ends), *apart, *contradictions]
        verdict = DIFFERS if contradictions or (apart and not open_ends) else OPEN if open_ends else EQUAL
    lacks += [
        f"the account of the {_named(end)} was cut short"
        for end, row in (("agent", at_agent), ("home", at_home))
        if row is not None and not row["whole"]
    ]
    return {
        "id": known["id"],
        "verdict": verdict,
        "node": "" if at_home is None else at_home["node"],
        "pseudonym": known["pseudonym"],
        "began": _began(at_agent, at_home),
        **ways,
        "lacks": lacks,
    }


def summary(ends: Ends, rows: Iterable[Row]) -> Row:
    """Return how many passages there are of each verdict, and the sums of each direction."""
    counts = dict.fromkeys(VERDICTS, 0)
    sums = {way: dict.fromkeys(SUMS, 0) for way in DIRECTIONS}
    for row in rows:
        counts[row["verdict"]] += 1
        for way in DIRECTIONS:
            for name in SUMS:
                sums[way][name] += row[way][name]
    return {"agent": ends.agent, "home": ends.home, "passages": counts, **sums}


def _direction(way: str, at_agent: Row | None, at_home: Row | None) -> dict[str, int]:
    agent, home = (0 if row is None else row[way]["proved"] for row in (at_agent, at_home))
    reconciled = min(agent, home)
    sender = at_agent if _SENDERS[way][0] == "agent" else at_home
    receipts = 0 if sender is None else sender[way]["acknowledged"]
    return {"agent": agent, "home": home, "reconciled": reconciled, "receipted": min(reconciled, receipts)}


def _apart(way: str, told: dict[str, int]) -> Iterator[str]:
    sender, receiver = _SENDERS[way]
    more = told[sender] - told[receiver]
    if more > 0:
        yield f"{way}: the {_named(receiver)} has no proofs of {more} octets that the {_named(sender)} says it proved"
    elif more < 0:
        yield f"{way}: the account of the {_named(sender)} lacks {-more} octets that it has proved"


def _contradictions(way: str, at_agent: Row, at_home: Row) -> Iterator[str]:
    ends = {"agent": at_agent, "home": at_home}
    sender, receiver = _SENDERS[way]
    more = ends[sender][way]["acknowledged"] - ends[receiver][way]["carried"]
    # Of one that is open the figures are of different moments.
    if more > 0 and ends[receiver]["ended"] is not None and ends[receiver]["whole"]:
        yield f"{way}: the {_named(receiver)} has acknowledged {more} octets more than its account has"


def _named(end: str) -> str:
    return "home agent" if end == "home" else end


def _began(*rows: Row | None) -> float:
    return min(float(row["began"]) for row in rows if row is not None)


def _keeper(rows: list[Row], who: str) -> str:
    names = {str(row["local"]) for row in rows}
    if not names:
        raise Fault(f"there are no accounts of {who}: give the agent's export first, and the home agent's second")
    if len(names) > 1:
        raise Fault(f"there are accounts of more than one, where {who} is wanted: {', '.join(sorted(names))}")
    return names.pop()


def _by_id(rows: Iterable[Row]) -> dict[str, Row]:
    """Return the rows by their ids; of two, where exports were put together, the one that knows more."""
    found: dict[str, Row] = {}
    for row in rows:
        other = found.get(row["id"])
        if other is None or (row["ended"] is not None, row["as_of"]) >= (other["ended"] is not None, other["as_of"]):
            found[row["id"]] = row
    return found
