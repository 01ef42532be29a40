"""What happens to machines that run daemons: state that goes away or rots, kills, peers that hang."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sqlite3

from seckex.cli.demo.processes import Process, twistd
from tests.daemons.forked import ForkedProcess
from tests.daemons.stage import HOME, PATIENCE, StageTestCase


class StateTests(StageTestCase):
    def damaged(self, process: Process, where: int) -> None:
        """Kill a responder and damage a page of its database."""
        self.kill(process)
        database = self.folder / "responder" / "seckex.db"
        # What is in the log goes into the file, as a checkpoint would have it at any time.
        with contextlib.closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        octets = bytearray(database.read_bytes())
        octets[where : where + 512] = bytes(each ^ 0x5A for each in octets[where : where + 512])
        database.write_bytes(octets)

    def test_a_state_directory_that_is_removed_is_noticed(self) -> None:
        self.both()
        shutil.move(self.folder / "responder", self.folder / "aside")
        self.told_by("initiator", {"command": "rekey", "peer": HOME}, "seckex.rekey/1")
        self.until("the trouble", lambda: self.logged("responder", "StoreTrouble"))
        self.assertIn("was removed or replaced while it was in use", (self.folder / "responder.log").read_text())
        shutil.move(self.folder / "aside", self.folder / "responder")
        before = len(self.confirmed("initiator"))
        self.until("another association", lambda: len(self.confirmed("initiator")) != before or self.renewed())

    def renewed(self) -> bool:
        """Tell whether the initiator has had two associations."""
        return (self.folder / "initiator.log").read_text().count('"AssociationEstablished"') > 1

    def test_a_database_that_is_damaged_all_over_is_refused_and_the_reason_told(self) -> None:
        responder, _ = self.both()
        self.damaged(responder, 0)
        self.assertRegex(self.refused_start("responder"), r"seckex\.db is (not a database, or is )?damaged")

    def test_a_database_with_a_damaged_page_is_refused_or_what_is_right_in_it_is_used(self) -> None:
        responder, _ = self.both()
        database = self.folder / "responder" / "seckex.db"
        for page in (1, 5):
            self.damaged(responder, page * 4096 - 600)
            command = [twistd(), "-n", "--pidfile=", "seckex-responder", "--config", "responder.toml"]
            responder = ForkedProcess("responder", command, self.folder, self.folder / "responder.log")
            responder.start()
            self.until("its word", lambda one=responder: ended(one) or bool(self.asked("responder")))  # type: ignore[misc]  # bound
            if not ended(responder):
                self.running.append(responder)
            else:
                self.assertIn("damaged", responder.output.read_text())
                for file in database.parent.glob("seckex.db*"):
                    file.unlink()
                responder = self.daemon("responder")
                self.wait_for_control("responder")
            self.told_by("initiator", {"command": "rekey", "peer": HOME}, "seckex.rekey/1")
            self.until("an association", lambda: self.alike())
        self.assertNotIn("forged", (self.folder / "responder.log").read_text())

    def alike(self) -> bool:
        """Tell whether both ends have an association in common that both have confirmed."""
        ours = {(each["spi_in"], each["spi_out"]) for each in self.confirmed("initiator")}
        theirs = {(each["spi_out"], each["spi_in"]) for each in self.confirmed("responder")}
        return bool(ours & theirs)


def ended(process: Process) -> bool:
    """Tell whether a process has ended."""
    try:
        process.check()
    except Exception:
        return True
    return False


class KilledTests(StageTestCase):
    def test_a_unix_socket_left_behind_is_taken_again_whoever_has_the_number_of_its_process(self) -> None:
        path = self.folder / "forward.sock"
        self.write_initiator(self.forward(f"unix:{path}:mode=600", "web"))
        initiator = self.daemon("initiator")
        self.wait_for_control("initiator")
        self.kill(initiator)
        self.assertTrue(path.exists())
        lock = self.folder / "forward.sock.lock"
        lock.unlink(missing_ok=True)
        lock.symlink_to("1")
        initiator = self.daemon("initiator")
        self.wait_for_control("initiator")
        with socket.socket(socket.AF_UNIX) as local:
            local.connect(str(path))
        self.stop(initiator)
        self.assertFalse(path.exists())

    def test_a_unix_socket_that_somebody_listens_on_is_let_be(self) -> None:
        path = self.folder / "forward.sock"
        self.write_initiator(self.forward(f"unix:{path}:mode=600", "web"))
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
            other.listen()
            self.assertIn("another process listens on", self.refused_start("initiator"))
            self.assertTrue(path.exists())


class HangingTests(StageTestCase):
    def test_a_peer_that_hangs_does_not_hold_up_a_stop(self) -> None:
        self.serve_files(1 << 26)
        responder, initiator = self.both()
        with socket.create_connection(("127.0.0.1", self.forward_port), timeout=PATIENCE) as download:
            download.sendall(b"GET /file.bin HTTP/1.0\r\n\r\n")
            self.assertTrue(download.recv(1))
            os.kill(initiator.pid, signal.SIGSTOP)
            self.running.remove(responder)
            try:
                self.assertTrue(responder.stop(PATIENCE))
            finally:
                os.kill(initiator.pid, signal.SIGCONT)
        self.assertFalse((self.folder / "responder" / "control.sock").exists())
        self.assertIn("responder has stopped", (self.folder / "responder.log").read_text())
