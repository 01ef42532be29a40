"""The state diagrams of docs/architecture.md, drawn from the transition tables that the machines are held to.

``python -m tests.transitions_of_docs`` writes them into the document, between their marks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from seckex.delivery import phases
from seckex.dialog import handshake
from seckex.exchange import certified_initiator, certified_responder, initiator, responder, upkeep
from seckex.machine import Transitions
from seckex.passage import opening
from seckex.roles.foreign_agent import relaying
from seckex.roles.home_agent import serving
from seckex.roles.mobile_node import registering

FILE: Final = Path(__file__).parent.parent / "docs" / "architecture.md"

#: The state that each machine begins in, and its table.
MACHINES: Final[dict[str, tuple[type, Transitions]]] = {
    "initiator": (initiator.ExpectAnswer, initiator.TRANSITIONS),
    "responder": (responder.ExpectOffer, responder.TRANSITIONS),
    "initiator by certificates": (certified_initiator.ExpectAnswer, certified_initiator.TRANSITIONS),
    "responder by certificates": (certified_responder.ExpectOffer, certified_responder.TRANSITIONS),
    "who asks under an association": (upkeep.ExpectAnswer, upkeep.TRANSITIONS),
    "link of an initiator": (handshake.ExpectHelloOfResponder, handshake.TRANSITIONS),
    "link of a responder": (handshake.ExpectHelloOfInitiator, handshake.TRANSITIONS),
    "registration at a mobile node": (registering.ExpectIndex, registering.TRANSITIONS),
    "request at a foreign agent": (relaying.ExpectReply, relaying.TRANSITIONS),
    "request at a home agent": (serving.ExpectKeys, serving.TRANSITIONS),
    "hop of a caller": (opening.ExpectAccept, opening.TRANSITIONS),
    "hop of a callee": (opening.ExpectOpen, opening.TRANSITIONS),
    "three-phase exchange at its initiator": (phases.ExpectPhase2, phases.TRANSITIONS),
    "three-phase exchange at its target": (phases.ExpectPhase1, phases.TRANSITIONS),
}


def reachable(first: type, transitions: Transitions) -> list[type]:
    """Return the states that can come about, in the order of the table, those without a row last."""
    found, waiting = {first}, [first]
    while waiting:
        for states in transitions.get(waiting.pop(), {}).values():
            waiting += states - found
            found |= states
    return [state for state in transitions if state in found] + sorted(
        (state for state in found if state not in transitions), key=lambda state: state.__name__
    )


def diagram(first: type, transitions: Transitions) -> str:
    """Return one machine as a Mermaid diagram: an arrow for each pair of states, with the events that may cause it."""
    lines = ["stateDiagram-v2", f"    [*] --> {first.__name__}"]
    for state in reachable(first, transitions):
        arrows: dict[str, list[str]] = {}
        for event, following in transitions.get(state, {}).items():
            for name in sorted(each.__name__ for each in following):
                arrows.setdefault(name, []).append(event.__name__)
        lines += [f"    {state.__name__} --> {name} : {', '.join(events)}" for name, events in arrows.items()]
    return "\n".join(lines)


def block(name: str) -> str:
    """Return what stands in the document for one machine, its marks included."""
    return f"<!-- machine: {name} -->\n```mermaid\n{diagram(*MACHINES[name])}\n```\n<!-- end -->"


def written(text: str) -> str:
    """Return the document with all diagrams as they should be."""
    for name in MACHINES:
        before, mark, rest = text.partition(f"<!-- machine: {name} -->")
        _, end, after = rest.partition("<!-- end -->")
        if not (mark and end):
            raise LookupError(f"no place for the diagram of the {name}")
        text = before + block(name) + after
    return text


if __name__ == "__main__":
    FILE.write_text(written(FILE.read_text(encoding="utf-8")), encoding="utf-8")
