"""What programs call: dialogs to send by, services to receive for (docs/programs.md).

One `Messages` for each daemon, ``daemon.messages``. All is called from the reactor's thread. A message is accepted
when it is durable here, delivered when it is durable at its peer, processed when the program there has said so.

Limits: what is sent while the outbox is full fails with code 130, and `Dialog.ready` tells when there is room again.
Of messages that have failed, the last `MOST_FAILED` of a dialog are remembered for who asks late.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, Protocol, TypeAlias

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, succeed

from seckex.delivery.faces import (
    FRAGMENT,
    PRIORITY,
    Direction,
    Outgoing,
    Payload,
    Spooled,
    Stage,
    Verdict,
)
from seckex.errors import SeckexError
from seckex.events import label_of

MOST_FAILED: Final = 1024


class MessageFailed(SeckexError):
    """A message, or a dialog, that is not to be had; ``code`` is one of docs/operations.md."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(f"{code} {label_of(code)}: {why}")
        self.code = code
        self.why = why


@frozen
class Decision:
    """A verdict with a reason, which the sender is told of a dead letter; ``after``: seconds until a retry."""

    verdict: Verdict
    why: str = ""
    after: float | None = None


Said: TypeAlias = Verdict | Decision
#: Takes a message. One that raises, or returns anything else, is given the message again.
Handler: TypeAlias = "Callable[[Message], Said | Deferred[Said] | Coroutine[Deferred[Any], Any, Said]]"


class Office(Protocol):
    """What dialogs and messages ask of whoever made them; see `seckex.net.delivery.office`."""

    def send(self, dialog: Dialog, messages: Sequence[Outgoing], key: str) -> list[Sent]:
        """Send messages that become durable together."""
        ...

    def ready(self, dialog: Dialog) -> Deferred[None]:
        """Fire when there may be room for more."""
        ...

    def end(self, dialog_id: bytes, code: int, why: str) -> None:
        """End a dialog."""
        ...

    def when(self, sent: Sent, stage: Stage) -> Deferred[None]:
        """Fire when a message has reached a stage."""
        ...

    def piece(self, payload: Spooled, index: int) -> Deferred[bytes]:
        """Read a piece of a payload."""
        ...

    def kept(self, dialog_id: bytes, number: int) -> Deferred[bool]:
        """See `Message.kept`."""
        ...

    def expiry(self, ttl: float | None) -> float:
        """Return when what is sent now expires, 0 for never."""
        ...


@frozen(eq=False)
class Dialog:
    """A dialog, at whichever end; ``peer`` is empty at the target of an anonymous one."""

    id: bytes
    peer: str
    service: str
    direction: Direction
    _office: Office = field(repr=False)

    def send(self, payload: Payload, *, type: str = "", ttl: float | None = None, key: str = "") -> Sent:  # noqa: A002  # what it is called in messages
        """Send a message; it never raises for what the message or the outbox is, but `Sent.accepted` fails.

        ``ttl`` is in seconds. Who sends with the ``key`` of an earlier message has that one in place of another, for a
        day.
        """
        return self.send_all([payload], type=type, ttl=ttl, key=key)[0]

    def send_all(
        self,
        payloads: Sequence[Payload],
        *,
        type: str = "",  # noqa: A002  # as above
        ttl: float | None = None,
        key: str = "",
    ) -> list[Sent]:
        """Send messages that follow each other and become durable together, which costs less than one by one."""
        expires = self._office.expiry(ttl)
        return self._office.send(self, [Outgoing(payload, type, expires) for payload in payloads], key)

    def ready(self) -> Deferred[None]:
        """Fire when the outbox may have room, at once unless it was full when something was last sent."""
        return self._office.ready(self)

    def end(self, code: int = 0, why: str = "") -> None:
        """Send no more; with a ``code`` the dialog ends as an error. Raises `MessageFailed` where it cannot."""
        self._office.end(self.id, code, why)


class Sent:
    """A message that was sent; its Deferreds are made when they are asked for and fail with `MessageFailed`.

    ``number`` is 0 and ``name`` empty where it was not taken, for the reason ``refusal``.
    """

    __slots__ = ("_made", "_office", "dialog", "name", "number", "refusal")

    def __init__(
        self, office: Office, dialog: Dialog, number: int, name: str, refusal: MessageFailed | None = None
    ) -> None:
        self._office = office
        self._made: dict[Stage, Deferred[None]] | None = None
        self.dialog = dialog
        self.number = number
        self.name = name
        self.refusal = refusal

    def __repr__(self) -> str:
        return f"<Sent {self.name or 'nothing'}>"

    def _when(self, stage: Stage) -> Deferred[None]:
        made = self._made
        if made is None:
            made = self._made = {}
        if stage not in made:
            made[stage] = self._office.when(self, stage)
        return made[stage]

    @property
    def accepted(self) -> Deferred[None]:
        """Fires when it is durable here."""
        return self._when(Stage.ACCEPTED)

    @property
    def delivered(self) -> Deferred[None]:
        """Fires when it is durable at the peer."""
        return self._when(Stage.DELIVERED)

    @property
    def processed(self) -> Deferred[None]:
        """Fires when the peer's program is done with it."""
        return self._when(Stage.PROCESSED)


@define(eq=False)
class Message:
    """A message for a program here; ``dialog`` answers, ``attempt`` counts from 1, ``expires`` in seconds, 0 for never.

    ``peer`` is empty where its sender is not told. ``payload`` is `Spooled` where it is longer than 1 MiB: it is read
    piece by piece, from the disk.
    """

    name: str
    dialog: Dialog = field(repr=False)
    peer: str
    service: str
    type: str
    expires: float
    attempt: int
    payload: Payload = field(repr=False)
    _office: Office = field(repr=False)

    @property
    def size(self) -> int:
        """The octets of the payload."""
        return self.payload.size if isinstance(self.payload, Spooled) else len(self.payload)

    @property
    def pieces(self) -> int:
        """How many pieces there are to read, one at least."""
        return pieces_of(self.payload)

    def kept(self) -> Deferred[bool]:
        """Fire when the verdict that was just given, *done* or *dead-letter*, is durable: it cannot come again then.

        With False it fires at once: that will not be before messages in front of it have a verdict as well.
        """
        return self._office.kept(self.dialog.id, int(self.name.partition(".")[2][1:]))

    def piece(self, index: int) -> Deferred[bytes]:
        """Read one piece; fails with `seckex.errors.StoreFailed`."""
        payload = self.payload
        return self._office.piece(payload, index) if isinstance(payload, Spooled) else succeed(payload)

    def read(self, write: Callable[[bytes], Deferred[Any] | None]) -> Deferred[None]:
        """Give ``write`` all pieces in turn, each when it is done with the one before."""
        return Deferred.fromCoroutine(self._read(write))

    async def _read(self, write: Callable[[bytes], Deferred[Any] | None]) -> None:
        for index in range(self.pieces):
            written = write(await self.piece(index))
            if written is not None:
                await written


def pieces_of(payload: Payload) -> int:
    """Return how many pieces a payload is read in."""
    return max(1, -(-payload.size // FRAGMENT)) if isinstance(payload, Spooled) else 1


class Receiving(Protocol):
    """A service that is received for."""

    def stop(self) -> Deferred[None]:
        """Have no more messages given; fires when none is with the program any more."""
        ...


class Upload(Protocol):
    """A payload that is sent piece by piece; above 1 MiB it goes to a file of the spool."""

    def write(self, octets: bytes) -> Deferred[None]:
        """Add octets; fires when more may come, fails with `MessageFailed` or `seckex.errors.StoreFailed`."""
        ...

    def finish(self) -> Deferred[Payload]:
        """Fire with what `Dialog.send` takes, when it is durable."""
        ...

    def abort(self) -> None:
        """Forget it, finished or not; not for what was sent."""
        ...


class Messages(Protocol):
    """What a program does with messages."""

    def dialog(self, peer: str, service: str, *, own: str = "", priority: int = PRIORITY, label: str = "") -> Dialog:
        """Return the dialog with ``service`` of ``peer`` that has these attributes, which begins if there is none.

        Raises `MessageFailed`.
        """
        ...

    def receive(self, service: str, handler: Handler, *, at_once: int = 1) -> Receiving:
        """Give ``handler`` the messages for a service of ours, at most ``at_once`` of them at a time.

        Raises `MessageFailed` where there is no such service, or another program has it.
        """
        ...

    def upload(self) -> Upload:
        """Begin a payload of any length."""
        ...

    def shown_dialogs(self) -> list[dict[str, Any]]:
        """Return what an operator is told of dialogs."""
        ...

    def shown_queue(self, ours: bool, dialog_id: bytes | None = None) -> list[dict[str, Any]]:
        """Return what waits, of the outbox if ``ours``, else of the inbox."""
        ...

    def shown_dead(
        self, beyond: tuple[bytes, bool, int] | None = None, most: int = 1000
    ) -> Deferred[list[dict[str, Any]]]:
        """Fire with messages that were put aside, in their order behind ``beyond``."""
        ...

    def dead_message(
        self, dialog_id: bytes, ours: bool, number: int
    ) -> Deferred[tuple[dict[str, Any], Payload] | None]:
        """Fire with a dead message and its payload."""
        ...

    def why(self, name: str) -> dict[str, Any] | None:
        """Return what there is to say of a message or dialog, None where it is not known."""
        ...

    def drop(self, dialog_id: bytes, ours: bool, number: int) -> Deferred[None]:
        """Forget a message that is dead or waits; fails with `MessageFailed` where it cannot be."""
        ...

    def retry(self, dialog_id: bytes, ours: bool, number: int) -> Deferred[None]:
        """Give, or send, one again; fails with `MessageFailed` where it cannot be."""
        ...

    def end(self, dialog_id: bytes, code: int = 0, why: str = "") -> None:
        """End a dialog; raises `MessageFailed` where there is none."""
        ...
