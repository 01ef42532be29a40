"""Relays, agents and home agents in processes of their own, with hops between them: by TLS and under associations."""

from __future__ import annotations

import os
import signal
from typing import Any, Final

from click.testing import CliRunner

from seckex.cli.demo.processes import Process, free_port
from seckex.cli.main import main
from tests.daemons.stage import StageTestCase

FOREIGN, ONE, TWO = "aaa@visited.example", "one@home.example", "two@home.example"
NAMES: Final = {"foreign": FOREIGN, "one": ONE, "two": TWO}

SERVER: Final = """\
role = "agent"
[identity]
nai = "{nai}"
certificate = "{name}.pem"
private-key = "{name}.key"
trust = ["ca/ca.pem"]
revocation = [{lists}]
[listen]
addresses = ["127.0.0.1"]
port = {port}
[state]
directory = "{name}"
[log]
format = "json"
file = "{name}.log"
level = "debug"
[hops-listen]
addresses = ["127.0.0.1"]
port = {hops}
accept = [{accept}]
"""

HOP: Final = """\
[[hops]]
nai = "{nai}"
address = "127.0.0.1"
port = {port}
{more}
"""


class HopsOfDaemonsTests(StageTestCase):
    """A foreign AAA server in front of two home ones, the second of which knows a third principal, the first."""

    def setUp(self) -> None:
        super().setUp()
        self.lists = ""
        self.ports = {name: (free_port(), free_port()) for name in NAMES}
        self.ca = str(self.folder / "ca")
        self.cert("ca", "-d", self.ca)
        for name, nai in NAMES.items():
            self.cert("new", nai, "-d", self.ca, "-o", str(self.folder / f"{name}.pem"))
        routes = f'[[aaa.routes]]\nrealm = "home.example"\nnext = ["{ONE}", "{TWO}"]\n'
        self.write("foreign", routes + self.hop("one") + self.hop("two"))
        self.write("one", f'[aaa]\nhome-agents = ["{TWO}"]\n' + self.hop("two"), FOREIGN, TWO)
        self.write("two", f'[aaa]\nhome-agents = ["{ONE}"]\n' + self.hop("one"), FOREIGN, ONE)

    def hop(self, name: str, more: str = "") -> str:
        port = self.ports[name][0 if "association" in more else 1]
        return HOP.format(nai=NAMES[name], port=port, more=more)

    def write(self, name: str, more: str, *accept: str) -> None:
        (port, hops), accepted = self.ports[name], ", ".join(f'"{each}"' for each in accept)
        text = SERVER.format(nai=NAMES[name], name=name, port=port, hops=hops, accept=accepted, lists=self.lists)
        (self.folder / f"{name}.toml").write_text(text + more)

    def up(self, *names: str) -> list[Process]:
        """Start daemons."""
        started = [self.daemon("agent", config=name) for name in names]
        for name in names:
            self.wait_for_control(name)
        return started

    def cert(self, *arguments: str) -> None:
        result = CliRunner().invoke(main, ["cert", *arguments])
        self.assertEqual(result.exit_code, 0, result.output)

    def ping(self, name: str, peer: str) -> dict[str, Any]:
        return self.told_by(name, {"command": "ping", "peer": peer}, "seckex.ping/1")

    def way(self, name: str, peer: str) -> list[tuple[str, str, str]]:
        answer = self.ping(name, peer)
        self.assertIsNone(answer["failure"], answer)
        return [(each["from"], each["to"], each["security"]) for each in answer["way"]]

    def failure(self, name: str, peer: str) -> tuple[str, int, str]:
        failure = self.ping(name, peer)["failure"]
        self.assertIsNotNone(failure)
        return failure["by"], failure["code"], failure["why"]

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    # -- by TLS

    def test_the_way_hop_by_hop(self) -> None:
        self.up("foreign", "one", "two")
        self.assertEqual(self.way("foreign", TWO), [(FOREIGN, ONE, "tls"), (ONE, TWO, "tls")])
        self.assertEqual(self.way("foreign", FOREIGN), [])
        by, code, why = self.failure("foreign", "home@nowhere.example")
        self.assertEqual((by, code, why), (FOREIGN, 270, "no route leads to the realm nowhere.example"))
        status = self.status("foreign")
        self.assertEqual(
            [(hop["nai"], hop["state"], hop["security"]) for hop in status["hops"]],
            [(ONE, "up", "tls"), (TWO, "idle", "tls")],
        )
        shown = CliRunner().invoke(main, ["ping", TWO, "--count", "2", "--config", str(self.folder / "foreign.toml")])
        self.assertEqual(shown.exit_code, 0, shown.output)
        words = [line.split() for line in shown.stdout.splitlines()]
        self.assertEqual([line[:4] for line in words[1:3]], [["1", FOREIGN, ONE, "tls"], ["2", ONE, TWO, "tls"]])
        shown = CliRunner().invoke(main, ["ping", "x@nowhere.example", "--config", str(self.folder / "foreign.toml")])
        self.assertEqual((shown.exit_code, "unknown-realm (270)" in shown.stderr), (1, True), shown.output)

    def test_a_neighbour_that_is_killed_and_comes_back(self) -> None:
        _, one, _ = self.up("foreign", "one", "two")
        self.way("foreign", TWO)
        self.kill(one)
        self.until("the end of the hop", lambda: self.logged("foreign", "HopClosed"))
        # The second server is not asked for itself by way of anybody.
        self.assertEqual(self.way("foreign", TWO), [(FOREIGN, TWO, "tls")])
        self.up("one")
        self.until("the hop", lambda: self.status("foreign")["hops"][0]["state"] == "up")
        self.assertEqual(self.way("foreign", TWO), [(FOREIGN, ONE, "tls"), (ONE, TWO, "tls")])

    def test_who_is_revoked_while_they_run(self) -> None:
        self.lists = '"ca/ca.crl"'
        self.write("one", f'[aaa]\nhome-agents = ["{TWO}"]\n' + self.hop("two"), FOREIGN, TWO)
        _, one, _ = self.up("foreign", "one", "two")
        self.way("foreign", TWO)
        self.cert("revoke", str(self.folder / "foreign.pem"), "-d", self.ca)
        os.kill(one.pid, signal.SIGHUP)
        self.until("the end of the hop", lambda: self.logged("one", "HopClosed"))
        self.assertIn("was revoked by", self.log("one"))
        self.assertEqual(self.way("foreign", TWO), [(FOREIGN, TWO, "tls")])
        self.assertIn("HopRefused", self.log("one"))

    def test_a_certificate_that_is_renewed_while_they_run(self) -> None:
        foreign, one = self.up("foreign", "one")
        self.until("the failure", lambda: self.failure("foreign", "h@home.example")[1] == 136)
        fingerprint = (self.folder / "foreign.pem").read_text()
        for name in ("foreign.pem", "foreign.key"):
            (self.folder / name).unlink()
        self.cert("new", FOREIGN, "-d", self.ca, "-o", str(self.folder / "foreign.pem"))
        self.assertNotEqual((self.folder / "foreign.pem").read_text(), fingerprint)
        os.kill(foreign.pid, signal.SIGHUP)
        self.until("the reload", lambda: self.logged("foreign", "ConfigurationReloaded"))
        self.assertEqual(self.failure("foreign", "h@home.example")[:2], (ONE, 136))
        # What stands stands, and the next one is made with the new certificate.
        self.assertFalse(self.logged("foreign", "HopClosed"))
        self.kill(one)
        self.up("one")
        self.until("the hop", lambda: self.status("foreign")["hops"][0]["state"] == "up")

    def test_another_name_than_the_one_expected(self) -> None:
        self.ports["one"] = self.ports["two"]
        routes = f'[[aaa.routes]]\nrealm = "home.example"\nnext = ["{ONE}"]\n'
        self.write("foreign", routes + self.hop("one"))
        self.up("foreign", "two")
        self.assertEqual(self.failure("foreign", TWO), (FOREIGN, 279, f"{ONE}: it is {TWO}, not {ONE}"))
        self.assertTrue(self.logged("foreign", "HopFailed"))

    # -- under associations

    def associated(self, authentication: str) -> None:
        """Have the hop between the foreign server and the first one be a dialog under an association."""
        more = f'security = "association"\nauthentication = "{authentication}"\n'
        if authentication == "key0":
            more += 'key0 = "hop.key0"\n'
            arguments = ["key", "new", "--initiator", FOREIGN, "--responder", ONE, "-o", str(self.folder / "hop.key0")]
            self.assertEqual(CliRunner().invoke(main, arguments).exit_code, 0)
        routes = f'[[aaa.routes]]\nrealm = "home.example"\nnext = ["{ONE}"]\n'
        self.write("foreign", routes + self.hop("one", more))
        self.write("one", f'[aaa]\nhome-agents = ["{TWO}"]\n' + self.hop("two") + self.hop("foreign", more), TWO)

    def test_a_hop_under_an_association(self) -> None:
        for authentication in ("key0", "certificate"):
            self.associated(authentication)
            started = self.up("foreign", "one", "two")
            expected = [(FOREIGN, ONE, "association"), (ONE, TWO, "tls")]
            self.assertEqual(self.way("foreign", TWO), expected)
            self.assertEqual([hop["security"] for hop in self.status("foreign")["hops"]], ["association"])
            self.assertEqual(len(self.status("one")["associations"]), 1)
            for process in started:
                self.stop(process)
            for name in NAMES:
                self.assertNotIn("Traceback", self.log(name))

    def test_a_neighbour_under_an_association_that_is_killed_and_comes_back(self) -> None:
        self.associated("key0")
        _, one, _ = self.up("foreign", "one", "two")
        self.way("foreign", TWO)
        self.kill(one)
        self.up("one")
        expected = [(FOREIGN, ONE, "association"), (ONE, TWO, "tls")]
        self.until(
            "the way", lambda: [tuple(each.values())[:3] for each in self.ping("foreign", TWO)["way"]] == expected
        )

    def test_who_has_another_key_gets_no_hop(self) -> None:
        self.associated("key0")
        self.up("one")
        (self.folder / "hop.key0").unlink()
        arguments = ["key", "new", "--initiator", FOREIGN, "--responder", ONE, "-o", str(self.folder / "hop.key0")]
        self.assertEqual(CliRunner().invoke(main, arguments).exit_code, 0)
        self.up("foreign")
        by, code, _ = self.failure("foreign", TWO)
        self.assertEqual((by, code in (279, 280)), (FOREIGN, True))
        self.assertEqual(self.status("one")["hops"][1]["accepted"], 0)
