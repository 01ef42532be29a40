"""``seckex doctor``: each thing that can be wrong, made wrong, is found, with what to do about it."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from seckex.cli.demo.processes import free_port
from seckex.cli.doctor import local, network
from seckex.config.common import State
from seckex.config.initiator import InitiatorPeer
from seckex.config.metrics import Metrics
from seckex.wire.general import encode_versions
from tests.cli.test_status import STATUS, StatusCase
from tests.config.written import INITIATOR, RESPONDER, key0_text, write_private

Told = list[tuple[str, str]]


class DoctorCase(StatusCase):
    def setUp(self) -> None:
        super().setUp()
        self.state = self.home / "state"
        self.state.mkdir(mode=0o700)
        self.port = free_port(socket.SOCK_DGRAM)
        self.file = self.home / "seckex.toml"
        write_private(self.home / "key0.toml", key0_text())
        # Nobody waits in tests for what does not come.
        self.patch(network, "WAIT", 0.2)
        self.patch(network, "TCP_WAIT", 0.5)
        self.write(
            RESPONDER.replace("[[peers]]", f'[listen]\naddresses = ["127.0.0.1"]\nport = {self.port}\n[[peers]]')
        )

    def write(self, text: str) -> None:
        control = self.state / "control.sock"
        self.file.write_text(text.replace('"/run/seckex.sock"', json.dumps(str(control))))

    def initiator(self) -> None:
        text = INITIATOR.replace('"192.0.2.1"', f'"127.0.0.1"\nport = {self.port}')
        self.write(text.replace("tcp:8080:", f"tcp:{free_port()}:"))

    def told(self) -> tuple[int, list[dict[str, str]]]:
        result = self.run_command("doctor", "--config", str(self.file), "--json")
        answer = json.loads(result.stdout)
        self.assertEqual((answer["schema"], answer["file"]), ("seckex.doctor/1", str(self.file)))
        for one in answer["findings"]:
            self.assertEqual(bool(one["advice"]), one["health"] != "good", one)
        return result.exit_code, answer["findings"]

    def found(self, check: str, health: str) -> list[str]:
        return [one["what"] for one in self.told()[1] if (one["check"], one["health"]) == (check, health)]


class LocalTests(DoctorCase):
    def test_metrics_that_others_may_read(self) -> None:
        port = free_port()
        self.file.write_text(f'{self.file.read_text()}\n[metrics]\nlisten = ["0.0.0.0:{port}"]\n')
        self.assertEqual(self.found("metrics", "doubtful"), [f"0.0.0.0:{port} is open to other machines"])

    def test_a_daemon_that_is_not_ready(self) -> None:
        for answer, health, words in (
            (b'HTTP/1.0 200 OK\r\n\r\n{"checks": []}', "good", "is ready"),
            (
                b'HTTP/1.0 503 No\r\n\r\n{"checks": [{"check": "store", "ready": false, "why": "it is full"}]}',
                "doubtful",
                "store: it is full",
            ),
            (b"HTTP/1.0 200 OK\r\n\r\nhello", "bad", "does not answer as it should"),
            (b"", "bad", "does not answer as it should"),
        ):
            with socket.create_server(("127.0.0.1", 0)) as server:
                thread = threading.Thread(target=self.serve_once, args=(server, answer))
                thread.start()
                place = f"127.0.0.1:{server.getsockname()[1]}"
                [finding] = network.metrics(Metrics(listen=(place,)), live=True)
                thread.join()
            self.assertEqual(finding.health.value, health, answer)
            self.assertIn(words, finding.what)

    @staticmethod
    def serve_once(server: socket.socket, answer: bytes) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(answer)

    def test_a_machine_on_which_all_is_well(self) -> None:
        code, findings = self.told()
        self.assertEqual(code, 0)
        self.assertEqual(
            [(one["check"], one["health"]) for one in findings],
            [
                ("configuration", "good"),
                ("daemon", "doubtful"),
                ("files", "good"),
                ("disk", "good"),
                ("database", "good"),
                ("clock", "good"),
                ("ports", "good"),
                ("ports", "good"),
            ],
        )

    def test_for_people_with_what_to_do(self) -> None:
        (self.state / "seckex.db").write_bytes(b"rubbish" * 999)
        result = self.run_command("doctor", "--config", str(self.file))
        self.assertEqual((result.exit_code, result.stderr), (1, ""))
        self.assertIn("!!  database      ", result.stdout)
        self.assertIn("move the database and its -wal and -shm files away", result.stdout)

    def test_a_configuration_that_is_wrong(self) -> None:
        self.file.write_text(self.file.read_text() + "[lok]\n")
        code, findings = self.told()
        self.assertEqual((code, [one["check"] for one in findings]), (1, ["configuration"]))

    def test_a_key_that_is_open_to_others(self) -> None:
        os.chmod(self.home / "key0.toml", 0o644)
        (what,) = self.found("configuration", "bad")
        self.assertIn("too open for a secret", what)

    def test_files_that_are_open_to_others(self) -> None:
        (self.state / "master.key").write_bytes(bytes(32))
        os.chmod(self.state / "master.key", 0o640)
        (what,) = self.found("files", "bad")
        self.assertIn("master.key is open to other users", what)

    def test_a_key_log(self) -> None:
        self.file.write_text(self.file.read_text() + '[debug]\nkey-log = "state/keys.log"\n')
        path = self.state / "keys.log"
        path.touch(mode=0o600)
        self.assertEqual(self.found("key log", "doubtful"), [f"the keys of all links are written to {path}"])
        self.assertEqual(self.found("key log", "bad"), [])
        path.chmod(0o644)
        self.assertEqual(self.found("key log", "bad"), [f"{path} is open to other users"])

    def test_a_master_key_that_is_missing(self) -> None:
        (self.state / "seckex.db").write_bytes(b"")
        os.chmod(self.state / "seckex.db", 0o600)
        self.assertIn("master.key is missing", self.found("files", "bad")[0])

    def test_a_daemon_that_was_never_started(self) -> None:
        self.state.rmdir()
        self.assertEqual(self.found("files", "doubtful"), [f"{self.state} is not there"])
        self.assertEqual(self.told()[0], 0)

    def test_clocks(self) -> None:
        state = State(directory=self.state)
        future = self.state / "x"
        future.touch()
        os.utime(future, (time.time() + 7200, time.time() + 7200))
        (finding,) = local.clock(state)
        self.assertEqual(finding.health.value, "doubtful")
        self.patch(local, "EARLIEST", time.time() + 1)
        (finding,) = local.clock(state)
        self.assertEqual(finding.health.value, "bad")

    def test_room(self) -> None:
        state = State(directory=self.state / "not" / "yet")
        for bound, health in (("LITTLE", "doubtful"), ("TOO_LITTLE", "bad")):
            self.patch(local, bound, 2**60)
            (finding,) = local.disk(state)
            self.assertEqual(finding.health.value, health)

    def test_nothing_says_which_configuration(self) -> None:
        result = self.run_command("doctor")
        self.assertEqual(result.exit_code, 1)
        self.assertIn("name it with --config", result.stderr)

    def test_the_daemon_that_runs_says_which_configuration(self) -> None:
        daemon = {"role": "responder", "nai": "home@example.org", "configuration": str(self.file)}
        self.daemon(answer=STATUS | {"daemon": daemon})
        self.assertTrue(self.run_command("doctor").stdout.startswith(f"{self.file}\n"))


class PortTests(DoctorCase):
    def test_a_port_that_another_program_has(self) -> None:
        for kind, name in ((socket.SOCK_DGRAM, "UDP"), (socket.SOCK_STREAM, "TCP")):
            with closing(socket.socket(socket.AF_INET, kind)) as other:
                other.bind(("127.0.0.1", self.port))
                if kind is socket.SOCK_STREAM:
                    other.listen()
                what = f"{name} port {self.port} of 127.0.0.1 is taken by another program"
                self.assertEqual(self.found("ports", "bad"), [what])

    def test_an_address_that_is_not_ours(self) -> None:
        self.file.write_text(self.file.read_text().replace('"127.0.0.1"]', '"192.0.2.77"]'))
        self.assertIn("does not have that address", self.found("ports", "bad")[0])


class Answering:
    """A program that answers over UDP and TCP on a port of 127.0.0.1; None: says nothing."""

    def __init__(self, test: DoctorCase, answer: Any) -> None:
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._udp.bind(("127.0.0.1", test.port))
        self._tcp.bind(("127.0.0.1", test.port))
        self._tcp.listen()
        self._answer = answer
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        test.addCleanup(self._stop)

    def _serve(self) -> None:
        while True:
            octets, sender = self._udp.recvfrom(2048)
            if octets == b"stop":
                return
            answer = self._answer(octets)
            if answer is not None:
                self._udp.sendto(answer, sender)

    def _stop(self) -> None:
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as stop:
            stop.sendto(b"stop", self._udp.getsockname())
        self._thread.join()
        self._udp.close()
        self._tcp.close()


class PeerTests(DoctorCase):
    def peers(self) -> Told:
        self.initiator()
        return [(one["health"], one["what"]) for one in self.told()[1] if one["check"] == "peers"]

    def where(self, over: str) -> str:
        return f"home@example.org at 127.0.0.1 port {self.port} over {over}"

    def test_a_peer_that_answers(self) -> None:
        Answering(self, lambda octets: encode_versions(octets, (1,)))
        self.assertEqual(
            self.peers(),
            [("good", f"{self.where('UDP')} speaks version 1"), ("good", f"{self.where('TCP')} takes connections")],
        )

    def test_a_peer_of_another_version(self) -> None:
        Answering(self, lambda octets: encode_versions(octets, (2, 3)))
        self.assertEqual(self.peers()[0], ("bad", f"{self.where('UDP')} speaks version 2, 3, not 1"))

    def test_something_else_that_answers(self) -> None:
        Answering(self, lambda _: b"220 mail.example.org ESMTP")
        self.assertEqual(self.peers()[0], ("bad", f"{self.where('UDP')}: what answers is not this protocol"))

    def test_silence(self) -> None:
        Answering(self, lambda _: None)
        self.assertIn("no answer within", self.peers()[0][1])

    def test_nobody_there(self) -> None:
        self.assertEqual(
            self.peers(),
            [
                ("bad", f"{self.where('UDP')}: nothing listens there"),
                ("bad", f"{self.where('TCP')}: Connection refused"),
            ],
        )

    def test_a_name_that_leads_nowhere(self) -> None:
        def unknown(*_arguments: object, **_named: object) -> None:
            raise socket.gaierror(-2, "Name or service not known")

        self.patch(socket, "getaddrinfo", unknown)
        (found,) = network.reach([InitiatorPeer(nai="home@example.org", key0=Path("x"), address="home.example.org")])
        self.assertIn("home.example.org cannot be looked up: Name or service not known", found.what)
        self.assertEqual(found.health.value, "bad")

    def test_at_most_32_are_tried(self) -> None:
        self.patch(network, "_reach", lambda _: [])
        peers = [InitiatorPeer(nai=f"{n}@example.org", key0=Path("x"), address="127.0.0.1") for n in range(33)]
        (found,) = network.reach(peers)
        self.assertEqual(found.what, "1 further peers were not tried")
