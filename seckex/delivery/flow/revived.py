"""Dead messages that an operator wants given again: beside the others, out of order."""

from __future__ import annotations

from seckex.delivery.faces import Direction, Incoming, Verdict
from seckex.delivery.flow.segments import Message, read_segment
from seckex.delivery.store import DeadMessage, DropDead, MessageOperation
from seckex.errors import Malformed


class Revived:
    """Dead messages of one direction that wait for the program, or are with it.

    *done* drops one from the dead (``finished`` has the operations); after any other verdict it stays where it is.
    """

    def __init__(self, dialog_id: bytes, direction: Direction, peer: str, service: str) -> None:
        self._dialog_id = dialog_id
        self._direction = direction
        self._peer = peer
        self._service = service
        self._out: dict[int, tuple[DeadMessage, Message]] = {}
        self.waiting: dict[int, tuple[DeadMessage, Message]] = {}
        self.finished: list[MessageOperation] = []
        self.spools: list[str] = []

    def add(self, dead: DeadMessage) -> bool:
        """Take a dead message; return whether it can be read."""
        try:
            (message,) = read_segment(dead.octets, 1, dead.size, dead.spool)
        except Malformed:
            return False
        if dead.number not in self._out:
            self.waiting[dead.number] = dead, message
        return True

    def give(self) -> list[Incoming]:
        """Return what waits."""
        given = []
        for number, (dead, (name, expires, payload)) in self.waiting.items():
            given.append(
                Incoming(
                    self._dialog_id,
                    self._direction,
                    number,
                    self._peer,
                    self._service,
                    name,
                    expires / 1_000_000 if expires else 0.0,
                    dead.attempts + 1,
                    payload,
                )
            )
        self._out |= self.waiting
        self.waiting = {}
        return given

    def verdict(self, number: int, verdict: Verdict) -> bool:
        """Take what the program says; return whether it had the message."""
        found = self._out.pop(number, None)
        if found is None:
            return False
        dead, _ = found
        if verdict is Verdict.DONE:
            self.finished.append(DropDead(self._dialog_id, dead.ours, number))
            if dead.spool:
                self.spools.append(dead.spool)
        return True

    def take_back(self) -> None:
        """Have given again what the program has, which is gone."""
        self.waiting |= self._out
        self._out = {}
