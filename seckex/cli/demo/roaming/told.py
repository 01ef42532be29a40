"""Which of the events that the daemons of a roaming network log belong to the story."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from seckex.cli.demo.roaming.world import AAA_F, AAA_H, AGENT, CENTER, HOME, NODE
from seckex.cli.demo.story import Story

_EVERYBODY: Final = ("HopOpened", "HopFailed", "StoreTrouble", "StoreUnwritable")
_TOLD: Final[Mapping[str, Collection[str]]] = {
    NODE: (
        "ProvisionTaken",
        "AgentHeard",
        "RegistrationSent",
        "CounterReceived",
        "Registered",
        "Deregistered",
        "NegotiationRefused",
        "NegotiationFailed",
        "AgentRefused",
    ),
    AGENT: ("VisitorRegistered", "VisitorLeft", "HomeAgentRefused", "HomeNetworkRefused", "RequestTurnedAway"),
    AAA_F: ("RegistrationNotRelayed", "NextHopFailed"),
    AAA_H: ("RegistrationNotRelayed", "NextHopFailed"),
    HOME: ("NodesTaken", "NodeRegistered", "NegotiationRefused", "NodeDeregistered", "NodeEnded", "RequestUnheard"),
    CENTER: ("PrincipalAllowed", "PrincipalProvisioned", "HomeKeysTaken", "KeysRefused"),
}


def tell(story: Story, role: str, event: Mapping[str, Any]) -> None:
    """Let a role say what it has logged, in its own words, if it belongs to the story or is a failure."""
    if event["event"] in (*_EVERYBODY, *_TOLD.get(role, ())) or event["level"] in ("error", "critical"):
        story.says(role, event["message"])
