"""Whose fault it is, and what a peer is told about it."""

from __future__ import annotations

from collections.abc import Iterator

from twisted.trial.unittest import SynchronousTestCase

from seckex.errors import (
    ApiMisuse,
    AuthenticationFailed,
    BadCertificate,
    Flaw,
    Malformed,
    PeerFault,
    PeerIncompatible,
    PeerMisbehaved,
    SeckexError,
    StoreFailed,
    Unfeasible,
    UnsupportedVersion,
    reply_code,
)
from seckex.wire.numbers import Code


def kinds(root: type[SeckexError] = SeckexError) -> Iterator[type[SeckexError]]:
    """Yield every kind of error that ``seckex.errors`` has."""
    for kind in root.__subclasses__():
        if kind.__module__ == "seckex.errors":
            yield kind
        yield from kinds(kind)


class ReplyTests(SynchronousTestCase):
    def test_what_a_peer_is_told(self) -> None:
        table: dict[type[SeckexError], tuple[SeckexError, Code | None]] = {
            Malformed: (Malformed("Length", 7, "too long"), Code.POORLY_FORMED),
            # Where nothing is known about the sender, nothing is said.
            UnsupportedVersion: (UnsupportedVersion(9), None),
            AuthenticationFailed: (AuthenticationFailed("the MAC does not verify"), None),
            PeerFault: (PeerFault(Code.PROHIBITED, "not you"), Code.PROHIBITED),
            PeerMisbehaved: (PeerMisbehaved(Code.BAD_KEY_SHARE, "zero"), Code.BAD_KEY_SHARE),
            PeerIncompatible: (PeerIncompatible(Code.UNKNOWN_PAYLOAD, "type 9"), Code.UNKNOWN_PAYLOAD),
            BadCertificate: (BadCertificate(Flaw.EXPIRED, "expired"), Code.BAD_CERTIFICATE),
            StoreFailed: (StoreFailed("the disk is full"), Code.INSUFFICIENT_RESOURCES),
            # What an operator asks for has nothing to do with a peer.
            Unfeasible: (Unfeasible("there is none"), Code.UNSPECIFIED),
            # Our own mistakes are nobody else's business.
            ApiMisuse: (ApiMisuse("called twice"), Code.UNSPECIFIED),
        }
        self.assertEqual(set(table), set(kinds()))
        for error, code in table.values():
            self.assertIs(reply_code(error), code)
        self.assertIs(reply_code(SeckexError("something")), Code.UNSPECIFIED)

    def test_every_code_is_passed_on(self) -> None:
        for code in Code:
            self.assertIs(reply_code(PeerMisbehaved(code, "why")), code)


class TextTests(SynchronousTestCase):
    def test_malformed_says_where(self) -> None:
        error = Malformed("Transform #", 23, "does not rise")
        self.assertEqual((error.field, error.offset, error.why), ("Transform #", 23, "does not rise"))
        self.assertEqual(str(error), "Transform # at octet 23: does not rise")

    def test_another_version_is_named(self) -> None:
        error = UnsupportedVersion(2, 0x1122)
        self.assertEqual((error.version, error.identification), (2, 0x1122))
        self.assertEqual(str(error), "protocol version 2 is not spoken here")
        self.assertEqual(UnsupportedVersion(0).identification, 0)

    def test_a_fault_of_a_peer_names_proposal_and_transform(self) -> None:
        error = PeerMisbehaved(Code.POORLY_FORMED, "out of sequence", 2, 3)
        self.assertEqual((error.code, error.why, error.proposal, error.transform), (134, "out of sequence", 2, 3))
        self.assertEqual(str(error), "out of sequence")
        general = PeerIncompatible(Code.NOTHING_ACCEPTABLE, "no")
        self.assertEqual((general.proposal, general.transform), (0, 0))

    def test_misbehaved_and_incompatible_are_not_the_same(self) -> None:
        self.assertFalse(issubclass(PeerMisbehaved, PeerIncompatible))
        self.assertFalse(issubclass(PeerIncompatible, PeerMisbehaved))
        self.assertFalse(issubclass(AuthenticationFailed, PeerFault))
