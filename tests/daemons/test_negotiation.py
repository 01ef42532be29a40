"""Two daemons and their association, through restarts, lost state and strangers."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import time

from seckex.cli.demo.files import write_key
from seckex.config.load import read_key0
from seckex.config.policy import PolicySettings
from seckex.crypto.authority import Key0
from seckex.exchange import initiator
from seckex.exchange.terms import Terms
from seckex.machine import Now, Path, Send
from seckex.wire.general import decode_message, decode_versions
from seckex.wire.numbers import Kind
from tests.daemons.stage import HOME, NODE, PATIENCE, StageTestCase


class LifeTests(StageTestCase):
    def spis(self, role: str) -> set[int]:
        return {association["spi_in"] for association in self.confirmed(role)}

    def test_both_ends_hold_the_same_association(self) -> None:
        self.both()
        (ours,), (theirs,) = self.confirmed("initiator"), self.confirmed("responder")
        self.assertEqual((ours["peer"], theirs["peer"]), (HOME, NODE))
        self.assertEqual((ours["spi_in"], ours["spi_out"]), (theirs["spi_out"], theirs["spi_in"]))
        self.assertEqual(ours["transforms"], theirs["transforms"])

    def test_under_load_and_with_an_offer_that_is_too_long_for_a_datagram(self) -> None:
        self.write_responder(more='[limits]\ncookies = "always"\n')
        self.both()
        counted = self.status("responder")["counters"]
        self.assertEqual((counted["gate.cookies-asked"], counted["gate.cookies-right"]), (1, 1))
        self.stop(self.running[1])
        shutil.rmtree(self.folder / "initiator")
        configuration = self.folder / "initiator.toml"
        more = "".join(f'[[policy.proposals]]\nlifetime = "{8 - number}h"\noctets = "1 TiB"\n' for number in range(7))
        configuration.write_text(configuration.read_text() + more)
        self.daemon("initiator")
        self.until("an association", lambda: bool(self.asked("initiator") and self.confirmed("initiator")))
        counted = self.status("responder")["counters"]
        # Over TCP nobody is asked for a cookie.
        self.assertEqual((counted["gate.cookies-asked"], counted["tcp.messages"]), (1, 1))

    def test_a_clean_stop(self) -> None:
        responder, initiator = self.both()
        for process in (initiator, responder):
            # twistd stops cleanly and then ends by the signal that it was sent.
            self.assertEqual(self.stop(process), -signal.SIGTERM)
            self.assertFalse((self.folder / process.name / "control.sock").exists())
            self.assertIn("has stopped", (self.folder / f"{process.name}.log").read_text())

    def test_a_killed_responder_still_holds_it(self) -> None:
        responder, _ = self.both()
        before = self.spis("responder")
        self.kill(responder)
        self.daemon("responder")
        self.until("the responder's return", lambda: self.asked("responder") is not None)
        self.assertEqual(self.spis("responder"), before)

    def test_a_killed_initiator_takes_it_up_again(self) -> None:
        _, initiator = self.both()
        before = self.spis("initiator")
        self.kill(initiator)
        self.daemon("initiator")
        self.until("the initiator's return", lambda: self.asked("initiator") is not None)
        self.assertEqual({association["spi_in"] for association in self.status("initiator")["associations"]}, before)

    def test_keys_are_not_in_the_files(self) -> None:
        self.both()
        database = sqlite3.connect(self.folder / "responder" / "seckex.db")
        self.addCleanup(database.close)
        (rows,) = database.execute("SELECT count(*) FROM association").fetchone()
        self.assertEqual(rows, 1)
        for file in (self.folder / "responder").iterdir():
            self.assertEqual(file.stat().st_mode & 0o077, 0, str(file))


class ReplayTests(StageTestCase):
    """A request is answered once and for all, whoever sends it again and whenever."""

    def offer(self) -> bytes:
        key = read_key0(self.folder / "node.key0")
        key0 = Key0(key.key, key.spi, key.kvno, (NODE, HOME))
        terms = Terms(NODE, HOME, key0, PolicySettings().as_policy(), os.urandom)
        step = initiator.begin(terms, Path(self.address, self.port), Now(0.0, time.time()))
        return next(action.octets for action in step.actions if isinstance(action, Send))

    def ask(self, octets: bytes) -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.settimeout(PATIENCE)
            udp.connect((self.address, self.port))
            udp.send(octets)
            return udp.recv(2048)

    def test_replayed_now_and_after_a_crash(self) -> None:
        responder = self.daemon("responder")
        self.wait_for_control("responder")
        offer = self.offer()
        answer = self.ask(offer)
        self.assertEqual(decode_message(answer).header.kind, Kind.CHOICE)
        self.assertEqual(self.ask(offer), answer)
        self.kill(responder)
        (self.folder / "responder" / "control.sock").unlink()
        self.daemon("responder")
        self.wait_for_control("responder")
        self.assertEqual(self.ask(offer), answer)
        self.assertEqual(len(self.status("responder")["associations"]), 1)
        self.assertEqual(self.status("responder")["counters"]["retransmissions"], 1)


class StrangerTests(StageTestCase):
    def exchange(self, octets: bytes) -> bytes:
        """Send a datagram and return the answer, empty where none comes before that to a question of ours."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.settimeout(PATIENCE)
            udp.connect((self.address, self.port))
            udp.send(octets)
            udp.send(bytes.fromhex("ff2000070000000000000777") + bytes(20))
            answer = udp.recv(2048)
            if answer[4:12] == bytes.fromhex("0000000000000777"):
                return b""
            udp.recv(2048)
            return answer

    def test_another_version_is_told_which_are_spoken(self) -> None:
        self.daemon("responder")
        self.wait_for_control("responder")
        answer = self.exchange(bytes.fromhex("ff9000010123456789abcdef") + bytes(20))
        self.assertEqual(decode_versions(answer).versions, (1,))
        self.assertEqual(decode_versions(answer).identification, 0x0123456789ABCDEF)
        self.until("the log", lambda: self.logged("responder", "VersionUnsupported"))

    def test_garbage_is_met_with_silence_and_counted(self) -> None:
        self.daemon("responder")
        self.wait_for_control("responder")
        for octets in (b"", b"\0", b"GET / HTTP/1.0\r\n\r\n", os.urandom(1200), bytes([0xFF, 0x10]) + os.urandom(900)):
            self.assertEqual(self.exchange(octets), b"")
        counters = self.status("responder")["counters"]
        self.assertGreaterEqual(counters["dropped.malformed"], 4)
        with socket.create_connection((self.address, self.port), timeout=PATIENCE) as tcp:
            tcp.sendall(b"GET / HTTP/1.0\r\n\r\n")
            self.assertEqual(tcp.recv(100), b"")
        self.assertEqual(self.status("responder")["counters"]["links.foreign"], 1)

    def test_an_unknown_key_is_met_with_silence_and_explained(self) -> None:
        self.daemon("responder")
        self.wait_for_control("responder")
        (self.folder / "node.key0").unlink()
        write_key(self.folder / "node.key0", NODE)
        self.daemon("initiator")
        self.until("the drop", lambda: "dropped.unknown-key0" in self.status("responder")["counters"])
        self.assertIn("no KEY 0 with SPI", (self.folder / "responder.log").read_text())
        self.assertEqual(self.status("responder")["associations"], [])


class StartTests(StageTestCase):
    """What is wrong is said in one line, with what would be right, and the exit status is 1."""

    def edit(self, old: str, new: str) -> None:
        path = self.folder / "responder.toml"
        text = path.read_text()
        self.assertIn(old, text)
        path.write_text(text.replace(old, new))

    def test_an_unknown_setting(self) -> None:
        self.edit("[log]", "[lgo]")
        self.assertIn("lgo", self.refused_start("responder"))

    def test_a_key_file_that_others_can_read(self) -> None:
        (self.folder / "node.key0").chmod(0o644)
        said = self.refused_start("responder")
        self.assertIn("0644", said)
        self.assertIn("chmod 0600", said)

    def test_a_missing_key_file(self) -> None:
        (self.folder / "node.key0").unlink()
        self.assertIn("node.key0", self.refused_start("responder"))

    def test_a_busy_port(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as busy:
            busy.bind((self.address, self.port))
            busy.listen()
            said = self.refused_start("responder")
        self.assertIn(str(self.port), said)
        self.assertIn("in use", said)

    def test_the_wrong_role(self) -> None:
        (self.folder / "responder.toml").rename(self.folder / "initiator.toml")
        self.assertIn("role", self.refused_start("initiator"))

    def test_a_second_daemon_on_the_same_state(self) -> None:
        self.daemon("responder")
        self.wait_for_control("responder")
        self.assertIn("already running", self.refused_start("responder"))

    def test_a_lost_master_key(self) -> None:
        process = self.daemon("responder")
        self.wait_for_control("responder")
        self.stop(process)
        (self.folder / "responder" / "master.key").unlink()
        self.assertIn("master key", self.refused_start("responder"))
