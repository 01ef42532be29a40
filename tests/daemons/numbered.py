"""Numbered messages between two daemons: who writes them, who reads and answers them, and what must hold.

Programs go on by themselves through whatever becomes of their daemons. The writer sends each number under a key until
it was accepted, as a program does that has heard nothing. A reader gives verdicts, and knows which were taken; before
it does it may answer, under a key as well.
"""

from __future__ import annotations

import json
from base64 import b64decode
from threading import Event, Thread
from typing import Any

from seckex.cli.messages.client import Client, Declined, part
from seckex.cli.output import Fault

#: What a connection waits for a daemon that may have been killed.
PATIENCE = 60.0
AT_ONCE = 4
_PAUSE = 0.02


class Program(Thread):
    """A program beside a daemon: does something again and again until it is stopped, and keeps what has failed."""

    def __init__(self, client: Client) -> None:
        super().__init__(daemon=True)
        self.client = client
        self.over = Event()
        self.trouble = ""

    def run(self) -> None:
        """Go on, whatever becomes of the daemon."""
        while not self.over.is_set():
            try:
                self.step()
            except Declined as error:
                # It says so while it stops, and where a request of before it was killed is not over.
                if error.status < 500 and error.status != 409:
                    self.trouble = f"declined with {error.status}: {error.message}"
                    return
                self.over.wait(_PAUSE)
            except Fault:
                self.over.wait(_PAUSE)
            except Exception as error:
                self.trouble = f"{type(error).__name__}: {error}"
                return

    def step(self) -> None:
        """Do it once; raises `Fault`."""
        raise NotImplementedError


class Writer(Program):
    """Sends 1, 2, 3 and so on, each when the one before was accepted; ``said`` are parameters."""

    def __init__(self, client: Client, to: str, service: str, size: int = 0, **said: Any) -> None:
        super().__init__(client)
        self.accepted = 0
        self.repeated = 0
        self._size = size
        self._said = {"to": to, "service": service, "wait": "accepted", "timeout": PATIENCE, **said}
        self._tried = 0

    def step(self) -> None:
        """Send the next."""
        number = self.accepted + 1
        self.repeated += self._tried == number
        self._tried = number
        payload = str(number).encode().ljust(self._size)
        said = {**self._said, "key": f"number-{number}"}
        told = self.client.ask("POST", "/v1/messages", said, payload, timeout=PATIENCE).told
        if told["stage"] == "accepted":
            self.accepted = number


class Reader(Program):
    """Takes them, and gives verdicts; answers each with its number where it ``answers``."""

    def __init__(self, client: Client, service: str, *, answers: bool = False) -> None:
        super().__init__(client)
        self._service = service
        self._answers = answers
        self.seen = 0
        self.done: set[int] = set()
        self.again = 0
        self.complaints: list[str] = []

    def step(self) -> None:
        """Take messages until the connection ends."""
        service = part(self._service)
        with self.client.stream(f"/v1/services/{service}/messages", {"at-once": AT_ONCE}, timeout=1.0) as stream:
            while not self.over.is_set():
                try:
                    line = stream.readline()
                except TimeoutError:
                    return
                if not line.endswith(b"\n"):
                    return
                self._take(json.loads(line))

    def _take(self, told: dict[str, Any]) -> None:
        number = int(self._payload(told))
        if number in self.done:
            self.complaints.append(f"{number} came again, with a verdict that was taken: {told}")
        elif number > self.seen + 1:
            self.complaints.append(f"{number} came behind {self.seen}: {told}")
        elif number <= self.seen:
            self.again += 1
        self.seen = max(self.seen, number)
        if self._answers:
            said = {"answers": told["id"], "key": f"answer-{number}", "wait": "accepted", "timeout": PATIENCE}
            self.client.ask("POST", "/v1/messages", said, str(number).encode(), timeout=PATIENCE)
        self.client.ask("POST", told["verdict"], None, b'{"verdict": "done"}', timeout=PATIENCE)
        self.done.add(number)

    def _payload(self, told: dict[str, Any]) -> bytes:
        if "payload" in told:
            return b64decode(told["payload"])
        with self.client.stream(told["payload-at"], timeout=PATIENCE) as stream:
            return stream.read()


class Numbered:
    """Numbers that go there, and as answers back."""

    def __init__(self, writer: Writer, there: Reader, back: Reader) -> None:
        self.writer = writer
        self.there = there
        self.back = back
        self._all = (writer, there, back)

    def start(self) -> None:
        """Begin."""
        for each in self._all:
            each.start()

    def stop_writing(self) -> None:
        """Send no more."""
        self.writer.over.set()
        self.writer.join()

    def stop(self) -> None:
        """End."""
        for each in self._all:
            each.over.set()
        for each in self._all:
            if each.ident is not None:
                each.join()

    @property
    def trouble(self) -> list[str]:
        """What is wrong by now."""
        return [each.trouble for each in self._all if each.trouble] + self.there.complaints + self.back.complaints

    @property
    def done(self) -> int:
        """How many have come there and back."""
        return len(self.back.done)

    @property
    def is_whole(self) -> bool:
        """Whether all that was accepted has come there and back."""
        return min(self.there.seen, self.back.seen) >= self.writer.accepted
