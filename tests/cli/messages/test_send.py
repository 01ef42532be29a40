"""``seckex send``."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

from twisted.internet.defer import inlineCallbacks
from twisted.trial.unittest import SynchronousTestCase

from seckex.cli.messages import send
from seckex.delivery.faces import SPOOLED_ABOVE, Stage
from seckex.testing import Posted
from tests.cli.messages.served import PEER, ServedCase
from tests.config.written import RESPONDER, write_all

TO = ("--to", PEER, "--service", "bills")


class SendTests(ServedCase):
    @inlineCallbacks
    def test_what_is_piped_in_is_sent(self) -> Any:
        result = yield self.run_command("send", *TO, given=b"42 pounds")
        [posted] = self.messages.posted
        self.assertEqual((result.exit_code, result.stdout, result.stderr), (0, f"{posted.name}\n", ""))
        self.assertEqual(posted.payload, b"42 pounds")

    @inlineCallbacks
    def test_a_file_is_sent(self) -> Any:
        file = self.home / "bill"
        file.write_bytes(b"42 pounds")
        said = ("--type", "bill", "--priority", "1", "--ttl", "60", "--key", "k", "--label", "l", "--own", "orders")
        result = yield self.run_command("send", *TO, str(file), *said, "--json")
        told = json.loads(result.stdout)
        [posted] = self.messages.posted
        self.assertEqual((told["schema"], told["name"], told["stage"]), ("seckex.sent/1", posted.name, "accepted"))
        self.assertEqual((posted.payload, posted.type, posted.key), (b"42 pounds", "bill", "k"))
        self.assertGreater(posted.expires, 0)
        [dialog] = self.messages.shown_dialogs()
        self.assertEqual((dialog["priority"], dialog["label"], dialog["own"]), (1, "l", "orders"))

    @inlineCallbacks
    def test_a_long_pipe_is_sent(self) -> Any:
        octets = bytes(range(256)) * 4096 * 3
        yield self.run_command("send", *TO, "-", given=octets)
        self.assertEqual(self.messages.spool.octets(self.messages.posted[0].payload), octets)

    @inlineCallbacks
    def test_a_long_file_goes_on_where_it_was(self) -> Any:
        file = self.home / "film"
        octets = bytes(range(256)) * 4096 * 3
        file.write_bytes(octets)
        pieces: list[int] = []
        uploads = self.served.tree.uploads
        route = next(each for each in self.served.tree.routes if each.method == "PUT")
        broken = [True]

        async def put(call: Any) -> Any:
            said = call.request.getHeader("Content-Range")
            pieces.append(int(said.split()[1].split("-")[0]))
            if len(pieces) == 2 and broken:
                broken.clear()
                call.request.channel.forceAbortClient()
                return None
            return await uploads.put(call)

        object.__setattr__(route, "answering", put)
        result = yield self.run_command("send", *TO, str(file))
        self.assertEqual((result.exit_code, self.messages.posted), (3, []))
        result = yield self.run_command("send", *TO, str(file))
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        self.assertEqual(pieces, [0, SPOOLED_ABOVE, SPOOLED_ABOVE, 2 * SPOOLED_ABOVE])
        self.assertEqual(self.messages.spool.octets(self.messages.posted[0].payload), octets)

    @inlineCallbacks
    def test_another_file_of_the_same_name_begins_anew(self) -> Any:
        file = self.home / "film"
        for octets in bytes(SPOOLED_ABOVE + 1), b"\1" * (SPOOLED_ABOVE + 1):
            file.write_bytes(octets)
            yield self.run_command("send", *TO, str(file))
            self.assertEqual(self.messages.spool.octets(self.messages.posted[-1].payload), octets)

    @inlineCallbacks
    def test_it_may_be_waited_for(self) -> Any:
        self.patch(Posted, "reach", lambda posted, _, reach=Posted.reach: reach(posted, Stage.PROCESSED))
        result = yield self.run_command("send", *TO, "--wait", "processed", "--json", given=b"1")
        self.assertEqual((result.exit_code, json.loads(result.stdout)["stage"]), (0, "processed"))

    @inlineCallbacks
    def test_a_wait_that_is_over(self) -> Any:
        result = yield self.run_command("send", *TO, "--wait", "delivered", "--timeout", "0.01", given=b"1")
        self.assertEqual((result.exit_code, result.stdout), (5, f"{self.messages.posted[0].name}\n"))
        self.assertIn("accepted after 0.01 s", result.stderr)

    @inlineCallbacks
    def test_refusals(self) -> Any:
        self.messages.room = 0
        result = yield self.run_command("send", *TO, given=b"1")
        self.assertEqual((result.exit_code, result.stderr), (1, "seckex: the outbox is full\n"))
        result = yield self.run_command("send", "--to", "nobody", "--service", "bills", given=b"1")
        self.assertEqual(result.exit_code, 2)
        self.assertIn("to must be a network access identifier", result.stderr)
        result = yield self.run_command("send", *TO, str(self.home / "none"))
        self.assertEqual((result.exit_code, "cannot be read" in result.stderr), (1, True))

    @inlineCallbacks
    def test_a_payload_that_is_refused_before_its_end(self) -> Any:
        result = yield self.run_command("send", "--to", "nobody", "--service", "bills", given=bytes(2**21))
        self.assertEqual(result.exit_code, 2)


class Screen(io.StringIO):
    """A standard error that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class BarTests(SynchronousTestCase):
    def bar(self, screen: io.StringIO, *, quiet: bool) -> str:
        self.patch(sys, "stderr", screen)
        with send._shown("film\x1b[31m", 4 * SPOOLED_ABOVE, quiet=quiet) as show:
            show(SPOOLED_ABOVE)
        return screen.getvalue()

    def test_a_terminal_has_a_bar(self) -> None:
        shown = self.bar(Screen(), quiet=False)
        self.assertIn("film\\x1b[31m", shown)
        self.assertIn("1.0/4.0 MiB", shown)

    def test_a_pipe_and_a_program_have_none(self) -> None:
        self.assertEqual(self.bar(io.StringIO(), quiet=False), "")
        self.assertEqual(self.bar(Screen(), quiet=True), "")


class FindingTests(ServedCase):
    @inlineCallbacks
    def test_the_socket_may_be_named(self) -> Any:
        result = yield self.run_command("dialogs", "--socket", str(self.state / "messages.sock"))
        self.assertEqual((result.exit_code, result.stdout), (0, "no dialogs\n"))
        result = yield self.run_command("dialogs", "--socket", "a", "--config", "b")
        self.assertEqual(result.exit_code, 2)

    @inlineCallbacks
    def test_the_configuration_says_where(self) -> Any:
        file = write_all(self.home, RESPONDER.replace("/run/seckex.sock", "/run/none.sock"))
        result = yield self.run_command("dialogs", "--config", str(file))
        self.assertEqual((result.exit_code, "has no [messages]" in result.stderr), (1, True))
        socket = self.state / "messages.sock"
        peer = '[[messages.peers]]\nnai = "node@example.net"\nkeys = "association"\n'
        file.write_text(file.read_text() + f'[messages.http]\nsocket = "{socket}"\n{peer}')
        result = yield self.run_command("dialogs", "--config", str(file))
        self.assertEqual((result.exit_code, result.stdout, result.stderr), (0, "no dialogs\n", ""))

    @inlineCallbacks
    def test_other_workers_are_found(self) -> Any:
        (self.state / "messages.sock").rename(self.state / "messages-1.sock")
        result = yield self.run_command("dialogs")
        self.assertEqual((result.exit_code, result.stdout), (0, "no dialogs\n"))

    @inlineCallbacks
    def test_nobody_serves(self) -> Any:
        result = yield self.run_command("dialogs", "--socket", str(self.home / "none.sock"))
        self.assertEqual((result.exit_code, result.stdout), (3, ""))
        self.assertIn("No such file", result.stderr)
        (self.state / "messages.sock").rename(self.home / "away.sock")
        result = yield self.run_command("dialogs")
        self.assertEqual(result.exit_code, 3)
        self.assertIn("no daemon serves messages on any of", result.stderr)

    @inlineCallbacks
    def test_two_serve(self) -> Any:
        other = self.home / "seckex" / "initiator"
        other.mkdir()
        port = self.served.listen_unix(other / "messages.sock")
        self.addCleanup(port.stopListening)
        result = yield self.run_command("dialogs")
        self.assertEqual((result.exit_code, "name one with" in result.stderr), (1, True))
