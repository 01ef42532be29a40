"""Daemons with a key distribution center, over real sockets: keys over a hop, commands, restarts, reloads."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from click.testing import CliRunner
from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from seckex.cli.control_client import ask
from seckex.cli.demo.processes import free_port
from seckex.cli.main import main
from seckex.config.common import Identity
from seckex.config.credentials import Credentials, read_credentials
from seckex.config.devicekey import render_public
from seckex.config.files import Owner
from seckex.config.hops import Hop, HopsListen
from seckex.config.kdc import KdcSettings
from seckex.config.load import load
from seckex.config.responder import ResponderSettings
from seckex.crypto.provisioning import public_of
from seckex.crypto.secrets import Secret
from seckex.net.daemon import Daemon, StartFailed
from seckex.net.hops.hops import Hops
from seckex.net.kdc import KdcDaemon
from seckex.net.log import EventLog
from seckex.net.principal import Clock
from seckex.net.responder import ResponderDaemon
from seckex.roles.kdc import copying
from seckex.storage.sqlite import SqliteStore
from seckex.wire import hop
from seckex.wire.keying import KeyRequest, NodeQuery
from seckex.wire.numbers import Code, Keying
from tests.config.written import write_credentials

reactor: Any = installed
PATIENCE: Final = 60.0
NODE, HOME, KDC = "node@example.org", "home@example.org", "kdc@example.org"

IDENTITY = """
[identity]
nai = "{nai}"
certificate = "{name}.pem"
private-key = "{name}.key"
trust = ["ca/ca.pem"]
[hops-listen]
addresses = ["127.0.0.1"]
port = {port}
accept = ["*@example.org"]
[state]
directory = "{name}"
"""


class DaemonCase(TestCase):
    timeout = 120

    def setUp(self) -> None:
        memory = "/dev/shm"
        self.directory = Path(tempfile.mkdtemp(prefix="seckex-", dir=memory if os.access(memory, os.W_OK) else None))
        self.addCleanup(shutil.rmtree, self.directory)
        for name in ("kdc", "home", "spare"):
            write_credentials(self.directory, name, f"{name}@example.org")
        self.heard: list[hop.HopMessage] = []
        self.port = free_port()

    def write(self, name: str, text: str) -> Path:
        """Write a configuration; return its file."""
        file = self.directory / f"{name}.toml"
        file.write_text(text)
        return file

    def kdc_toml(self, more: str = "", name: str = "kdc", port: int = 0) -> str:
        nai = f"{name}@example.org"
        return 'role = "kdc"\n' + more + IDENTITY.format(nai=nai, name=name, port=port or self.port)

    def start(self, daemon: Daemon[Any]) -> None:
        """Start a daemon, which is stopped in the end."""
        daemon.privilegedStartService()
        daemon.startService()
        self.addCleanup(lambda: daemon.stopService() if daemon.running else None)

    def credentials(self, name: str) -> Credentials:
        """Return the credentials of a principal."""
        identity = Identity(
            nai=f"{name}@example.org",
            certificate=self.directory / f"{name}.pem",
            private_key=self.directory / f"{name}.key",
            trust=(self.directory / "ca/ca.pem",),
        )
        found, problems = read_credentials(identity, Owner())
        self.assertEqual(problems, [])
        assert found is not None
        return found

    def home_agent(self, *ports: tuple[str, int]) -> Hops:
        """Return the hops of a home agent to centers; what it hears is in ``heard``."""
        hops = Hops(
            reactor,
            HOME,
            tuple(Hop(nai=nai, address="127.0.0.1", port=port) for nai, port in ports),
            HopsListen(),
            self.credentials("home"),
            lambda _neighbour, octets: self.heard.append(hop.decode_hop(octets)),
            lambda *_: None,
            EventLog("error", lambda: 0.0),
            Clock(reactor.seconds),
        )
        self.addCleanup(hops.close)
        return hops

    async def until(self, done: Callable[[], object]) -> None:
        """Wait until ``done``."""
        end = reactor.seconds() + PATIENCE
        while not done():
            self.assertLess(reactor.seconds(), end, "not done in time")
            await deferLater(reactor, 0.01)

    async def asked(self, hops: Hops, center: str, message: hop.HopMessage) -> hop.HopMessage:
        """Say something to a center, and return the answer."""
        hops.send(center, hop.encode_hop(message))

        def answers() -> list[hop.HopMessage]:
            return [one for one in self.heard if one.identification == message.identification]

        await self.until(answers)
        [answer] = answers()
        self.heard.remove(answer)
        return answer

    def command(self, request: dict[str, Any], schema: str, name: str = "kdc") -> Deferred[dict[str, Any]]:
        """Ask a daemon over its control socket, as the command does."""
        return deferToThread(ask, self.directory / name / "control.sock", request, schema)

    async def add(self, nai: str = NODE, name: str = "kdc") -> None:
        request = {"command": "kdc-add", "principal": nai, "home_agent": HOME}
        await self.command(request, "seckex.kdc-principal/1", name)


REQUEST: Final = KeyRequest(Keying.STATEFUL, 3600, 1, bytes(32), NODE, "agent@example.net")


class KdcDaemonTests(DaemonCase):
    async def test_a_start_that_fails_late_leaves_nothing_open(self) -> None:
        closed: list[SqliteStore] = []
        whole = SqliteStore.close

        def close(store: SqliteStore) -> None:
            closed.append(store)
            whole(store)

        self.patch(SqliteStore, "close", close)
        file = self.write("kdc", self.kdc_toml())
        daemon = KdcDaemon(reactor, load(file, KdcSettings))
        in_the_way = self.directory / "kdc" / "control.sock"
        daemon.privilegedStartService()
        in_the_way.mkdir()
        self.assertRaises(StartFailed, daemon.startService)
        self.assertEqual(len(closed), 1)
        in_the_way.rmdir()
        # Ports are closed in the next turn of the reactor.
        await deferLater(reactor, 0)
        self.start(KdcDaemon(reactor, load(file, KdcSettings)))

    async def test_a_home_agent_gets_keys_and_the_same_after_a_restart(self) -> None:
        file = self.write("kdc", self.kdc_toml())
        daemon = KdcDaemon(reactor, load(file, KdcSettings))
        self.start(daemon)
        await self.add()
        hops = self.home_agent((KDC, self.port))
        first = await self.asked(hops, KDC, hop.Keys(1, REQUEST))
        assert isinstance(first, hop.Issued)
        entries = await self.asked(hops, KDC, hop.Nodes(2, NodeQuery(0, 64), ()))
        assert isinstance(entries, hop.Entries)
        self.assertEqual([entry.node for entry in entries.entries.entries], [NODE])
        told = await self.command({"command": "status"}, "seckex.status/1")
        self.assertEqual((told["roles"]["kdc"]["principals"], told["counters"]["kdc.issued"]), (1, 1))
        self.assertNotIn(first.material.keys[0].hex(), str(told))
        await daemon.stopService()
        self.start(KdcDaemon(reactor, load(file, KdcSettings)))
        again = None
        while not isinstance(again, hop.Issued):
            # The hop of before is found to be gone by the first that is said over it.
            hops.send(KDC, hop.encode_hop(hop.Keys(9, REQUEST)))
            await deferLater(reactor, 0.2)
            again = next((one for one in self.heard if one.identification == 9), None)
        self.assertEqual(again.material, first.material)

    async def test_a_home_agent_is_told_of_changes_over_the_hop_that_it_made(self) -> None:
        self.start(KdcDaemon(reactor, load(self.write("kdc", self.kdc_toml()), KdcSettings)))
        hops = self.home_agent((KDC, self.port))
        await self.asked(hops, KDC, hop.Nodes(2, NodeQuery(0, 64), ()))
        await self.add()
        await self.until(lambda: any(isinstance(one, hop.Changed) for one in self.heard))

    async def test_the_command_finds_it(self) -> None:
        file = self.write("kdc", self.kdc_toml())
        self.start(KdcDaemon(reactor, load(file, KdcSettings)))
        for arguments, said in (
            (("add", NODE, "--home-agent", HOME), "key version 1"),
            (("list",), NODE),
            (("show", NODE), "enabled"),
        ):
            run = CliRunner().invoke
            result = await deferToThread(run, main, ["kdc", *arguments, "--config", str(file)])
            self.assertEqual(result.exit_code, 0, result.output)
            self.assertIn(said, result.output)

    async def test_a_replica_takes_over(self) -> None:
        first = KdcDaemon(
            reactor, load(self.write("kdc", self.kdc_toml() + '[kdc]\nreplicas = ["spare@example.org"]\n'), KdcSettings)
        )
        self.start(first)
        await self.add()
        port = free_port()
        more = f'hops = [{{nai = "{KDC}", address = "127.0.0.1", port = {self.port}}}]\n'
        text = self.kdc_toml(more, "spare", port) + f'[kdc]\nreplicates = "{KDC}"\n'
        spare = KdcDaemon(reactor, load(self.write("spare", text), KdcSettings))
        self.start(spare)
        await self.until(lambda: spare.house is not None and spare.house.house.counters["kdc.principals"])
        await self.add("second@example.org")
        await self.until(lambda: spare.house is not None and spare.house.house.counters["kdc.principals"] == 2)
        await first.stopService()
        hops = self.home_agent((KDC, self.port), ("spare@example.org", port))
        self.assertIsInstance(await self.asked(hops, "spare@example.org", hop.Keys(1, REQUEST)), hop.Issued)

    async def told(self, *arguments: str, code: int = 0, config: str = "kdc") -> str:
        """Run a command on a daemon, and return what it prints."""
        file = str(self.directory / f"{config}.toml")
        result = await deferToThread(CliRunner().invoke, main, ["kdc", *arguments, "--config", file])
        self.assertEqual(result.exit_code, code, result.output)
        return result.output

    async def until_entered(self, what: str) -> None:
        """Wait until the last entry has these words."""
        end = reactor.seconds() + PATIENCE
        while what not in await self.told("audit", "show", "--limit", "1"):
            self.assertLess(reactor.seconds(), end, f"{what} was not entered")

    async def test_a_node_is_revoked_here_and_at_a_replica_at_once(self) -> None:
        text = self.kdc_toml() + '[kdc]\nreplicas = ["spare@example.org"]\n'
        self.start(KdcDaemon(reactor, load(self.write("kdc", text), KdcSettings)))
        await self.add()
        port = free_port()
        more = f'hops = [{{nai = "{KDC}", address = "127.0.0.1", port = {self.port}}}]\n'
        text = self.kdc_toml(more, "spare", port) + f'[kdc]\nreplicates = "{KDC}"\n'
        spare = KdcDaemon(reactor, load(self.write("spare", text), KdcSettings))
        # It is told, and does not come to ask.
        self.patch(copying, "REFRESH", 3600.0)
        self.start(spare)
        await self.until(lambda: spare.house is not None and spare.house.house.counters["kdc.principals"])
        self.assertIn("is revoked", await self.told("revoke", NODE))
        await self.until(lambda: spare.house is not None and spare.house.house.counters["kdc.revoked"])
        hops = self.home_agent((KDC, self.port), ("spare@example.org", port))
        for number, center in enumerate((KDC, "spare@example.org"), 1):
            answer = await self.asked(hops, center, hop.Keys(number, REQUEST))
            assert isinstance(answer, hop.NotIssued)
            self.assertEqual(answer.detail.code, Code.DISABLED_NODE)

    async def test_all_commands_on_a_daemon(self) -> None:
        self.start(KdcDaemon(reactor, load(self.write("kdc", self.kdc_toml()), KdcSettings)))
        table = self.directory / "fleet.csv"
        table.write_text("nai,home_agent\n" + "".join(f"n{n}@example.org,{HOME}\n" for n in range(300)))
        public = self.directory / "device.pub"
        public.write_bytes(render_public(public_of(Secret(bytes(range(32))))))
        out = self.directory / "out"
        for arguments, said in (
            (("enrol", str(table)), "300 node(s) added"),
            (("enrol", str(table), "--out", str(out), "--to", str(public)), "300 provisioning file(s) made"),
            (("list", "--filter", "n29?@*"), "n299@example.org"),
            (("rotate", "n1@example.org", "--until", "7d"), "key version 2"),
            (("rotate", "n3@example.org", "--until", "2100-01-31"), "key version 2"),
            (("delete", "n2@example.org"), "is deleted"),
            (("audit", "show", "--principal", "n3@example.org"), ", until 2100-01-31 00:00:00 UTC"),
            (("audit", "show"), f"deleted n2@example.org  [uid {os.getuid()}, socket]"),
            (("audit", "verify"), "604 entries, each follows"),
        ):
            self.assertIn(said, await self.told(*arguments))
        self.assertEqual(len(list(out.iterdir())), 300)
        self.assertIn("is not known here", await self.told("revoke", "n2@example.org", code=1))
        # Who is refused hears it before that is entered.
        await self.until_entered("asked revoke")

    async def test_it_goes_on_by_other_settings(self) -> None:
        toml = self.kdc_toml() + '[[hops]]\nnai = "other@example.org"\naddress = "127.0.0.1"\n'
        daemon = KdcDaemon(reactor, load(self.write("kdc", toml), KdcSettings))
        self.start(daemon)
        await self.add()
        hops = self.home_agent((KDC, self.port))
        self.assertIsInstance(await self.asked(hops, KDC, hop.Keys(1, REQUEST)), hop.Issued)
        self.write("kdc", toml + '[kdc]\nlongest-lifetime = "1m"\nreplicates = "other@example.org"\n')
        outcome = daemon.reload()
        self.assertEqual((outcome["done"], outcome["kept"]), (True, ["kdc.replicates: only a restart changes it"]))
        self.assertEqual(outcome["changed"], ["kdc.longest-lifetime"])
        self.assertIsInstance(await self.asked(hops, KDC, hop.Keys(2, REQUEST)), hop.NotIssued)
        self.assertEqual(daemon.reload()["changed"], [])

    async def test_a_home_agent_may_be_its_own_center(self) -> None:
        text = self.kdc_toml(name="home").replace('role = "kdc"', 'role = "responder"')
        text += f'[listen]\naddresses = ["127.0.0.1"]\nport = {free_port()}\n[[peers]]\nnai = "*@example.net"\n'
        file = self.write("home", text + 'authentication = "certificate"\n[kdc]\n')
        daemon = ResponderDaemon(reactor, load(file, ResponderSettings))
        self.start(daemon)
        await self.add(name="home")
        assert daemon.house is not None
        self.assertEqual(daemon.house.house.counters["kdc.principals"], 1)
        self.write("home", text + 'authentication = "certificate"\n[kdc]\nprincipals = 1\n')
        self.assertEqual(daemon.reload()["changed"], ["kdc.principals"])
        self.write("home", text + 'authentication = "certificate"\n')
        self.assertEqual(daemon.reload()["kept"], ["kdc: only a restart changes it"])
