"""A foreign agent in a process of its own, asked over real sockets."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import closing

from seckex.cli.demo.processes import free_port
from seckex.wire.advertisement import Advertisement, AdvertisementFlag, decode_advertisement, encode_solicitation
from seckex.wire.mobileip import AgentRefusal, decode_node_reply
from seckex.wire.numbers import Code, Kem
from tests.config.written import write_credentials
from tests.daemons.stage import PATIENCE, StageTestCase
from tests.roles.foreign_agent.parts import node_request

AGENT = """\
role = "agent"
[identity]
nai = "agent@visited.example"
certificate = "agent.pem"
private-key = "agent.key"
trust = ["ca/ca.pem"]
[listen]
addresses = ["127.0.0.2"]
port = {port}
[state]
directory = "agent"
[log]
format = "json"
file = "agent.log"
level = "debug"
[foreign-agent]
longest-registration = "{longest}"
advertise-every = "1s"
groups = ["239.255.67.35"]
[[hops]]
nai = "home@example.org"
address = "127.0.0.1"
port = {closed}
[[policy.proposals]]
key-agreement = ["x25519", "x25519-ml-kem-768"]
"""


class AgentTests(StageTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.port = free_port(socket.SOCK_DGRAM)
        write_credentials(self.folder, "agent", "agent@visited.example")
        self.write("8h")
        self.agent = self.daemon("agent")
        self.wait_for_control("agent")

    def write(self, longest: str) -> None:
        text = AGENT.format(port=self.port, closed=self.closed_port, longest=longest)
        (self.folder / "agent.toml").write_text(text)

    def asked_at(self, octets: bytes, where: str) -> tuple[bytes, str]:
        """Say something to the agent, by UDP or, where that is too long, by TCP; return the answer, and who gave it."""
        if len(octets) > 1232:
            with closing(socket.create_connection((where, self.port), timeout=PATIENCE)) as stream:
                stream.sendall(len(octets).to_bytes(2, "big") + octets)
                with stream.makefile("rb") as answers:
                    return answers.read(int.from_bytes(answers.read(2), "big")), where
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as own:
            own.bind(("127.0.0.1", 0))
            own.settimeout(PATIENCE)
            own.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
            own.sendto(octets, (where, self.port))
            answer, (host, _) = own.recvfrom(2000)
            return answer, host

    def advertised(self, where: str = "127.0.0.2") -> Advertisement:
        answer, host = self.asked_at(encode_solicitation(9), where)
        self.assertEqual(host, "127.0.0.2")
        identification, advertisement = decode_advertisement(answer)
        self.assertEqual(identification, 9)
        return advertisement

    def test_it_is_found_asked_and_told_otherwise(self) -> None:
        for where in ("127.0.0.2", "239.255.67.35"):
            self.assertEqual(self.advertised(where).nai, "agent@visited.example")
        self.assertTrue(self.advertised().flags & AdvertisementFlag.HYBRID)
        self.assertEqual(self.heard().sequence > 0, True)
        # Its home agent is not there, which a node is told by UDP and by TCP.
        for kem in Kem:
            care_of = self.advertised().care_of[0]
            request = node_request(self.advertised().challenge, kem, care_of=care_of)
            refusal = decode_node_reply(self.asked_at(request.octets, "127.0.0.2")[0])
            assert isinstance(refusal, AgentRefusal)
            self.assertEqual(Code(refusal.header.code), Code.HOME_AGENT_UNREACHABLE)
            self.assertEqual(refusal.header.identification, request.parts.identification)
        status = self.status("agent")
        self.assertEqual(status["roles"]["foreign-agent"]["domain"], "visited.example")
        self.assertEqual(status["counters"]["foreign-agent.turned-away.home-agent-unreachable"], 2)
        self.assertTrue(self.logged("agent", "RelayFailed"))
        self.write("5m")
        os.kill(self.agent.pid, signal.SIGHUP)
        self.until("the other lifetime", lambda: self.advertised().longest == 300)
        self.assertEqual(self.stop(self.agent), -signal.SIGTERM)
        self.assertNotIn("Traceback", (self.folder / "agent.log").read_text())

    def heard(self) -> Advertisement:
        """Return an advertisement to everybody with a number above 0."""
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as own:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            own.bind(("239.255.67.35", self.port))
            member = socket.inet_aton("239.255.67.35") + socket.inet_aton("127.0.0.1")
            own.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
            own.settimeout(PATIENCE)
            while True:
                identification, advertisement = decode_advertisement(own.recv(2000))
                if not identification and advertisement.sequence:
                    return advertisement
