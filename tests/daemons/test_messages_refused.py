"""What is refused of messages, and that both ends can say why: rubbish at the port, strangers, failing programs."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from typing import Any, Final

from seckex.cli.demo.processes import Process
from seckex.cli.messages.client import Declined
from seckex.wire.units import Hello, Ping, encode_unit
from tests.daemons.messaging import MessagingTestCase
from tests.daemons.stage import HOME, PATIENCE

AHEAD: Final = 7200
_AHEAD: Final = f"""\
import sys, time
real, real_ns = time.time, time.time_ns
time.time, time.time_ns = lambda: real() + {AHEAD}, lambda: real_ns() + {AHEAD}_000_000_000
from twisted.scripts.twistd import run
run()
"""


class PortTests(MessagingTestCase):
    def test_rubbish(self) -> None:
        (responder,) = self.up("responder")
        hello = encode_unit(Hello(bytes(16), HOME))
        for octets in (
            b"MS" + os.urandom(400),
            b"MS\1\1\0\0\xff\xff",
            b"MS\1\7\0\0\0\x08" + bytes(8),
            b"SK\1\1\0\x0f" + b"\xff" * 100,
            b"SK" + os.urandom(70),
            hello + hello,
            hello + b"SK\1\1\0\0" + bytes(54) + b"\xff" * 300,
            hello + b"MS\1\3\0\0\0\x01\0",
            hello + encode_unit(Ping(bytes(8))) + os.urandom(600),
        ):
            self.assertTrue(self.closes(octets), octets[:40])
        self.assertIn(
            b"nobody@example.org is not here", self.said_back(encode_unit(Hello(bytes(16), "nobody@example.org")))
        )
        broken = [event["why"] for event in self.events("responder", "MessagesBroken")]
        self.assertTrue(broken)
        self.assertTrue(all(broken), broken)
        self.up("initiator")
        self.send("initiator", b"well", wait="delivered")
        self.assertEqual(self.one("responder")[0], b"well")
        responder.check()

    def closes(self, octets: bytes) -> bool:
        """Tell whether a connection is ended for what is said over it."""
        self.said_back(octets)
        return True

    def said_back(self, octets: bytes) -> bytes:
        """Say something to the port; return what comes back until the connection is ended."""
        said = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as stranger:
            try:
                stranger.sendall(octets)
                while more := stranger.recv(4096):
                    said += more
            except ConnectionError:
                pass
        return said


class ProgramTests(MessagingTestCase):
    """Services that are not there, and programs that fail."""

    def setUp(self) -> None:
        super().setUp()
        private = '[messages.services.private]\nfrom = ["boss@example.com"]'
        self.write_responder(more=f'largest = "100 KiB"\nattempts = 2\n{private}')

    def test_why_it_is_refused(self) -> None:
        self.up()
        self.unwanted("nothing", 301, "there is no 'nothing'")
        self.unwanted("private", 129, "may not send to 'private'")
        self.too_long()
        self.always_fails()
        self.never_answers()

    def failed(self, **said: Any) -> dict[str, Any]:
        """Send what comes to nothing; return the problem."""
        with self.assertRaises(Declined) as caught:
            self.posted("initiator", said.pop("payload", b"1"), wait="processed", **said)
        return dict(caught.exception.told)

    def unwanted(self, service: str, code: int, why: str) -> None:
        problem = self.failed(service=service)
        self.assertEqual(problem["number"], code, problem)
        self.until("the reason", lambda: why in str(self.events("responder", "EnvelopeRefused")))
        (refused,) = (each for each in self.events("initiator", "MessagesRefused") if each["service"] == service)
        self.assertEqual(refused["code"], code)
        self.assertIn(f"refused by {HOME}", json.dumps(self.why("initiator", problem["name"])))

    def too_long(self) -> None:
        problem = self.failed(payload=bytes(200_000))
        self.assertEqual(problem["number"], 130, problem)
        self.assertIn("longer than 102400 octets", problem["reason"])
        self.dead_at_home(problem["name"], "longer than 102400 octets")

    def dead_at_home(self, name: str, why: str) -> None:
        told = self.said("responder", "dead", "show", name)
        self.assertIn(why, told)
        self.assertIn(why, str(self.events("responder", "MessageDead")))
        steps = json.dumps(self.why("initiator", name)["steps"])
        self.assertIn(why, steps)

    def always_fails(self) -> None:
        name = self.send("initiator", b"fails")
        for attempt in ("1", "2"):
            payload, told = self.one("responder", "retry")
            self.assertEqual((payload, told["attempt"], told["name"]), (b"fails", attempt, name))
        self.until("it to be put aside", lambda: name in str(self.events("responder", "MessageDead")))
        self.until("news of it", lambda: "tried 2 times" in json.dumps(self.why("initiator", name)["steps"]))
        self.dead_at_home(name, "tried 2 times")
        self.said("responder", "dead", "retry", name)
        self.assertEqual(self.one("responder")[0], b"fails")
        self.until("nobody dead of that name", lambda: name not in self.said("responder", "dead", "list", "--json"))

    def never_answers(self) -> None:
        name = self.send("initiator", b"silence")
        for attempt in ("1", "2"):
            self.until(f"attempt {attempt}", lambda: self.taken() == (b"silence", attempt))  # noqa: B023  # awaited
        self.until("it to be put aside", lambda: name in str(self.events("responder", "MessageDead")))
        self.dead_at_home(name, "went away without a verdict")

    def taken(self) -> tuple[bytes, str]:
        """Take a message, and say nothing of it; a request that is before it counts until its lease is over."""
        said = {"mode": "one", "lease": 1, "timeout": PATIENCE}
        try:
            reply = self.client("responder").ask("GET", "/v1/services/orders/messages", said, timeout=2 * PATIENCE)
        except Declined as error:
            self.assertEqual(error.status, 409)
            return b"", ""
        return reply.body, reply.headers["Seckex-Attempt"]


class StrangerTests(MessagingTestCase):
    """Senders that nobody vouches for any more, or that live at another time."""

    def test_who_is_revoked(self) -> None:
        responder, _ = self.up()
        self.send("initiator", b"before", wait="delivered")
        self.cert("revoke", str(self.folder / "initiator.pem"), "-d", str(self.ca))
        os.kill(responder.pid, signal.SIGHUP)
        self.until("the reload", lambda: bool(self.events("responder", "ConfigurationReloaded")))
        name = self.send("initiator", b"after")
        self.stays(name, "revoked")

    def test_who_is_certified_by_somebody_else(self) -> None:
        self.cert("ca", "-d", str(self.folder / "other"))
        for suffix in ("pem", "key"):
            (self.folder / f"initiator.{suffix}").unlink()
        self.cert("new", "node@example.net", "-d", str(self.folder / "other"), "-o", str(self.folder / "initiator.pem"))
        self.up()
        self.stays(self.send("initiator", b"hello"), "chain")

    def test_a_clock_that_is_far_ahead(self) -> None:
        self.up("responder")
        command = [sys.executable, "-c", _AHEAD, "-n", "--pidfile=", "seckex-initiator", "--config", "initiator.toml"]
        process = Process("initiator", command, self.folder, self.folder / "initiator.log")
        process.start()
        self.running.append(process)
        self.until("the initiator", lambda: self.serves("initiator"))
        self.stays(self.send("initiator", b"from the future"), "ahead of the clock here")

    def stays(self, name: str, why: str) -> None:
        """Insist that a message does not come, that the target says why, and that the sender knows how it stands."""
        self.until(
            "the reason",
            lambda: (
                why in str(self.events("responder", "HeadersMissing") + self.events("responder", "EnvelopeRefused"))
            ),
        )
        self.until("the notice", lambda: bool(self.events("initiator", "HeadersMissing")))
        told = self.why("initiator", name)
        self.assertEqual(told["stage"], "accepted")
        self.assertIn("does not hold the keys", json.dumps(told["steps"]))
        self.assertNotIn(name, str(self.client("responder").ask("GET", "/v1/inbox").told))
