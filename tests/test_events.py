"""What an operator reads: one sentence for each event, and nothing secret in any."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import typing
from collections.abc import Mapping
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from seckex import events
from seckex.events import (
    AssociationConfirmed,
    AssociationEnded,
    AssociationEstablished,
    ClocksApart,
    CounterReceived,
    CounterSent,
    DialogClosed,
    DialogOpened,
    DialogRefused,
    Event,
    KeysExported,
    LinkClosed,
    MessageDropped,
    NegotiationFailed,
    NegotiationRefused,
    OfferSent,
    OperatorAsked,
    StoreTrouble,
    VersionsHeard,
    VersionUnsupported,
)

BOB = "bob@example.org"
ALICE = "alice@example.org"

SENTENCES: tuple[tuple[Event, str], ...] = (
    (
        OfferSent(BOB, "192.0.2.1:434", 1, 0x1000, "#1: aes-256-gcm"),
        "offering to bob@example.org at 192.0.2.1:434, round 1, our SPI 0x00001000: #1: aes-256-gcm",
    ),
    (
        CounterSent(ALICE, 2, "#1: x25519", ("proposal 1: no", "proposal 2: no")),
        "countering the offer of alice@example.org, round 2, with #1: x25519 (proposal 1: no; proposal 2: no)",
    ),
    (
        CounterSent(ALICE, 2, "#1: x25519", ()),
        "countering the offer of alice@example.org, round 2, with #1: x25519",
    ),
    (
        CounterReceived(BOB, 1, "#1: x25519", "group missing"),
        "bob@example.org counters in round 1 with #1: x25519: group missing",
    ),
    (
        AssociationEstablished(
            peer=BOB,
            role="initiator",
            spi_in=0x1000,
            spi_out=0x2000,
            transforms={"encryption": "aes-256-gcm", "prf": "prf-hmac-sha-256"},
            lifetime=3600,
            octet_bound=1 << 20,
            rounds=2,
            reasons=("proposal 1: no",),
        ),
        "association with bob@example.org as initiator after 2 round(s): encryption aes-256-gcm, prf prf-hmac-sha-256; "
        "SPI in 0x00001000, out 0x00002000; for 3600 s and 1048576 octets (proposal 1: no)",
    ),
    (
        AssociationEstablished(BOB, "responder", 1, 2, {"encryption": "aes-256-gcm"}, 60, 0, 1, ()),
        "association with bob@example.org as responder after 1 round(s): encryption aes-256-gcm; "
        "SPI in 0x00000001, out 0x00000002; for 60 s",
    ),
    (AssociationConfirmed(BOB, 0x1000), "association 0x00001000 with bob@example.org is confirmed by both"),
    (AssociationEnded(BOB, 0x1000, "expired"), "association 0x00001000 with bob@example.org has ended: expired"),
    (
        NegotiationRefused(BOB, BOB, 256, "nothing fits", ("proposal 1",), "#1: x25519"),
        "no association with bob@example.org: bob@example.org refuses with 256 nothing-acceptable: "
        "nothing fits (proposal 1); acceptable would be #1: x25519",
    ),
    (
        NegotiationRefused(BOB, ALICE, 999, "new", (), ""),
        "no association with bob@example.org: alice@example.org refuses with 999 code-999: new",
    ),
    (
        NegotiationFailed(BOB, "no answer", ("a firewall", "no daemon")),
        "no association with bob@example.org: no answer (a firewall; no daemon)",
    ),
    (
        ClocksApart(BOB, 7200),
        "the clock of bob@example.org is +7200 s from ours: correcting Identifications, not our clock",
    ),
    (ClocksApart(BOB, -5), "the clock of bob@example.org is -5 s from ours: correcting Identifications, not our clock"),
    (
        MessageDropped("192.0.2.1:434", "replay", "seen before", 0),
        "dropped a message from 192.0.2.1:434: replay: seen before",
    ),
    (
        MessageDropped("192.0.2.1:434", "replay", "seen before", 12),
        "dropped a message from 192.0.2.1:434: replay: seen before (12 more not shown)",
    ),
    (
        VersionUnsupported("192.0.2.1:434", 9, (1, 2)),
        "192.0.2.1:434 asks in protocol version 9; spoken here: 1, 2",
    ),
    (
        VersionsHeard(BOB, "192.0.2.1:434", (2, 3), (1,)),
        "bob@example.org at 192.0.2.1:434 says (not authenticated) that it speaks version 2, 3; here: 1",
    ),
    (
        StoreTrouble(BOB, "the disk is full"),
        "nothing was agreed with bob@example.org, the store cannot be written: the disk is full",
    ),
    (DialogOpened(BOB, "ssh", "0011"), "dialog 0011 with bob@example.org, service 'ssh', is open"),
    (
        DialogClosed(BOB, "ssh", "0011", 10, 20, "finished"),
        "dialog 0011 with bob@example.org, service 'ssh', is over (finished): 10 octets in, 20 out",
    ),
    (
        DialogRefused(BOB, "s\nh", BOB, 301, "none of ours"),
        "no dialog with bob@example.org for service 's\\nh': "
        "bob@example.org refuses with 301 unknown-service: none of ours",
    ),
    (
        DialogRefused(BOB, "ssh", ALICE, 999, ""),
        "no dialog with bob@example.org for service 'ssh': alice@example.org refuses with 999 code-999",
    ),
    (
        KeysExported(BOB, 0x1000, "ipsec\n", 32),
        "the operator was given 32 octets of keying material, label 'ipsec\\n', from association 0x00001000 with "
        "bob@example.org",
    ),
    (OperatorAsked("up", BOB), "the operator asks: up bob@example.org"),
    (OperatorAsked("reload", ""), "the operator asks: reload"),
    (LinkClosed(BOB, "idle"), "link with bob@example.org has ended: idle"),
    (LinkClosed("", "no HELLO"), "link with somebody unproved has ended: no HELLO"),
)

#: One value of each type that a field of an event may have; octets are not among them, and so no keys.
VALUES: Mapping[Any, Any] = {
    str: "word",
    int: 7,
    float: 1.5,
    bool: True,
    tuple[str, ...]: ("one", "two"),
    tuple[int, ...]: (1, 2),
    Mapping[str, str]: {"encryption": "aes-256-gcm"},
}


def kinds() -> list[type[Event]]:
    """Return every event there is."""
    modules = (
        events,
        *(importlib.import_module(f"seckex.events.{found.name}") for found in pkgutil.iter_modules(events.__path__)),
    )
    classes = dict.fromkeys(one for module in modules for one in vars(module).values() if inspect.isclass(one))
    return [one for one in classes if issubclass(one, Event) and one is not Event]


class SentenceTests(SynchronousTestCase):
    def test_as_people_read_them(self) -> None:
        for event, sentence in SENTENCES:
            self.assertEqual(str(event), sentence)

    def test_a_refusal_names_its_code(self) -> None:
        self.assertEqual(NegotiationRefused(BOB, BOB, 134, "", (), "").label, "poorly-formed")
        self.assertEqual(NegotiationRefused(BOB, BOB, 7, "", (), "").label, "code-7")


class EveryEventTests(SynchronousTestCase):
    def test_fields_are_words_and_numbers(self) -> None:
        self.assertGreaterEqual(len(kinds()), 17)
        for kind in kinds():
            for name, hint in typing.get_type_hints(kind).items():
                if name != "level":
                    self.assertIn(hint, VALUES, f"{kind.__name__}.{name}")

    def test_each_is_one_sentence_with_all_that_it_knows(self) -> None:
        for kind in kinds():
            hints = typing.get_type_hints(kind)
            event = kind(**{field.name: VALUES[hints[field.name]] for field in attrs.fields(kind)})
            text = str(event)
            self.assertNotIn("\n", text)
            self.assertFalse(text.startswith(f"{kind.__name__}("), f"{kind.__name__} has no sentence of its own")
            # For programs it is its fields, all by name.
            self.assertEqual(set(attrs.asdict(event)), {field.name for field in attrs.fields(kind)})

    def test_levels_are_those_of_the_log(self) -> None:
        self.assertEqual(Event.level, "info")
        for kind in kinds():
            self.assertIn(kind.level, ("debug", "info", "warn", "error"), kind.__name__)
        troubles = {kind.__name__ for kind in kinds() if kind.level in ("warn", "error")}
        self.assertLessEqual({"NegotiationRefused", "MessageDropped", "ClocksApart", "StoreTrouble"}, troubles)

    def test_none_can_be_altered(self) -> None:
        for event, _ in SENTENCES:
            self.assertRaises(attrs.exceptions.FrozenInstanceError, setattr, event, "peer", "somebody else")
