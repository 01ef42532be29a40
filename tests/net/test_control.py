"""The control socket: who may ask, what is answered, and how much of it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import StringTransport
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from seckex.cli.control_client import Refused, Unreachable, ask
from seckex.errors import ApiMisuse
from seckex.net import control
from seckex.net.control import ControlFactory, ControlUnavailable, Declined, listen_control, peer_user
from seckex.net.watching import MOST_WAITING, Watcher

Talk = Any  # what inlineCallbacks makes of a test


def status(request: dict[str, Any]) -> dict[str, Any]:
    """Answer with what was asked."""
    return {"schema": "seckex.status/1", "asked": request}


def misuse(_request: dict[str, Any]) -> dict[str, Any]:
    """Fail as foreseen."""
    raise ApiMisuse("not now")


def broken(_request: dict[str, Any]) -> dict[str, Any]:
    """Fail as nobody foresaw."""
    raise ZeroDivisionError("with a secret in it")


COMMANDS = {"status": status, "misuse": misuse, "broken": broken, "odd": lambda _: {"odd": b"octets"}}


@inlineCallbacks
def until(done: Callable[[], bool]) -> Talk:
    """Let the reactor turn until ``done``."""
    for _ in range(2000):
        if done():
            return
        yield deferLater(reactor, 0.01, lambda: None)
    raise AssertionError("waited in vain")


class Wire(StringTransport):
    """A transport that can be aborted and whose peer runs as ``user``."""

    aborted = False
    user = os.geteuid()

    def getHandle(self) -> Wire:
        return self

    def abortConnection(self) -> None:
        self.aborted = True

    def answers(self) -> list[dict[str, Any]]:
        """Take the lines that were written."""
        lines = self.value().splitlines()
        self.clear()
        return [json.loads(line) for line in lines]


class ConversationCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(control, "peer_user", lambda wire: wire.user)
        self.clock = Clock()
        self.factory = ControlFactory(COMMANDS, self.clock)

    def connect(self, user: int | None = None) -> tuple[Any, Wire]:
        wire = Wire()
        protocol: Any = self.factory.buildProtocol(None)
        wire.user = os.geteuid() if user is None else user
        protocol.makeConnection(wire)
        return protocol, wire


class RequestTests(ConversationCase):
    def test_one_line_in_and_one_out_however_they_are_cut(self) -> None:
        protocol, wire = self.connect()
        for octet in b'{"command": "status", "n": 1}\n{"command": "status", "n": 2}\n':
            protocol.dataReceived(bytes([octet]))
        self.assertEqual([answer["asked"]["n"] for answer in wire.answers()], [1, 2])

    def test_refusals_leave_the_connection_open(self) -> None:
        protocol, wire = self.connect()
        for line in (
            b"",
            b"rubbish",
            b"\xff",
            b"[" * 60000,
            b"[]",
            b'"status"',
            b"{}",
            b'{"command": 1}',
            b'{"command": "sta"}',
        ):
            protocol.dataReceived(line + b"\n")
            [answer] = wire.answers()
            self.assertEqual(answer["schema"], "seckex.error/1")
        self.assertIn("broken, misuse, odd, status", answer["error"])
        protocol.dataReceived(b'{"command": "misuse"}\n{"command": "status"}\n')
        self.assertEqual([answer.get("error") for answer in wire.answers()], ["not now", None])

    def test_a_fault_in_a_command_is_logged_and_not_told(self) -> None:
        protocol, wire = self.connect()
        protocol.dataReceived(b'{"command": "broken"}\n{"command": "odd"}\n')
        for answer in wire.answers():
            self.assertEqual(answer["error"], "the command failed; the daemon's log has more")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError, TypeError)), 2)

    def test_a_long_request_ends_the_connection(self) -> None:
        protocol, wire = self.connect()
        longest = b'{"command": "status", "x": "' + b"x" * (65536 - 30) + b'"}'
        self.assertEqual(len(longest), 65536)
        protocol.dataReceived(longest + b"\n")
        self.assertFalse(wire.disconnecting)
        self.assertNotIn("error", wire.answers()[0])
        protocol.dataReceived(longest + b" ")
        self.assertTrue(wire.disconnecting)
        self.assertEqual(wire.answers()[0]["error"], "a request has at most 65536 octets")


class BoundTests(ConversationCase):
    def test_only_the_daemons_user_and_root_may_ask(self) -> None:
        _, wire = self.connect(os.geteuid() + 1)
        self.assertTrue(wire.disconnecting)
        self.assertIn(f"user {os.geteuid() + 1} may not ask", wire.answers()[0]["error"])
        _, wire = self.connect(0)
        self.assertFalse(wire.disconnecting)

    def test_the_seventeenth_connection_is_told_so(self) -> None:
        first, _ = self.connect()
        for _ in range(15):
            self.assertFalse(self.connect()[1].disconnecting)
        late, wire = self.connect()
        self.assertTrue(wire.disconnecting)
        self.assertEqual(wire.answers()[0]["error"], "16 connections are open already")
        first.connectionLost()
        late.connectionLost()
        self.assertFalse(self.connect()[1].disconnecting)

    def test_an_idle_connection_is_closed(self) -> None:
        protocol, wire = self.connect()
        self.clock.advance(29)
        protocol.dataReceived(b'{"command": "status"}\n')
        self.clock.advance(29)
        self.assertFalse(wire.aborted)
        protocol.dataReceived(b'{"command"')  # half a request is none
        self.clock.advance(1)
        self.assertTrue(wire.aborted)
        protocol.connectionLost()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_who_does_not_read_is_not_read_from(self) -> None:
        protocol, wire = self.connect()
        self.assertTrue(wire.streaming)
        protocol.pauseProducing()
        self.assertIs(wire.producer, protocol)
        self.assertEqual(wire.producerState, "paused")
        protocol.dataReceived(b'{"command": "status"}\n' * 3)
        self.assertEqual(wire.answers(), [])
        protocol.resumeProducing()
        self.assertEqual(len(wire.answers()), 3)

    def test_stopping_closes_what_is_open(self) -> None:
        _, wire = self.connect()
        self.factory.stopFactory()
        self.assertTrue(wire.aborted)


class WaitingTests(ConversationCase):
    """Commands whose answers take their time."""

    def setUp(self) -> None:
        super().setUp()
        self.answers: list[Deferred[Any]] = []

        def later(_request: dict[str, Any]) -> Deferred[Any]:
            self.answers.append(Deferred())
            return self.answers[-1]

        self.factory = ControlFactory({**COMMANDS, "later": later}, self.clock)
        self.protocol, self.wire = self.connect()

    def test_what_is_asked_meanwhile_waits_for_its_turn(self) -> None:
        self.protocol.dataReceived(b'{"command": "later"}\n{"command": "status", "n": 1}\n')
        self.protocol.dataReceived(b'{"command": "status", "n": 2}\n{"command": "la')
        self.protocol.dataReceived(b'ter"}\n{"command": "status", "n": 3}\n')
        # It is read from, or nobody would notice that whoever asked has gone.
        self.assertEqual((self.wire.answers(), self.wire.producerState), ([], "producing"))
        self.answers[0].callback({"late": 1})
        first, *others = self.wire.answers()
        self.assertEqual((first, [other["asked"]["n"] for other in others]), ({"late": 1}, [1, 2]))
        self.answers[1].callback({"late": 2})
        first, second = self.wire.answers()
        self.assertEqual((first, second["asked"]["n"]), ({"late": 2}, 3))

    def test_who_asks_on_and_on_meanwhile_is_cut_off(self) -> None:
        self.protocol.dataReceived(b'{"command": "later"}\n')
        self.protocol.dataReceived(b" " * 65536)
        self.assertFalse(self.wire.aborted)
        self.protocol.dataReceived(b" ")
        self.assertTrue(self.wire.aborted)

    def test_who_does_not_read_is_not_read_from_when_the_answer_is_there(self) -> None:
        self.protocol.dataReceived(b'{"command": "later"}\n{"command": "status"}\n')
        self.protocol.pauseProducing()
        self.answers[0].callback({"late": True})
        self.assertEqual(len(self.wire.answers()), 1)
        self.protocol.resumeProducing()
        self.assertEqual(len(self.wire.answers()), 1)

    def test_room_in_the_buffer_does_not_end_the_waiting(self) -> None:
        self.protocol.dataReceived(b'{"command": "later"}\n{"command": "status"}\n')
        self.protocol.pauseProducing()
        self.protocol.resumeProducing()
        self.assertEqual(self.wire.answers(), [])

    def test_waiting_is_not_idling(self) -> None:
        self.protocol.dataReceived(b'{"command": "later"}\n')
        self.clock.advance(100)
        self.assertFalse(self.wire.aborted)
        self.answers[0].callback({"late": True})
        self.clock.advance(30)
        self.assertTrue(self.wire.aborted)

    def test_failures_are_told(self) -> None:
        self.protocol.dataReceived(b'{"command": "later"}\n')
        self.answers[0].errback(Declined("there is none", "none"))
        self.assertEqual(self.wire.answers(), [{"schema": "seckex.error/1", "error": "there is none", "word": "none"}])
        self.protocol.dataReceived(b'{"command": "later"}\n')
        self.answers[1].errback(ZeroDivisionError("with a secret in it"))
        self.assertEqual(self.wire.answers()[0]["error"], "the command failed; the daemon's log has more")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_an_answer_for_somebody_who_has_left(self) -> None:
        self.protocol.dataReceived(b'{"command": "later"}\n')
        self.protocol.connectionLost()
        self.assertTrue(self.answers[0].called)
        self.assertEqual(self.wire.answers(), [])


class StreamTests(ConversationCase):
    def setUp(self) -> None:
        super().setUp()
        self.watchers: list[Watcher] = []
        self.ended = 0

        def end() -> None:
            self.ended += 1

        def stream(_request: dict[str, Any], watcher: Watcher) -> Callable[[], None]:
            self.watchers.append(watcher)
            watcher.tell({"n": 0})
            return end

        self.factory = ControlFactory(COMMANDS, self.clock, {"monitor": stream})

    def watch(self) -> tuple[Any, Wire]:
        protocol, wire = self.connect()
        protocol.dataReceived(b'{"command": "monitor"}\n')
        return protocol, wire

    def test_lines_come_as_they_are_told_and_nobody_is_idle(self) -> None:
        _, wire = self.watch()
        self.clock.advance(1000)
        self.watchers[0].tell({"n": 1})
        self.assertEqual(wire.answers(), [{"n": 0}, {"n": 1}])
        self.assertFalse(wire.aborted)

    def test_who_does_not_read_is_not_written_to_and_still_read_from(self) -> None:
        protocol, wire = self.watch()
        wire.answers()
        protocol.pauseProducing()
        self.watchers[0].tell({"n": 1})
        self.assertEqual((wire.answers(), wire.producerState), ([], "producing"))
        protocol.resumeProducing()
        self.assertEqual(wire.answers(), [{"n": 1}])

    def test_it_ends_with_the_connection(self) -> None:
        protocol, _ = self.watch()
        protocol.connectionLost()
        self.assertEqual(self.ended, 1)

    def test_a_stream_takes_no_requests(self) -> None:
        protocol, wire = self.watch()
        protocol.dataReceived(b'{"command": "status"}\n')
        self.assertEqual(wire.answers()[-1]["error"], "a stream takes no further requests")
        self.assertEqual((wire.disconnecting, self.ended), (True, 1))

    def test_the_ninth_stream_is_told_so_and_there_is_room_for_others(self) -> None:
        first, _ = self.watch()
        for _ in range(7):
            self.assertFalse(self.watch()[1].disconnecting)
        _, wire = self.watch()
        self.assertEqual((wire.answers()[-1]["error"], wire.disconnecting), ("8 streams are open already", True))
        first.connectionLost()
        self.assertFalse(self.watch()[1].disconnecting)

    def test_the_commands_that_are_there_are_named_with_the_streams(self) -> None:
        protocol, wire = self.connect()
        protocol.dataReceived(b'{"command": "sta"}\n')
        (answer,) = wire.answers()
        self.assertEqual(answer["word"], "unknown-command")
        self.assertIn("misuse, monitor, odd, status", answer["error"])


class LengthTests(ConversationCase):
    def answer(self, answer: dict[str, Any]) -> dict[str, Any]:
        self.factory = ControlFactory({"status": lambda _: answer}, self.clock)
        protocol, wire = self.connect()
        protocol.dataReceived(b'{"command": "status"}\n')
        self.assertLessEqual(len(wire.value()), 2**20 + 1)
        return wire.answers()[0]

    def test_a_list_is_cut_and_its_length_told(self) -> None:
        dialogs = {"dialogs": list(range(1001)), "peer": "n@x"}
        answer = self.answer({"associations": [dialogs, {"dialogs": []}], "refusals": list(range(1000))})
        self.assertEqual(len(answer["associations"][0]["dialogs"]), 1000)
        self.assertEqual(answer["associations"][0]["truncated"], {"dialogs": 1001})
        self.assertEqual(answer["associations"][1], {"dialogs": []})
        self.assertEqual(len(answer["refusals"]), 1000)
        self.assertNotIn("truncated", answer)

    def test_a_long_answer_is_cut_further(self) -> None:
        answer = self.answer({"associations": [{"peer": "x" * 5000}] * 700, "counters": {"a": 1}})
        self.assertEqual(len(answer["associations"]), 125)
        self.assertEqual(answer["truncated"], {"associations": 700})
        self.assertEqual(answer["counters"], {"a": 1})

    def test_what_cannot_be_cut_is_an_error(self) -> None:
        self.assertEqual(self.answer({"text": "x" * 2**20})["error"], "the answer has more than 1048576 octets")


class SocketTests(TestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def listen(self) -> IListeningPort:
        port = listen_control(reactor, self.path, COMMANDS)
        self.addCleanup(port.stopListening)
        return port

    @inlineCallbacks
    def test_the_command_talks_to_the_daemon(self) -> Talk:
        self.listen()
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        answer = yield deferToThread(ask, self.path, {"command": "status", "n": 1}, "seckex.status/1")
        self.assertEqual(answer["asked"], {"command": "status", "n": 1})
        refusal = deferToThread(ask, self.path, {"command": "x"}, "seckex.status/1")
        yield self.assertFailure(refusal, Refused)

    @inlineCallbacks
    def test_a_slow_watcher_is_told_what_it_missed_and_holds_up_nobody(self) -> Talk:
        watchers: list[Watcher] = []

        def stream(_request: dict[str, Any], watcher: Watcher) -> Callable[[], None]:
            watchers.append(watcher)
            return lambda: watchers.remove(watcher)

        port = listen_control(reactor, self.path, COMMANDS, {"monitor": stream})
        self.addCleanup(port.stopListening)
        with socket.socket(socket.AF_UNIX) as slow:
            yield deferToThread(slow.connect, os.fspath(self.path))
            slow.sendall(b'{"command": "monitor"}\n')
            yield until(lambda: bool(watchers))
            told = 0
            while told < 4 * MOST_WAITING // 1000:
                for _ in range(100):
                    watchers[0].tell({"n": told, "x": "x" * 1000})
                    told += 1
                # Others are served meanwhile.
                answer = yield deferToThread(ask, self.path, {"command": "status"}, "seckex.status/1")
                self.assertIn("asked", answer)
            numbers: list[int] = []
            dropped = 0
            received = b""
            slow.settimeout(60)
            watchers[0].tell({"n": told})
            while not numbers or numbers[-1] != told:
                received += yield deferToThread(slow.recv, 65536)
                *lines, received = received.split(b"\n")
                for line in map(json.loads, lines):
                    dropped += line.get("dropped", 0)
                    numbers += [line["n"]] if "n" in line else []
                if not numbers or numbers[-1] != told:
                    watchers[0].tell({"n": told})
            self.assertGreater(dropped, 100)
            self.assertGreaterEqual(len(set(numbers)) + dropped, told)
            self.assertEqual(numbers, sorted(numbers))
        yield until(lambda: not watchers)

    def test_the_kernel_says_who_asks(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX)
        with ours, theirs:
            self.assertEqual(peer_user(ours), os.geteuid())

    @inlineCallbacks
    def test_a_stranger_is_told_and_not_answered(self) -> Talk:
        self.patch(control, "peer_user", lambda _: os.geteuid() + 1)
        self.listen()
        answer = deferToThread(ask, self.path, {"command": "status"}, "seckex.status/1")
        refusal = yield self.assertFailure(answer, Refused)
        self.assertIn("only the daemon's user and root may", str(refusal))

    @inlineCallbacks
    def test_stopping_removes_the_socket(self) -> Talk:
        yield self.listen().stopListening()
        self.assertFalse(self.path.exists())
        with self.assertRaises(Unreachable) as caught:
            ask(self.path, {}, "")
        self.assertTrue(caught.exception.absent)
        self.listen()  # and lets go of the lock

    @inlineCallbacks
    def test_stopping_works_without_the_socket(self) -> Talk:
        port = self.listen()
        self.path.unlink()
        yield port.stopListening()
        self.listen()

    def test_a_live_daemon_is_left_alone(self) -> None:
        self.listen()
        self.assertRaisesRegex(ControlUnavailable, "another daemon is live", listen_control, reactor, self.path, {})
        self.path.unlink()  # the lock tells it even so
        self.assertRaisesRegex(ControlUnavailable, "another daemon is live", listen_control, reactor, self.path, {})

    def test_a_listener_without_our_lock_is_left_alone(self) -> None:
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(os.fspath(self.path))
            other.listen()
            self.assertRaisesRegex(ControlUnavailable, "another daemon is live", listen_control, reactor, self.path, {})
            other.accept()[0].close()
        self.listen()  # its refusal has let go of our lock

    def test_a_socket_that_was_left_behind_is_replaced(self) -> None:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(os.fspath(self.path))
        self.listen()

    def test_anything_else_is_left_alone(self) -> None:
        self.path.write_text("precious")
        self.assertRaisesRegex(ControlUnavailable, "is no socket", listen_control, reactor, self.path, {})
        self.assertEqual(self.path.read_text(), "precious")

    def test_where_nothing_can_be_made(self) -> None:
        nowhere = self.path / "control.sock"
        self.assertRaisesRegex(ControlUnavailable, "cannot make .*No such file", listen_control, reactor, nowhere, {})
        long = Path(self.mktemp() + "x" * 120)
        self.assertRaisesRegex(ControlUnavailable, "cannot listen on", listen_control, reactor, long, {})
