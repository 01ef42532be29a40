"""What an operator is told: one frozen class for each thing that can happen.

Conversations and the node report these; the edge writes them to the log, as a
sentence for people and as fields for programs. None holds a secret. ``level``
is the log's: debug, info, warn or error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from attrs import frozen

from seckex.wire.numbers import Code


def _listed(reasons: tuple[str, ...]) -> str:
    return "" if not reasons else " (" + "; ".join(map(shown, reasons)) + ")"


def shown(text: str) -> str:
    """Return a peer's text such that it stays on its line and moves no cursor."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def label_of(code: int) -> str:
    """Return the name of a code, also of one that is not known here."""
    try:
        return Code(code).label
    except ValueError:
        return f"code-{code}"


@frozen
class Event:
    """The root of all events."""

    level: ClassVar[str] = "info"


@frozen
class OfferSent(Event):
    """The initiator has made an offer."""

    peer: str
    address: str
    round: int
    spi: int
    offer: str

    def __str__(self) -> str:
        return f"offering to {self.peer} at {self.address}, round {self.round}, our SPI {self.spi:#010x}: {self.offer}"


@frozen
class CertificateRefused(Event):
    """Certificates do not prove that somebody is ``peer``; ``flaw`` is the kind of reason."""

    level: ClassVar[str] = "warn"

    peer: str
    address: str
    flaw: str
    why: str

    def __str__(self) -> str:
        return f"{self.address} does not prove to be {self.peer}: {shown(self.why)}"


@frozen
class CounterSent(Event):
    """The responder would not choose from the offer and said what it would take."""

    peer: str
    round: int
    counter: str
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return f"countering the offer of {self.peer}, round {self.round}, with {self.counter}{_listed(self.reasons)}"


@frozen
class CounterReceived(Event):
    """The initiator was told what the responder would take."""

    peer: str
    round: int
    counter: str
    why: str

    def __str__(self) -> str:
        return f"{self.peer} counters in round {self.round} with {self.counter}: {shown(self.why)}"


@frozen
class AssociationEstablished(Event):
    """Both sides have agreed and this side holds the keys; ``reasons`` tell what was passed over."""

    peer: str
    role: str
    spi_in: int
    spi_out: int
    transforms: Mapping[str, str]
    lifetime: int
    octet_bound: int
    rounds: int
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        chosen = ", ".join(f"{protocol} {name}" for protocol, name in self.transforms.items())
        bound = f" and {self.octet_bound} octets" if self.octet_bound else ""
        return (
            f"association with {self.peer} as {self.role} after {self.rounds} round(s): {chosen}; SPI in "
            f"{self.spi_in:#010x}, out {self.spi_out:#010x}; for {self.lifetime} s{bound}{_listed(self.reasons)}"
        )


@frozen
class AssociationConfirmed(Event):
    """The peer has proved that it holds the keys."""

    peer: str
    spi_in: int

    def __str__(self) -> str:
        return f"association {self.spi_in:#010x} with {self.peer} is confirmed by both"


@frozen
class AssociationEnded(Event):
    """An association is gone: expired, replaced or never confirmed."""

    peer: str
    spi_in: int
    why: str

    def __str__(self) -> str:
        return f"association {self.spi_in:#010x} with {self.peer} has ended: {self.why}"


@frozen
class NegotiationRefused(Event):
    """No agreement; ``by`` is the NAI that refused, ``acceptable`` what it would have taken."""

    level: ClassVar[str] = "warn"
    peer: str
    by: str
    code: int
    reason: str
    detail: tuple[str, ...]
    acceptable: str

    @property
    def label(self) -> str:
        """The code's name."""
        return label_of(self.code)

    def __str__(self) -> str:
        would = f"; acceptable would be {self.acceptable}" if self.acceptable else ""
        return (
            f"no association with {self.peer}: {self.by} refuses with {self.code} {self.label}: "
            f"{shown(self.reason)}{_listed(self.detail)}{would}"
        )


@frozen
class NegotiationFailed(Event):
    """An exchange ended without an answer that could be believed; ``causes`` are what to look at."""

    level: ClassVar[str] = "warn"
    peer: str
    why: str
    causes: tuple[str, ...]

    def __str__(self) -> str:
        return f"no association with {self.peer}: {self.why}{_listed(self.causes)}"


@frozen
class PeerUnreachable(Event):
    """A request to the peer could not be sent; it is tried again."""

    level: ClassVar[str] = "warn"
    peer: str
    address: str
    why: str

    def __str__(self) -> str:
        return f"{self.peer} at {self.address} cannot be reached: {self.why}"


@frozen
class ClocksApart(Event):
    """The responder's clock and ours differ by more than its window; Identifications are corrected."""

    level: ClassVar[str] = "warn"
    peer: str
    seconds: int

    def __str__(self) -> str:
        return f"the clock of {self.peer} is {self.seconds:+d} s from ours: correcting Identifications, not our clock"


@frozen
class MessageDropped(Event):
    """A message that cannot be believed was met with silence; ``suppressed`` were not reported before it."""

    level: ClassVar[str] = "warn"
    address: str
    cause: str
    why: str
    suppressed: int

    def __str__(self) -> str:
        more = f" ({self.suppressed} more not shown)" if self.suppressed else ""
        return f"dropped a message from {self.address}: {self.cause}: {self.why}{more}"


@frozen
class LoadBegan(Event):
    """Requests over UDP have to prove their address with a cookie from now on."""

    level: ClassVar[str] = "warn"
    why: str

    def __str__(self) -> str:
        return f"under load, asking for cookies: {self.why}"


@frozen
class LoadEnded(Event):
    """Requests need no cookies any more; ``asked`` were answered with one meanwhile."""

    asked: int

    def __str__(self) -> str:
        return f"no longer under load: {self.asked} request(s) were asked for a cookie"


@frozen
class VersionUnsupported(Event):
    """A request of another version of the protocol came; it was told which are spoken."""

    level: ClassVar[str] = "warn"
    address: str
    version: int
    spoken: tuple[int, ...]

    def __str__(self) -> str:
        ours = ", ".join(map(str, self.spoken))
        return f"{self.address} asks in protocol version {self.version}; spoken here: {ours}"


@frozen
class VersionsHeard(Event):
    """The peer's program says, unauthenticated, that it speaks other versions than ours."""

    level: ClassVar[str] = "warn"
    peer: str
    address: str
    versions: tuple[int, ...]
    spoken: tuple[int, ...]

    def __str__(self) -> str:
        theirs, ours = (", ".join(map(str, versions)) for versions in (self.versions, self.spoken))
        return f"{self.peer} at {self.address} says (not authenticated) that it speaks version {theirs}; here: {ours}"


@frozen
class StoreTrouble(Event):
    """Something could not be made durable, so it did not happen."""

    level: ClassVar[str] = "error"
    peer: str
    why: str

    def __str__(self) -> str:
        return f"nothing was agreed with {self.peer}, the store cannot be written: {self.why}"


@frozen
class StoreUnwritable(Event):
    """What is no longer needed could not be removed from the store; the next try comes by itself."""

    level: ClassVar[str] = "error"
    why: str

    def __str__(self) -> str:
        return f"the store cannot be written, and nothing can be agreed meanwhile: {self.why}"


@frozen
class DialogOpened(Event):
    """A dialog carries data from now on."""

    level: ClassVar[str] = "debug"
    peer: str
    service: str
    dialog: str

    def __str__(self) -> str:
        return f"dialog {self.dialog} with {self.peer}, service {self.service!r}, is open"


@frozen
class DialogClosed(Event):
    """A dialog that carried data is over."""

    peer: str
    service: str
    dialog: str
    octets_in: int
    octets_out: int
    how: str

    def __str__(self) -> str:
        return (
            f"dialog {self.dialog} with {self.peer}, service {self.service!r}, is over ({self.how}): "
            f"{self.octets_in} octets in, {self.octets_out} out"
        )


@frozen
class DialogRefused(Event):
    """A connection was not carried; ``by`` is the NAI that refused."""

    level: ClassVar[str] = "warn"
    peer: str
    service: str
    by: str
    code: int
    reason: str

    @property
    def label(self) -> str:
        """The code's name."""
        return label_of(self.code)

    def __str__(self) -> str:
        reason = f": {shown(self.reason)}" if self.reason else ""
        where = f"no dialog with {self.peer} for service {self.service!r}"
        return f"{where}: {self.by} refuses with {self.code} {self.label}{reason}"


@frozen
class LinkClosed(Event):
    """A link has ended; its dialogs, if it had any, wait for another one."""

    peer: str
    how: str

    def __str__(self) -> str:
        return f"link with {self.peer or 'somebody unproved'} has ended: {self.how}"


@frozen
class ConfigurationReloaded(Event):
    """The configuration was read again; ``changed`` are the settings that did, ``restart`` those that cannot yet."""

    changed: tuple[str, ...]
    restart: tuple[str, ...]

    def __str__(self) -> str:
        changed = ", ".join(self.changed) or "nothing has changed"
        later = f"; only a restart changes {', '.join(self.restart)}" if self.restart else ""
        return f"the configuration was read again: {changed}{later}"


@frozen
class ConfigurationKept(Event):
    """The configuration was read again and is wrong; the one of before stays, whole."""

    level: ClassVar[str] = "error"
    problems: tuple[str, ...]

    def __str__(self) -> str:
        return f"the configuration stays as it was, for the one in the file is wrong{_listed(self.problems)}"


@frozen
class KeysExported(Event):
    """An operator was given keying material of an association; the material itself is nobody else's business."""

    peer: str
    spi_in: int
    label: str
    length: int

    def __str__(self) -> str:
        what = f"{self.length} octets of keying material, label {self.label!r}"
        return f"the operator was given {what}, from association {self.spi_in:#010x} with {self.peer}"


@frozen
class OperatorAsked(Event):
    """An operator has asked for something that changes what the daemon does."""

    command: str
    peer: str

    def __str__(self) -> str:
        return f"the operator asks: {self.command}{f' {self.peer}' if self.peer else ''}"
