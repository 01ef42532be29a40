"""A key distribution center in a process of its own: killed while it issues, it has said nothing that it takes back."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

from seckex.cli.demo.processes import free_port
from seckex.wire import hop
from seckex.wire.keying import KeyMaterial, KeyRequest
from seckex.wire.numbers import Keying
from tests.config.written import write_credentials
from tests.daemons.stage import StageTestCase

NODE, HOME = "node@example.org", "home@example.org"
REQUESTS = 400

CENTER = """\
role = "kdc"
[identity]
nai = "kdc@example.org"
certificate = "kdc.pem"
private-key = "kdc.key"
trust = ["ca/ca.pem"]
[hops-listen]
addresses = ["127.0.0.1"]
port = {port}
accept = ["home@example.org"]
[kdc]
issue-rate = 0
[state]
directory = "kdc"
[log]
format = "json"
file = "kdc.log"
"""


class KilledTests(StageTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.hop_port = free_port()
        (self.folder / "kdc.toml").write_text(CENTER.format(port=self.hop_port))
        for name in ("kdc", "home"):
            write_credentials(self.folder, name, f"{name}@example.org")

    def connect(self) -> ssl.SSLSocket:
        """Return a hop of the home agent's."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # Who the center is, is the matter of other tests.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.load_cert_chain(self.folder / "home.pem", self.folder / "home.key")
        context.set_alpn_protocols(["seckex1-hop"])
        made = context.wrap_socket(socket.create_connection(("127.0.0.1", self.hop_port), 30))
        self.addCleanup(made.close)
        self.assertEqual(made.recv(2), b"\0\0")
        return made

    def answers(self, connection: ssl.SSLSocket) -> Iterator[hop.Issued]:
        """Ask for all keys at once, and yield the answers until the connection ends."""
        asked = [
            hop.encode_hop(
                hop.Keys(n, KeyRequest(Keying.STATEFUL, 3600, 1, n.to_bytes(32, "big"), NODE, "fa@example.net"))
            )
            for n in range(1, REQUESTS + 1)
        ]
        connection.sendall(b"".join(len(octets).to_bytes(2, "big") + octets for octets in asked))
        buffer = b""
        try:
            while chunk := connection.recv(65536):
                buffer += chunk
                while len(buffer) >= 2 and len(buffer) >= 2 + int.from_bytes(buffer[:2], "big"):
                    end = 2 + int.from_bytes(buffer[:2], "big")
                    answer, buffer = hop.decode_hop(buffer[2:end]), buffer[end:]
                    assert isinstance(answer, hop.Issued), answer
                    yield answer
        except OSError:
            return

    def test_what_it_has_issued_it_issues_again(self) -> None:
        told: dict[int, KeyMaterial] = {}
        for number, most in enumerate((1, 60, 250, REQUESTS)):
            center = self.daemon("kdc")
            self.wait_for_control("kdc")
            if not number:
                request = {"command": "kdc-add", "principal": NODE, "home_agent": HOME}
                self.told_by("kdc", request, "seckex.kdc-principal/1")
            for heard, answer in enumerate(self.answers(self.connect()), start=1):
                self.assertEqual(told.setdefault(answer.identification, answer.material), answer.material)
                if heard == most:
                    break
            self.kill(center)
        self.assertNotIn("Traceback", (self.folder / "kdc.log").read_text())
        self.assertEqual(len(told), REQUESTS)
        self.assertEqual(len({material.keys[0] for material in told.values()}), REQUESTS)
