"""Who stands in for the house of dialogs where it is not what is tested."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from seckex.delivery.faces import DialogName, Direction, Outgoing, Verdict
from seckex.delivery.store import DeadMessage
from seckex.errors import PeerFault, PeerIncompatible, SeckexError
from seckex.machine import Now
from seckex.wire.numbers import Code

DIALOG = bytes(range(16))


class FakeHouse:
    """Writes down what it is told; ``refuses`` is raised by what may be refused."""

    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []
        self.units: list[tuple[int, bytes]] = []
        self.refuses: PeerFault | None = None
        self.taking: Callable[[int, bytes], None] = lambda _connection, _octets: None
        self.next = 1
        self.judged: dict[bytes, int] = {}
        self.room: dict[int, Callable[[], None]] = {}

    def told(self, what: str) -> list[list[Any]]:
        return [rest for name, *rest in self.said if name == what]

    def connected(self, connection: int, peer: str | None, now: Now) -> None:  # noqa: ARG002  # the interface's
        self.said.append(("connected", connection, peer))

    def unit(self, connection: int, octets: bytes, now: Now) -> None:  # noqa: ARG002  # the interface's
        self.units.append((connection, octets))
        self.taking(connection, octets)

    def writable(self, connection: int, now: Now) -> None:  # noqa: ARG002  # the interface's
        self.said.append(("writable", connection))
        if connection in self.room:
            self.room[connection]()

    def lost(self, connection: int, now: Now) -> None:  # noqa: ARG002  # the interface's
        self.said.append(("lost", connection))

    def unreachable(self, peer: str, why: str, now: Now) -> None:  # noqa: ARG002  # the interface's
        self.said.append(("unreachable", peer, why))

    def dialog(self, name: DialogName, now: Now) -> bytes:  # noqa: ARG002  # the interface's
        self._may()
        self.said.append(("dialog", name))
        return DIALOG

    def send(self, dialog_id: bytes, messages: Sequence[Outgoing], now: Now, key: str = "") -> int:  # noqa: ARG002  # the interface's
        self._may()
        self.said.append(("send", dialog_id, tuple(messages), key))
        first, self.next = self.next, self.next + len(messages)
        return first

    def end(self, dialog_id: bytes, now: Now, code: int = 0, why: str = "") -> None:  # noqa: ARG002  # the interface's
        self._may()
        self.said.append(("end", dialog_id, code, why))

    def attach(self, service: str, at_once: int, now: Now) -> None:  # noqa: ARG002  # the interface's
        self._may()
        self.said.append(("attach", service, at_once))

    def detach(self, service: str, now: Now) -> None:  # noqa: ARG002  # the interface's
        self.said.append(("detach", service))

    def verdict(
        self,
        dialog_id: bytes,
        number: int,
        verdict: Verdict,
        why: str,
        now: Now,  # noqa: ARG002  # the interface's
        after: float = 0.0,
    ) -> None:
        self.said.append(("verdict", dialog_id, number, verdict, why, after))

    def has_judged(self, dialog_id: bytes, number: int) -> bool:
        return self.judged.get(dialog_id, 0) >= number

    def flush(self, now: Now) -> None:  # noqa: ARG002  # the interface's
        self.said.append(("flush",))

    def tick(self, now: Now) -> None:  # noqa: ARG002  # the interface's
        self.said.append(("tick",))

    def shown_dialogs(self, now: Now) -> list[dict[str, Any]]:  # noqa: ARG002  # the interface's
        return [{"dialog": DIALOG.hex()}]

    def shown_queue(self, ours: bool, dialog_id: bytes | None = None) -> list[dict[str, Any]]:
        return [{"ours": ours, "dialog": None if dialog_id is None else dialog_id.hex()}]

    def why(self, name: str, now: Now) -> dict[str, Any] | None:  # noqa: ARG002  # the interface's
        return {"name": name} if name == "known" else None

    def drop(self, dialog_id: bytes, ours: bool, number: int, now: Now) -> None:  # noqa: ARG002  # the interface's
        self._may()
        self.said.append(("drop", dialog_id, ours, number))

    def retry(self, dialog_id: bytes, ours: bool, now: Now) -> None:  # noqa: ARG002  # the interface's
        self._may()
        self.said.append(("retry", dialog_id, ours))

    def revive(self, dead: DeadMessage, now: Now) -> None:  # noqa: ARG002  # the interface's
        self._may()
        self.said.append(("revive", dead))

    def ours(self, dialog_id: bytes, direction: Direction) -> bool:  # noqa: ARG002  # the interface's
        return direction is Direction.OUT

    def stop(self, now: Now) -> None:  # noqa: ARG002  # the interface's
        self.said.append(("stop",))

    def _may(self) -> None:
        if self.refuses is not None:
            raise self.refuses


def full() -> PeerFault:
    """Return how a house says that the outbox is full."""
    return PeerIncompatible(Code.INSUFFICIENT_RESOURCES, "the outbox is full")


class Angry(SeckexError):
    """What a house raises at a unit that it does not like."""
