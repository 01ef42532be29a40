"""What the edge asks of the house of dialogs (`seckex.delivery.house`), which calls `seckex.delivery.faces.Edge`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from seckex.delivery.faces import DialogName, Direction, Outgoing, Verdict
from seckex.delivery.store import DeadMessage
from seckex.machine import Now


class Connected(Protocol):
    """What is told of connections; units are whole."""

    def connected(self, connection: int, peer: str | None, now: Now) -> None:
        """Take note of a connection to ``peer``, whom we called; with None somebody called us."""
        ...

    def unit(self, connection: int, octets: bytes, now: Now) -> None:
        """Take a unit; raises `seckex.errors.SeckexError`, and the connection is dropped then."""
        ...

    def writable(self, connection: int, now: Now) -> None:
        """Take note that a connection takes more."""
        ...

    def lost(self, connection: int, now: Now) -> None:
        """Take note that a connection is gone."""
        ...

    def unreachable(self, peer: str, why: str, now: Now) -> None:
        """Take note that a call has come to nothing."""
        ...


class DialogHouse(Connected, Protocol):
    """What programs, operators and the clock ask of it as well."""

    def dialog(self, name: DialogName, now: Now) -> bytes:
        """Find or begin a dialog; raises `seckex.errors.PeerFault`."""
        ...

    def send(self, dialog_id: bytes, messages: Sequence[Outgoing], now: Now, key: str = "") -> int:
        """Send messages and return the number of the first; raises `seckex.errors.PeerFault`."""
        ...

    def end(self, dialog_id: bytes, now: Now, code: int = 0, why: str = "") -> None:
        """End a dialog; raises `seckex.errors.PeerFault`."""
        ...

    def attach(self, service: str, at_once: int, now: Now) -> None:
        """Give messages for a service from now on, so many at a time; raises `seckex.errors.PeerFault`."""
        ...

    def detach(self, service: str, now: Now) -> None:
        """Give no more; what was given without a verdict is given again to the next."""
        ...

    def verdict(self, dialog_id: bytes, number: int, verdict: Verdict, why: str, now: Now, after: float = 0.0) -> None:
        """Take what a program says of a message; it comes again after so many seconds at the earliest."""
        ...

    def has_judged(self, dialog_id: bytes, number: int) -> bool:
        """Tell whether a verdict will last when it is durable; one of a message does when all before it have one."""
        ...

    def flush(self, now: Now) -> None:
        """Do what this turn of the reactor has brought; see `seckex.delivery.faces.Edge.soon`."""
        ...

    def tick(self, now: Now) -> None:
        """Do what is due; once a second."""
        ...

    def shown_dialogs(self, now: Now) -> list[dict[str, Any]]:
        """Return what is told of dialogs."""
        ...

    def shown_queue(self, ours: bool, dialog_id: bytes | None = None) -> list[dict[str, Any]]:
        """Return what waits."""
        ...

    def why(self, name: str, now: Now) -> dict[str, Any] | None:
        """Return what there is to say of a message or a dialog."""
        ...

    def drop(self, dialog_id: bytes, ours: bool, number: int, now: Now) -> None:
        """Leave out a message that waits; raises `seckex.errors.PeerFault`."""
        ...

    def retry(self, dialog_id: bytes, ours: bool, now: Now) -> None:
        """Send, or give, what waits again; raises `seckex.errors.PeerFault`."""
        ...

    def revive(self, dead: DeadMessage, now: Now) -> None:
        """Give a message that was put aside to its program again; raises `seckex.errors.PeerFault`."""
        ...

    def ours(self, dialog_id: bytes, direction: Direction) -> bool:
        """Tell whether a direction of a dialog is the one in which we send."""
        ...

    def stop(self, now: Now) -> None:
        """Say what the last word over each connection is."""
        ...
