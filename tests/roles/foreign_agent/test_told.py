"""What the operator of a foreign agent reads: one sentence for each event, and texts of others made harmless."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from seckex.events import Event
from seckex.events.foreign_agent import (
    AgentBusy,
    AgentIdle,
    HomeAgentRefused,
    HomeNetworkRefused,
    NoReply,
    RelayFailed,
    ReplyUnbelievable,
    RequestTurnedAway,
    VisitorForgotten,
    VisitorLeft,
    VisitorRegistered,
)

HOME = "home@example.org"
SERVER = "aaa@visited.example"

SENTENCES: tuple[tuple[Event, str], ...] = (
    (
        VisitorRegistered(HOME, "00ff", 1800, "stateful", "x25519", {"encryption": "aes-256-gcm"}, False),
        "visitor 00ff of home@example.org is registered for 1800 s, stateful by x25519: encryption aes-256-gcm",
    ),
    (
        VisitorRegistered(HOME, "00ff", 60, "stateless", "x25519", {"prf": "prf-hmac-sha-256"}, True),
        "visitor 00ff of home@example.org registers again for 60 s, stateless by x25519: prf prf-hmac-sha-256",
    ),
    (
        VisitorLeft(HOME, "00ff", "it has deregistered"),
        "visitor 00ff of home@example.org has left: it has deregistered",
    ),
    (
        RequestTurnedAway("example.org", 104, "an old challenge", 3),
        "turned a request for example.org away with 104 unknown-challenge: an old challenge (3 more not shown)",
    ),
    (
        RequestTurnedAway("", 70, "no request", 0),
        "turned a request away with 70 agent-poorly-formed-request: no request",
    ),
    (
        RelayFailed(SERVER, HOME, 280, "refused", "aaa2@visited.example"),
        "aaa@visited.example does not take a request to home@example.org on, 280 next-hop-unreachable: refused; "
        "trying aaa2@visited.example",
    ),
    (
        RelayFailed(SERVER, HOME, 279, "no\nkey", ""),
        "aaa@visited.example does not take a request to home@example.org on, 279 no-secure-hop: no\\nkey; "
        "nobody else is left to try",
    ),
    (
        HomeNetworkRefused(HOME, SERVER, 272, "not on the list", 1),
        "aaa@visited.example refuses a request to home@example.org with 272 agent-not-allowed: not on the list "
        "(1 more not shown)",
    ),
    (HomeAgentRefused(HOME), "home@example.org refuses a node; why is for the node to know"),
    (
        ReplyUnbelievable(SERVER, HOME, "the signature does not verify"),
        "a reply of home@example.org that came by way of aaa@visited.example is not believed: the signature does not "
        "verify",
    ),
    (NoReply(HOME, SERVER, 12.0), "no reply of home@example.org within 12 s, asked by way of aaa@visited.example"),
    (VisitorForgotten("damaged"), "a visitor is forgotten, what was stored of it cannot be read: damaged"),
    (AgentBusy("9 visitors"), "advertising to be busy: 9 visitors"),
    (AgentIdle(), "no longer advertising to be busy"),
)


class SentenceTests(SynchronousTestCase):
    def test_as_people_read_them(self) -> None:
        for event, sentence in SENTENCES:
            self.assertEqual(str(event), sentence)

    def test_names_of_others_stay_on_their_line(self) -> None:
        self.assertNotIn("\n", str(HomeNetworkRefused("home@x\n.org", "by\r@x", 136, "why\x1b[2J")))
