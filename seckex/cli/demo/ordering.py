"""Two programs with messages between them: one that goes on sending numbered messages, and one that takes them.

Both talk to the daemon beside them as any program does, over its socket. The one that takes remembers what it was
given by name, as a program must that wants to take nothing twice: a verdict that dies with a daemon is asked for
again.
"""

from __future__ import annotations

import json
import time
from base64 import b64decode
from collections.abc import Callable
from threading import Event, Thread
from typing import Any, Final

from attrs import define, field

from seckex.cli.demo.processes import PATIENCE, DemoFailed
from seckex.cli.messages.client import Client, part
from seckex.cli.messages.receive import LONGEST_LINE
from seckex.cli.output import Fault, NoDaemon

SIZE: Final = 1024
TYPE: Final = "order"
#: So many more are sent than are taken, and no more.
AHEAD: Final = 60
_LAST: Final = "last"
_POLL: Final = 0.005


def payload(number: int) -> bytes:
    """Return a message of `SIZE` octets that says its number."""
    return f"order {number}".encode().ljust(SIZE, b".")


@define
class Taker:
    """Takes all messages of a service, one after the other, until the last one; whether the daemon runs or not.

    ``taken`` has the names of all that it was given, in order, with their payloads; ``again`` counts those that it was
    given when it had them; ``is_heard`` tells whether a daemon has answered it.
    """

    client: Client
    service: str
    taken: dict[str, bytes] = field(factory=dict, init=False)
    again: int = field(default=0, init=False)
    is_heard: bool = field(default=False, init=False)
    _failed: list[Exception] = field(factory=list, init=False)
    _over: Event = field(factory=Event, init=False)

    def start(self) -> None:
        """Begin."""
        Thread(target=self._run, daemon=True).start()

    @property
    def is_over(self) -> bool:
        """Whether the last one was taken; raises `DemoFailed` if something has gone wrong."""
        for failure in self._failed:
            raise DemoFailed(f"taking messages has failed: {failure}")
        return self._over.is_set()

    def _run(self) -> None:
        try:
            while not self._over.is_set():
                try:
                    self._take_all()
                except NoDaemon:
                    time.sleep(_POLL)
        except (Fault, ValueError, KeyError) as error:
            self._failed.append(error)

    def _take_all(self) -> None:
        with self.client.stream(f"/v1/services/{part(self.service)}/messages", timeout=PATIENCE) as stream:
            self.is_heard = True
            # Of a daemon that is killed a line may come in part.
            while (line := stream.readline(LONGEST_LINE)).endswith(b"\n"):
                told = json.loads(line)
                name = told["name"]
                if name in self.taken:
                    self.again += 1
                else:
                    self.taken[name] = b64decode(told["payload"])
                self.client.ask("POST", told["verdict"], None, b'{"verdict": "done"}', timeout=PATIENCE)
                if told["type"] == _LAST:
                    self._over.set()
                    return


@define
class Sender:
    """Sends messages to a service, as long as not too many wait; ``sent`` has their names, in order."""

    client: Client
    peer: str
    service: str
    taken: Callable[[], int]
    sent: list[str] = field(factory=list, init=False)
    _failed: list[Exception] = field(factory=list, init=False)
    _ending: Event = field(factory=Event, init=False)
    _thread: Thread | None = field(default=None, init=False)

    def start(self) -> None:
        """Begin to send one after the other, until the `end`."""
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many were accepted here and not taken there; raises `DemoFailed` if something has gone wrong."""
        for failure in self._failed:
            raise DemoFailed(f"sending messages has failed: {failure}")
        return len(self.sent) - self.taken()

    def end(self) -> None:
        """Send the last one."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(PATIENCE)
        _ = self.waiting
        self.send("accepted", _LAST)

    def send(self, stage: str, kind: str = TYPE) -> str:
        """Send one, wait until it has come as far as ``stage``, and return its name; raises `Fault`."""
        said = {"to": self.peer, "service": self.service, "type": kind, "wait": stage, "timeout": PATIENCE}
        body = payload(len(self.sent))
        told: dict[str, Any] = self.client.ask("POST", "/v1/messages", said, body, timeout=PATIENCE + 10).told
        if told["stage"] != stage:
            raise DemoFailed(f"message {told['name']} is {told['stage']} after {PATIENCE:.0f} s, and not {stage}")
        self.sent.append(told["name"])
        return str(told["name"])

    def _run(self) -> None:
        try:
            while not self._ending.is_set():
                if len(self.sent) - self.taken() < AHEAD:
                    self.send("accepted")
                else:
                    time.sleep(_POLL)
        except (Fault, DemoFailed, ValueError, KeyError) as error:
            self._failed.append(error)
