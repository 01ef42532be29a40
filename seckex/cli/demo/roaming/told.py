"""What the daemons of a roaming network log, as a story: who says what, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from seckex.cli.demo.story import Story

#: Told in the words of the daemon.
_AS_LOGGED: Final = frozenset(
    (
        "HopOpened",
        "HopFailed",
        "StoreTrouble",
        "StoreUnwritable",
        "NodesTaken",
        "HomeKeysTaken",
        "PrincipalAllowed",
        "NodeDeregistered",
        "NodeEnded",
        "RequestUnheard",
        "Deregistered",
        "AgentRefused",
        "VisitorLeft",
        "VisitorRevoked",
        "NodeRevoked",
        "PrincipalRevoked",
        "RequestTurnedAway",
        "DialogBegun",
        "HeadersMissing",
        "MessagesUnreachable",
        "MessageDead",
        "HomeNetworkRefused",
        "RegistrationNotRelayed",
        "NextHopFailed",
        "KeysRefused",
    )
)


def tell(story: Story, role: str, event: Mapping[str, Any]) -> None:
    """Let a role say what it has logged, if that belongs to the story or is a failure."""

    def say(text: str, why: str = "") -> None:
        story.says(role, text, why)

    match event["event"]:
        case "AgentHeard":
            say(f"hears {event['agent']} of {event['domain']} at {event['address']}")
        case "RegistrationSent":
            what = "registers" if event["lifetime"] else "deregisters"
            form = "the fallback's form" if event["fallback"] else "a one-time SPI"
            say(f"{what}, round {event['round']}, with {form}:  {event['offer']}")
        case "CounterSent":
            say(f"counters, round {event['round']}:  {event['counter']}", "; ".join(event["reasons"]))
        case "CounterReceived":
            say("opens the answer, hears the counter-offer and holds it against its own policy")
        case "HomeAgentRefused":
            say("passes on a refusal, whose reason is sealed for the node")
        case "NodeRegistered":
            lifetime = f"for {event['lifetime']} s, {event['mode']}"
            say(f"has {event['peer']} registered at {event['care_of']}, {lifetime}")
        case "VisitorRegistered":
            chosen = ", ".join(event["transforms"].values())
            say(f"has a visitor, a node of {event['home_agent']} called {event['pseudonym'][:16]} here:  {chosen}")
        case "Registered":
            say(f"is registered for {event['lifetime']} s:  {', '.join(event['transforms'].values())}")
        case "MoveRegistered":
            say(f"is at {event['agent']} now, not at {event['left']}: {1000 * event['seconds']:.0f} ms to register")
        case "Moved":
            say(f"{event['dialogs']} dialog(s) have followed, after {event['octets']} octets")
        case "NegotiationRefused":
            say(f"{event['by']} refuses, {event['code']}", event["reason"])
        case "NegotiationFailed":
            say(event["message"])
        case kind if kind in _AS_LOGGED or event["level"] in ("error", "critical"):
            say(event["message"])
