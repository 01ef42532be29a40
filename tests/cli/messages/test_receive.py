"""``seckex receive``: the verdict is the exit status of a command, or what became of a file."""

from __future__ import annotations

import os
import sys
from typing import Any

from twisted.internet.defer import inlineCallbacks
from twisted.internet.task import deferLater

from seckex.cli.messages import receive
from seckex.cli.messages.taking import ToOutput
from seckex.delivery.faces import SPOOLED_ABOVE, Verdict
from seckex.net.delivery.api import Decision
from seckex.testing import Delivered, State
from tests.cli.messages.served import PEER, ServedCase, reactor

ORDERS = ("receive", "--service", "orders")


class ReceiveCase(ServedCase):
    def setUp(self) -> None:
        super().setUp()
        self.patch(receive, "QUIET", 0.1)
        self.program = self.home / "program.py"

    def program_of(self, text: str) -> tuple[str, str]:
        self.program.write_text(text)
        return "--exec", f"{sys.executable} {self.program}"

    @inlineCallbacks
    def state_of(self, delivered: Delivered, state: State) -> Any:
        while delivered.state is not state:
            yield deferLater(reactor, 0.01, lambda: None)


class ExecTests(ReceiveCase):
    @inlineCallbacks
    def test_a_command_is_given_the_payload_and_told_the_rest(self) -> Any:
        order = self.messages.deliver("orders", b"1 pump", type="order")
        result = yield self.run_command(
            *ORDERS,
            *self.program_of(
                "import os, pathlib, sys\n"
                "told = {name: text for name, text in os.environ.items() if name.startswith('SECKEX_')}\n"
                "pathlib.Path(__file__).with_name('told').write_text(repr((sys.stdin.read(), told)))\n"
            ),
        )
        self.assertEqual((result.exit_code, result.stdout, result.stderr), (0, "", ""))
        payload, told = eval((self.home / "told").read_text())  # noqa: S307  # our own program's
        self.assertEqual(payload, "1 pump")
        self.assertEqual(
            told,
            {
                "SECKEX_NAME": order.name,
                "SECKEX_ID": f"{order.dialog_id.hex()}.o1",
                "SECKEX_DIALOG": order.dialog_id.hex(),
                "SECKEX_PEER": PEER,
                "SECKEX_SERVICE": "orders",
                "SECKEX_TYPE": "order",
                "SECKEX_EXPIRES": "0.0",
                "SECKEX_ATTEMPT": "1",
                "SECKEX_SIZE": "6",
            },
        )
        self.assertEqual(order.state, State.DONE)

    @inlineCallbacks
    def test_the_exit_status_is_the_verdict(self) -> Any:
        orders = [
            self.messages.deliver("orders", text.encode(), peer=f"p{text}@example.net")
            for text in ("0", "75", "3", "-9")
        ]
        result = yield self.run_command(
            *ORDERS,
            *self.program_of(
                "import os, sys\n"
                "status = int(sys.stdin.read())\n"
                "os.kill(os.getpid(), -status) if status < 0 else sys.exit(status)\n"
            ),
        )
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        states = [(order.state, order.why) for order in orders]
        self.assertEqual(
            states,
            [
                (State.DONE, ""),
                (State.WAITING, "the command ended with status 75"),
                (State.DEAD, "the command ended with status 3"),
                (State.WAITING, "the command was ended by signal 9"),
            ],
        )

    @inlineCallbacks
    def test_a_long_payload_is_piped(self) -> Any:
        self.messages.deliver("orders", bytes(range(256)) * 5000)
        order = self.messages.deliver("orders", bytes(SPOOLED_ABOVE + 1))
        yield self.run_command(
            *ORDERS,
            *self.program_of("import sys\nsys.exit(len(sys.stdin.buffer.read()) not in (1280000, 1048577))\n"),
        )
        self.assertEqual([each.state for each in self.messages.delivered], [State.DONE] * 2)
        self.assertEqual(order.state, State.DONE)

    @inlineCallbacks
    def test_a_command_need_not_read(self) -> Any:
        order = self.messages.deliver("orders", bytes(SPOOLED_ABOVE + 1))
        yield self.run_command(*ORDERS, *self.program_of(""))
        self.assertEqual(order.state, State.DONE)

    @inlineCallbacks
    def test_a_command_that_there_is_not(self) -> Any:
        order = self.messages.deliver("orders", b"1")
        for command in "no-such-command", "'", "":
            result = yield self.run_command(*ORDERS, "--exec", command)
            self.assertEqual((result.exit_code, order.state), (2, State.WAITING))


class DirectoryTests(ReceiveCase):
    def setUp(self) -> None:
        super().setUp()
        self.directory = self.home / "orders"
        self.directory.mkdir()

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.directory.iterdir()}

    @inlineCallbacks
    def test_messages_become_files(self) -> Any:
        orders = [self.messages.deliver("orders", b"%d" % number) for number in range(3)]
        result = yield self.run_command(*ORDERS, "--dir", str(self.directory))
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        self.assertEqual(self.files(), {order.name: b"%d" % number for number, order in enumerate(orders)})
        self.assertEqual({order.state for order in orders}, {State.DONE})
        self.assertEqual({path.stat().st_mode & 0o777 for path in self.directory.iterdir()}, {0o600})

    @inlineCallbacks
    def test_a_file_that_is_there_is_made_once(self) -> Any:
        (self.directory / "000000000001.o1").write_bytes(b"1")
        (self.directory / ".000000000001.o1.part").write_bytes(b"half of i")
        order = self.messages.deliver("orders", b"1")
        yield self.run_command(*ORDERS, "--dir", str(self.directory))
        self.assertEqual((self.files(), order.state), ({order.name: b"1"}, State.DONE))

    @inlineCallbacks
    def test_a_file_of_another_message_stays(self) -> Any:
        (self.directory / "000000000001.o1").write_bytes(b"another's")
        order = self.messages.deliver("orders", b"1")
        yield self.run_command(*ORDERS, "--dir", str(self.directory))
        self.assertEqual(self.files(), {order.name: b"another's", f"{order.dialog_id.hex()}.o1": b"1"})

    @inlineCallbacks
    def test_a_directory_that_is_gone(self) -> Any:
        order = self.messages.deliver("orders", b"1")
        self.patch(os, "link", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        result = yield self.run_command(*ORDERS, "--dir", str(self.directory))
        self.assertEqual((result.exit_code, self.files()), (1, {}))
        self.assertIn("cannot be written to: No space left on device", result.stderr)
        yield self.state_of(order, State.WAITING)


class OutputTests(ReceiveCase):
    @inlineCallbacks
    def test_all_that_waits(self) -> Any:
        for number in range(3):
            self.messages.deliver("orders", b"%d\n" % number)
        result = yield self.run_command(*ORDERS)
        self.assertEqual((result.exit_code, result.stdout), (0, "0\n1\n2\n"))

    @inlineCallbacks
    def test_one(self) -> Any:
        orders = [self.messages.deliver("orders", b"%d\n" % number) for number in range(2)]
        result = yield self.run_command(*ORDERS, "--one")
        self.assertEqual((result.exit_code, result.stdout), (0, "0\n"))
        yield self.state_of(orders[1], State.WAITING)
        self.assertEqual(orders[0].state, State.DONE)

    @inlineCallbacks
    def test_one_that_comes_later(self) -> Any:
        running = self.run_command(*ORDERS, "--one")
        while "orders" not in self.messages.receiving:
            yield deferLater(reactor, 0.01, lambda: None)
        self.messages.deliver("orders", b"0\n")
        result = yield running
        self.assertEqual((result.exit_code, result.stdout), (0, "0\n"))

    @inlineCallbacks
    def test_until_the_daemon_ends(self) -> Any:
        order = self.messages.deliver("orders", b"0\n")
        running = self.run_command(*ORDERS, "--follow")
        yield self.state_of(order, State.DONE)
        self.served.close()
        result = yield running
        self.assertEqual((result.exit_code, result.stdout), (3, "0\n"))

    @inlineCallbacks
    def test_ctrl_c(self) -> Any:
        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        self.patch(ToOutput, "take", interrupted)
        order = self.messages.deliver("orders", b"0\n")
        result = yield self.run_command(*ORDERS, "--follow")
        self.assertEqual((result.exit_code, result.output), (0, ""))
        yield self.state_of(order, State.WAITING)

    @inlineCallbacks
    def test_a_verdict_that_comes_too_late(self) -> Any:
        def forget(*_: object) -> tuple[Verdict, str]:
            self.served.tree.holdings.settle(next(iter(self.served.tree.holdings)), Decision(Verdict.DEAD))
            return Verdict.DONE, ""

        self.patch(ToOutput, "take", forget)
        order = self.messages.deliver("orders", b"0\n")
        result = yield self.run_command(*ORDERS)
        self.assertEqual((result.exit_code, order.state), (0, State.DEAD))
        self.assertIn(f"{order.name}: the verdict came too late", result.stderr)

    @inlineCallbacks
    def test_somebody_else_receives(self) -> Any:
        receiving = self.messages.receive("orders", lambda _: None)  # type: ignore[arg-type,return-value]  # never called
        result = yield self.run_command(*ORDERS)
        self.assertEqual((result.exit_code, result.stderr), (1, "seckex: another program receives for orders\n"))
        yield receiving.stop()
        result = yield self.run_command("receive", "--service", "else")
        self.assertEqual((result.exit_code, result.stderr), (1, "seckex: there is no service else\n"))

    @inlineCallbacks
    def test_wrong_usage(self) -> Any:
        for wrong in (("--exec", "true", "--dir", str(self.home)), ("--one", "--follow")):
            result = yield self.run_command(*ORDERS, *wrong)
            self.assertEqual(result.exit_code, 2)
