"""What is remembered of failures, and for how many peers."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from seckex.events import (
    AssociationEstablished,
    ClocksApart,
    CounterReceived,
    CounterSent,
    NegotiationFailed,
    NegotiationRefused,
    OfferSent,
    PeerUnreachable,
    StoreTrouble,
    VersionsHeard,
)
from seckex.net.history import MOST_PEERS, MOST_PER_PEER, History

NODE, HOME = "node@example.net", "home@example.org"


class HistoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.history = History(NODE)

    def test_an_initiator_that_refuses_the_counter_offer_knows_what_both_would_take(self) -> None:
        self.history.heard(1.0, OfferSent(HOME, "192.0.2.1:4434", 1, 0x1000, "#1: aes-128-gcm"))
        self.history.heard(2.0, CounterReceived(HOME, 1, "#1: aes-256-gcm", "no"))
        reason = "the counter-offer is not within our own policy"
        self.history.heard(3.0, NegotiationRefused(HOME, NODE, 256, reason, ("proposal 1: no",), "#1: aes-128-gcm"))
        (failure,) = self.history.failures(HOME)
        self.assertEqual((failure["at"], failure["how"], failure["by"], failure["code"]), (3.0, "refused", NODE, 256))
        self.assertEqual((failure["label"], failure["reason"]), ("nothing-acceptable", reason))
        self.assertEqual(failure["detail"], ["proposal 1: no"])
        self.assertEqual(
            failure["acceptable"],
            [{"side": NODE, "offers": "#1: aes-128-gcm"}, {"side": HOME, "offers": "#1: aes-256-gcm"}],
        )

    def test_a_responder_that_is_told_of_a_refusal_knows_so_too(self) -> None:
        self.history.heard(1.0, CounterSent(HOME, 1, "#1: aes-256-gcm", ("proposal 1: no",)))
        self.history.heard(2.0, NegotiationRefused(HOME, HOME, 256, "no", (), "#1: aes-128-gcm"))
        (failure,) = self.history.failures(HOME)
        self.assertEqual(
            failure["acceptable"],
            [{"side": NODE, "offers": "#1: aes-256-gcm"}, {"side": HOME, "offers": "#1: aes-128-gcm"}],
        )

    def test_silence_has_likely_causes_and_hints(self) -> None:
        self.history.heard(1.0, OfferSent(HOME, "192.0.2.1:4434", 1, 0x1000, "#1: x"))
        self.history.heard(2.0, VersionsHeard(HOME, "192.0.2.1:4434", (2,), (1,)))
        for _ in range(3):
            self.history.heard(2.5, PeerUnreachable(HOME, "192.0.2.1:4434", "Network is unreachable"))
        self.history.heard(3.0, NegotiationFailed(HOME, "no answer", ("a firewall",)))
        (failure,) = self.history.failures(HOME)
        self.assertEqual((failure["how"], failure["causes"]), ("no-answer", ["a firewall"]))
        versions, unreachable = failure["hints"]
        self.assertIn("speaks version 2", versions)
        self.assertIn("Network is unreachable", unreachable)

    def test_what_one_negotiation_left_is_not_laid_at_the_next_ones_door(self) -> None:
        self.history.heard(1.0, CounterReceived(HOME, 1, "#1: x", ""))
        self.history.heard(2.0, AssociationEstablished(HOME, "initiator", 1, 2, {"encryption": "x"}, 60, 0, 2, ()))
        self.history.heard(3.0, StoreTrouble(HOME, "the disk is full"))
        (failure,) = self.history.failures(HOME)
        self.assertEqual((failure["how"], failure["code"], failure["acceptable"]), ("not-stored", 130, []))

    def test_the_clock(self) -> None:
        self.assertIsNone(self.history.clock(HOME))
        self.history.heard(5.0, ClocksApart(HOME, 7200))
        self.assertEqual(self.history.clock(HOME), {"at": 5.0, "seconds": 7200})

    def test_the_last_sixteen_of_a_peer_the_youngest_first(self) -> None:
        for number in range(MOST_PER_PEER + 3):
            self.history.heard(float(number), NegotiationFailed(HOME, f"try {number}", ()))
        told = [failure["reason"] for failure in self.history.failures(HOME)]
        self.assertEqual(told, [f"try {number}" for number in range(MOST_PER_PEER + 2, 2, -1)])

    def test_the_peer_that_was_heard_of_longest_ago_gives_way(self) -> None:
        for number in range(MOST_PEERS):
            self.history.heard(0.0, NegotiationFailed(f"{number}@x", "no", ()))
        self.history.heard(1.0, NegotiationFailed("0@x", "again", ()))
        self.history.heard(2.0, NegotiationFailed("new@x", "no", ()))
        self.assertEqual([len(self.history.failures(f"{name}@x")) for name in (0, 1, 2, "new")], [2, 0, 1, 1])
        self.assertEqual(self.history.failures("stranger@x"), [])
