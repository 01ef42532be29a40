"""The command's side of the control socket, with daemons that misbehave."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from twisted.trial.unittest import SynchronousTestCase

from seckex.cli import control_client
from seckex.cli.control_client import Refused, Unreachable, ask
from seckex.net import control
from tests.cli.daemons import ScriptedDaemon

SCHEMA = "seckex.status/1"


class AskTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def asked(self, answer: bytes | None, timeout: float = 10) -> str:
        ScriptedDaemon(self, self.path, answer)
        with self.assertRaises((Refused, Unreachable)) as caught:
            ask(self.path, {"command": "status"}, SCHEMA, timeout)
        return f"{type(caught.exception).__name__}: {caught.exception}"

    def test_a_line_is_asked_and_a_line_answered(self) -> None:
        daemon = ScriptedDaemon(self, self.path, b'{"schema": "seckex.status/1", "n": 1}\nmore')
        self.assertEqual(ask(self.path, {"command": "status"}, SCHEMA), {"schema": SCHEMA, "n": 1})
        self.assertEqual(daemon.requests, [b'{"command": "status"}\n'])

    def test_nobody_there(self) -> None:
        with self.assertRaises(Unreachable) as caught:
            ask(self.path, {}, SCHEMA)
        self.assertEqual(str(caught.exception), f"no daemon answers on {self.path}: No such file or directory")
        self.assertTrue(caught.exception.absent)

    def test_a_path_that_cannot_be_a_socket(self) -> None:
        with self.assertRaises(Unreachable) as caught:
            ask(Path("/" + "x" * 200), {}, SCHEMA)
        self.assertIn("path too long", str(caught.exception))
        self.assertFalse(caught.exception.absent)

    def test_silence(self) -> None:
        self.assertIn("Unreachable: no daemon answers", self.asked(None, timeout=0.05))

    def test_an_answer_in_drops_does_not_buy_time(self) -> None:
        times = iter([0.0, 0.0, 0.0, 5.1])
        self.patch(control_client, "time", SimpleNamespace(monotonic=lambda: next(times)))
        self.assertIn("silent for 5 s", self.asked(b"{", timeout=5))

    def test_a_closed_connection(self) -> None:
        self.assertIn("closed the connection without an answer", self.asked(b'{"half": '))

    def test_an_answer_without_end(self) -> None:
        self.patch(control_client, "MAX_ANSWER", 1000)
        self.assertIn("its answer has more than 1000 octets", self.asked(b"x" * 5000))

    def test_a_refusal(self) -> None:
        said = self.asked(b'{"schema": "seckex.error/1", "error": "no such command"}\n')
        self.assertEqual(said, f"Refused: the daemon on {self.path} refuses: no such command")

    def test_another_schema(self) -> None:
        self.assertIn(
            "answers with seckex.status/2, and this command knows", self.asked(b'{"schema": "seckex.status/2"}\n')
        )

    def test_another_protocol(self) -> None:
        self.assertIn("is no seckex daemon", self.asked(b"220 mail.example.org ESMTP\r\n"))

    def test_both_sides_agree(self) -> None:
        self.assertEqual(control_client._ERROR_SCHEMA, control.ERROR_SCHEMA)
        self.assertGreater(control_client.MAX_ANSWER, control.MAX_ANSWER)
