"""Two daemons exchange messages in every way; no secret of that run is in what they show, nor stays when it has ended.

Both run in this process, over real sockets, with stores on disk and logs at their finest. What was shown is what
`tests.shown` notes, and what the files hold; payloads count as secrets. That the store forgets what was delivered is
shown by `tests.storage.messages.test_secrecy`; here it is that prekeys are gone from the disk when they have ended.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any, Final

from click.testing import CliRunner
from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred

from seckex.cli.demo.processes import free_port
from seckex.cli.main import main
from seckex.delivery.faces import SPOOLED_ABOVE, Verdict
from seckex.net.daemon import DATABASE, Daemon
from seckex.net.delivery.api import Decision, Message
from seckex.net.inprocess import initiator_of, responder_of
from tests.daemons.messaging import CONFIGURATION, SIDES
from tests.daemons.stage import HOME, NODE
from tests.shown import ShownCase, found

reactor: Any = installed

MARKER: Final = b"what the message says is nobody else's business"
LARGE: Final = MARKER.ljust(SPOOLED_ABOVE + 1, b"!")
MOST: Final = 256
DAY: Final = 86_400.0


class MessagesRunTests(ShownCase):
    """See the module."""

    def cert(self, *arguments: str) -> None:
        result = CliRunner().invoke(main, ["cert", *arguments])
        self.assertEqual(result.exit_code, 0, result.output)

    def begin(self) -> None:
        """Write configurations, and start both daemons."""
        ca, port = str(self.folder / "ca"), free_port()
        self.cert("ca", "-d", ca)
        self.cert("crl", "-d", ca)
        for role, (nai, service) in SIDES.items():
            self.cert("new", nai, "-d", ca, "-o", str(self.folder / f"{role}.pem"))
            called = role == "responder"
            text = CONFIGURATION.format(
                role=role,
                nai=nai,
                listen=f'[listen]\naddresses = ["127.0.0.1"]\nport = {port}' if called else "",
                messages="",
                peer=NODE if called else HOME,
                where="" if called else f'address = "127.0.0.1"\nport = {port}',
                service=service,
                realm="example.net" if called else "example.org",
                more='largest = "2 MiB"',
            )
            (self.folder / f"{role}.toml").write_text(text)
        self.home = responder_of(reactor, self.folder / "responder.toml")
        self.node = initiator_of(reactor, self.folder / "initiator.toml")
        self.running = [self.home, self.node]
        self.addCleanup(lambda: Deferred.fromCoroutine(self.stop_all()))
        for daemon in self.running:
            daemon.privilegedStartService()
            daemon.startService()

    def messages(self, daemon: Daemon[Any]) -> Any:
        return daemon.messages

    async def exchange(self) -> None:
        """Send small, large, answered, retried and dead messages; wait for their end."""
        attempts: list[int] = []
        answers: list[Message] = []

        def orders(message: Message) -> Decision:
            attempts.append(message.attempt)
            if message.type == "dead":
                return Decision(Verdict.DEAD, "nobody wants it")
            if message.type == "fails":
                raise ZeroDivisionError("by the test")
            message.dialog.send(MARKER + b", answered")
            return Decision(Verdict.DONE if message.attempt > 1 or message.type else Verdict.RETRY, after=0.0)

        def receipts(message: Message) -> Verdict:
            answers.append(message)
            return Verdict.DONE

        home, node = self.messages(self.home), self.messages(self.node)
        home.receive("orders", orders)
        node.receive("receipts", receipts)
        dialog = node.dialog(HOME, "orders", own="receipts")
        await dialog.send(MARKER).processed
        upload = node.upload()
        await upload.write(LARGE)
        await dialog.send(await upload.finish(), type="large").processed
        sent = [dialog.send(MARKER, type=kind).processed for kind in ("dead", "small")]
        for each in sent:
            each.addErrback(lambda _: None)
            await each
        dialog.send(MARKER, type="fails")
        await self.until(lambda: len(answers) >= 4 and attempts.count(1) >= 5)
        self.flushLoggedErrors(ZeroDivisionError)
        for each in (home, node):
            name = f"{dialog.id.hex()[:12]}.o1"
            self.answers += [str(each.shown_dialogs()), str(each.shown_queue(True)), str(each.why(name))]
            self.answers.append(str(await each.shown_dead()))

    def shown(self) -> dict[str, bytes]:
        """Return all that was shown, by where."""
        files = {
            f"file {file.relative_to(self.folder)}": file.read_bytes()
            for file in self.folder.rglob("*")
            if file.is_file() and not ("master" in file.name or file.suffix == ".key")
        }
        self.assertIn(f"file responder/{DATABASE}", files)
        self.assertIn("file responder/messages.db", files)
        return files | {
            "lines": "\n".join(self.lines).encode(errors="replace"),
            "errors": "\n".join(self.errors).encode(errors="replace"),
            "failures": "\n".join(self.failures).encode(errors="replace"),
            "answers": "\n".join(self.answers).encode(errors="replace"),
            "objects": self.objects.encode(errors="replace"),
        }

    async def test_no_secret_is_shown(self) -> None:
        self.begin()
        await self.exchange()
        # Long ones may begin with a certificate, and end with a key.
        self.secrets = {secret[-32:] if len(secret) > MOST else secret for secret in self.secrets} | {MARKER}
        self.objects = "\n".join(self.living())
        self.assertGreater(len(self.secrets), 40)
        self.assertEqual(found(self.secrets, self.shown()), [])
        await self.stop_all()
        self.assertEqual(found(self.secrets, self.shown()), [])

    def sealed(self, role: str) -> set[bytes]:
        """Return the records of prekeys as they are on the disk."""
        with closing(sqlite3.connect(f"file:{self.folder / role / DATABASE}?mode=ro", uri=True)) as database:
            tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            rows = [row for table in tables for row in database.execute(f'SELECT * FROM "{table}"')]  # noqa: S608  # their names
        return {value for row in rows for value in row if isinstance(value, bytes) and len(value) > 48}

    async def test_prekeys_that_have_ended_are_gone_from_the_disk(self) -> None:
        self.begin()
        await self.exchange()
        ring = self.messages(self.home).ring
        before = {kept.private.id for kept in ring._kept.values()}
        records = self.sealed("responder")
        later = self.home.clock.wall() + 8 * DAY
        ring.tend(later)
        await self.until(
            lambda: before.isdisjoint(kept.private.id for kept in ring._kept.values()) and not ring._making
        )
        await self.stop_all()
        gone = records - self.sealed("responder")
        self.assertGreaterEqual(len(gone), len(before))
        octets = b"".join(file.read_bytes() for file in (self.folder / "responder").rglob("*") if file.is_file())
        for record in gone:
            self.assertNotIn(record[16:48], octets)
