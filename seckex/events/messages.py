"""What is told of dialogs of messages; none of these has anything of what is in a message."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from seckex.events import Event, label_of, shown


@frozen
class DialogBegun(Event):
    """A dialog has begun, here or at the peer."""

    peer: str
    service: str
    dialog: str
    here: bool

    def __str__(self) -> str:
        who = f"with {self.peer}" if self.here else f"by {self.peer or 'somebody anonymous'}"
        return f"dialog {self.dialog} {who} for service {self.service!r} has begun"


@frozen
class DialogEnded(Event):
    """A dialog has ended; with code 0 both have said all that they had to say."""

    peer: str
    service: str
    dialog: str
    code: int
    why: str

    def __str__(self) -> str:
        how = f"with {self.code} {label_of(self.code)}: {shown(self.why)}" if self.code else "cleanly"
        who = self.peer or "somebody anonymous"
        return f"dialog {self.dialog} with {who} for service {self.service!r} has ended {how}"


@frozen
class EnvelopeRefused(Event):
    """An envelope was refused; ``peer`` is who it says that it is of, if that could be read."""

    level: ClassVar[str] = "warn"

    peer: str
    dialog: str
    field: str
    code: int
    why: str

    def __str__(self) -> str:
        of = f" by {shown(self.peer)}" if self.peer else ""
        about = f" of dialog {self.dialog}" if self.dialog else ""
        return (
            f"an envelope{of}{about} is refused with {self.code} {label_of(self.code)}, {self.field}: {shown(self.why)}"
        )


@frozen
class MessagesRefused(Event):
    """The peer refuses a dialog of ours, and has proved that it is the peer."""

    level: ClassVar[str] = "warn"

    peer: str
    service: str
    dialog: str
    code: int

    def __str__(self) -> str:
        code = f"{self.code} {label_of(self.code)}"
        return f"{self.peer} refuses dialog {self.dialog} for service {self.service!r} with {code}"


@frozen
class HeadersMissing(Event):
    """One end does not hold the keys of a dialog: all headers go again. ``here``: which end; ``why`` is of ours."""

    peer: str
    dialog: str
    here: bool
    why: str

    def __str__(self) -> str:
        who = "this end does" if self.here else f"{self.peer} does"
        why = f" ({shown(self.why)})" if self.why else ""
        return f"{who} not hold the keys of dialog {self.dialog}{why}: all headers go again"


@frozen
class MessageDead(Event):
    """A message was put aside."""

    level: ClassVar[str] = "error"

    name: str
    peer: str
    service: str
    code: int
    why: str
    attempts: int

    def __str__(self) -> str:
        return (
            f"message {self.name} of {self.peer or 'somebody anonymous'} for service {self.service!r} is put aside "
            f"after {self.attempts} attempts with {self.code} {label_of(self.code)}: {shown(self.why)}"
        )


@frozen
class GapAfterRestore(Event):
    """Messages ``first`` to ``last`` were delivered to a store that a backup has taken the place of."""

    level: ClassVar[str] = "error"

    peer: str
    dialog: str
    first: int
    last: int

    def __str__(self) -> str:
        return (
            f"{self.peer} was restored from a backup: messages {self.first} to {self.last} of dialog {self.dialog} "
            "had been delivered to it and are not known there any more"
        )


@frozen
class MessagesNotStored(Event):
    """Nothing more can be made durable; what waits is tried again."""

    level: ClassVar[str] = "error"

    why: str

    def __str__(self) -> str:
        return f"messages cannot be made durable, and are refused until they can: {self.why}"


@frozen
class MessagesUnreachable(Event):
    """A peer to whom there is something to say is not reached."""

    level: ClassVar[str] = "warn"

    peer: str
    why: str

    def __str__(self) -> str:
        return f"{self.peer} is not reached for messages: {self.why}"


@frozen
class MessagesBroken(Event):
    """Somebody has said over a connection what no peer of ours says; it was closed."""

    level: ClassVar[str] = "warn"

    address: str
    why: str

    def __str__(self) -> str:
        return f"the connection of messages with {self.address} was closed: {shown(self.why)}"


@frozen
class RelayRefused(Event):
    """Somebody wanted to deposit or collect here, and may not; ``peer`` is his name, empty if he has proved none."""

    level: ClassVar[str] = "warn"

    peer: str
    why: str

    def __str__(self) -> str:
        return f"{self.peer or 'a stranger'} may neither deposit nor collect here: {shown(self.why)}"


@frozen
class EnvelopesExpired(Event):
    """Nobody has collected what was kept here for ``peer``, in all the time that it is kept."""

    level: ClassVar[str] = "warn"

    peer: str
    count: int

    def __str__(self) -> str:
        return f"{self.count} envelopes that were kept for {self.peer} are dropped: nobody has collected them"
