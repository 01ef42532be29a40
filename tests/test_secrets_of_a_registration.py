"""All roles of a roaming network have a node registered, renewed, refused and deregistered, in one process.

Every secret of that run is then looked for in all that they have shown, as in
`tests.test_secrets_of_a_run`; and in what agent and AAA servers have logged and answered, also who the node is.
"""

from __future__ import annotations

import base64
import os
import socket
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from seckex.cli.control_client import ask
from seckex.cli.demo.roaming.holders import sought
from seckex.cli.demo.roaming.keys import keys_of
from seckex.cli.demo.roaming.settings import write_certificates, write_settings
from seckex.cli.demo.roaming.world import AAA_F, AAA_H, AGENT, CENTER, HOME, NODE, World
from seckex.config.agent import AgentSettings
from seckex.config.initiator import InitiatorSettings
from seckex.config.kdc import KdcSettings
from seckex.config.load import load
from seckex.config.responder import ResponderSettings
from seckex.events import Event
from seckex.net.agent import AgentDaemon
from seckex.net.daemon import DATABASE, Daemon
from seckex.net.initiator import InitiatorDaemon
from seckex.net.kdc import KdcDaemon
from seckex.net.log import EventLog
from seckex.net.mobile_node import home_of
from seckex.net.responder import ResponderDaemon
from seckex.roles.home_agent import HomeAgent
from seckex.roles.kdc.center import Center
from seckex.roles.mobile_node.role import MobileNode
from tests.shown import ShownCase, found, reactor

MADE: Final[dict[str, tuple[Callable[..., Daemon[Any]], type[Any]]]] = {
    CENTER: (KdcDaemon, KdcSettings),
    HOME: (ResponderDaemon, ResponderSettings),
    AAA_H: (AgentDaemon, AgentSettings),
    AAA_F: (AgentDaemon, AgentSettings),
    AGENT: (AgentDaemon, AgentSettings),
    NODE: (InitiatorDaemon, InitiatorSettings),
}
#: Who must not learn who the node is.
OUTSIDERS: Final = (AGENT, AAA_F, AAA_H)


class RegistrationTests(ShownCase):
    """See the module."""

    def setUp(self) -> None:
        super().setUp()
        self.said: dict[str, list[str]] = defaultdict(list)
        self.daemons: dict[str, Daemon[Any]] = {}
        self._note_who_says_what()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.stop_all()))

    def _note_who_says_what(self) -> None:
        """Keep what each daemon logs apart: in one process they have one log."""
        reported, lined, failed = EventLog.report, EventLog.say, EventLog.failure

        def report(log: EventLog, event: Event) -> None:
            self._say(log, f"{event} {event!r}")
            reported(log, event)

        def say(log: EventLog, level: str, text: str, **fields: Any) -> None:
            self._say(log, f"{text} {fields}")
            lined(log, level, text, **fields)

        def failure(log: EventLog, text: str, what: Any = None) -> None:
            self._say(log, f"{text} {what}")
            failed(log, text, what)

        self.patch(EventLog, "report", report)
        self.patch(EventLog, "say", say)
        self.patch(EventLog, "failure", failure)

    def _say(self, log: EventLog, text: str) -> None:
        role = next((role for role, daemon in self.daemons.items() if daemon.log is log), "")
        self.said[role].append(text)

    # -- the run

    def start(self, role: str) -> None:
        """Start who has a role, its log at its finest."""
        file = self.world.config(role)
        text = file.read_text().replace("[log]", '[log]\nlevel = "debug"')
        heard = f'solicit = ["{self.world.address(AGENT)}"]\ngroups = []'
        file.write_text(text.replace('interface = "lo"', heard))
        daemon, settings = MADE[role]
        self.daemons[role] = daemon(reactor, load(file, settings))
        self.running.append(self.daemons[role])
        self.daemons[role].privilegedStartService()
        self.daemons[role].startService()

    def role(self, at: str, name: str) -> Any:
        """Return a role of who is ``at`` a place."""
        house = self.daemons[at].house
        assert house is not None
        return house.house.roles[name]

    async def asked(self, role: str, command: str, schema: str = "", **more: object) -> dict[str, Any]:
        """Return what the control socket of a role says, which is shown."""
        asking = {"command": command, "seconds": 20} | more
        schema = schema or f"seckex.{command}/1"
        told: dict[str, Any] = await deferToThread(ask, self.world.control(role), asking, schema, 25)
        self.answers.append(str(told))
        self.said[role].append(str(told))
        return told

    async def run_all(self, keying: str) -> None:
        """Have a node provisioned, registered, renewed, refused and deregistered."""
        self.world = world = World("aaa", keying, self.folder)
        write_certificates(world)
        write_settings(world)
        for role in world.roles[:0:-1]:
            self.start(role)
        identity = world.identity
        new = {"principal": identity.nai, "home_agent": world.nai(HOME)}
        new |= {"home_address": str(identity.home_address), "layer2": identity.mac}
        await self.asked(CENTER, "kdc-add", "seckex.kdc-principal/1", **new)
        center, home = self.role(CENTER, "kdc"), self.role(HOME, "home-agent")
        assert isinstance(center, Center)
        assert isinstance(home, HomeAgent)
        wall = self.daemons[CENTER].clock.wall
        await self.until(lambda: home.counters["nodes"] and center.home_keys(world.nai(HOME), wall()))
        file = center.provision(identity.nai, (), self.daemons[CENTER].clock.now())
        self.note(file.key0.octets)
        self.start(NODE)
        text = base64.b64encode(home_of(file).record().octets).decode()
        await self.asked(NODE, "provision", home_agent=world.nai(HOME), home=text)
        node = self.role(NODE, "mobile-node")
        assert isinstance(node, MobileNode)
        await self.until(lambda: node.keeping.registration is not None)
        self.note(home_of(file).root.octets)
        await self.until(lambda: len(keys_of(world, NODE)) == 2)
        self.keys = {name: held for role in (NODE, AGENT) for name, held in keys_of(world, role).items()}
        self.identity = dict(sought(identity, {}))
        for role in world.roles:
            for command in ("status", "events"):
                await self.asked(role, command)
        await self.asked(NODE, "rekey", peer=world.nai(HOME))
        await self.asked(HOME, "explain", "seckex.explain-peer/1", peer=identity.nai)
        await self.asked(NODE, "ping", peer=world.nai(HOME))
        await self.trouble()
        await self.asked(CENTER, "kdc-allow", "seckex.kdc-principal/1", principal=identity.nai, enabled=False)
        await self.until(lambda: any("NodeEnded" in line for line in self.said[HOME]))
        await self.asked(NODE, "down", peer=world.nai(HOME))
        for role in world.roles:
            await self.asked(role, "status")
        for key in self.folder.glob("*.key"):
            private: Any = load_pem_private_key(key.read_bytes(), None)
            self.note(private.private_numbers().private_value.to_bytes(32, "big"))
        masters = list(self.folder.rglob("master.key"))
        self.assertEqual(len(masters), len(world.roles))
        self.secrets |= {master.read_bytes() for master in masters}
        self.objects = "\n".join(self.living())

    async def trouble(self) -> None:
        """Send rubbish, and have things fail that never should, in the midst of everything."""
        rubbish = (b"\1\2\0\x1e" + os.urandom(300), b"\3" + os.urandom(80), b"\xff\x20\0\x0f" + os.urandom(60))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for role in (AGENT, HOME):
                for octets in rubbish:
                    stranger.sendto(octets, (self.world.address(role), self.world.ports.own[role]))
        for role in (AGENT, AAA_F, AAA_H, HOME):
            house = self.daemons[role].house
            assert house is not None
            for kind in (17, 20, 23, 26):
                house.heard("somebody@example.org", b"\xff\x10" + kind.to_bytes(2, "big") + os.urandom(90))
        await self.until(lambda: self.errors)
        self._fail()

    def _fail(self) -> None:
        """Have every role fail in the midst of what it does, and log it as the daemon does."""

        def broken(*_arguments: object, **_more: object) -> None:
            raise ZeroDivisionError("by the test")

        for daemon in self.daemons.values():
            assert daemon.house is not None
            for name, role in daemon.house.house.roles.items():
                vars(role)["heard"] = broken
                try:
                    daemon.house.house._had(role, role.heard, "somebody@example.org", os.urandom(60))
                finally:
                    del vars(role)["heard"]
                self.assertTrue(any(f"the role {name} failed" in line for line in self.said[self._of(daemon)]))
        self.flushLoggedErrors(ZeroDivisionError)

    def _of(self, daemon: Daemon[Any]) -> str:
        return next(role for role, each in self.daemons.items() if each is daemon)

    # -- what was shown

    def shown(self) -> dict[str, bytes]:
        """Return all that was shown, by where."""
        hidden = ("master.key", *(each.name for each in self.folder.glob("*.key")))
        files = {
            f"file {file.relative_to(self.folder)}": file.read_bytes()
            for file in self.folder.rglob("*")
            if file.is_file() and file.name not in hidden
        }
        self.assertLessEqual({f"file {role}/{DATABASE}" for role in MADE}, set(files))
        return files | self.texts()

    async def look(self, keying: str) -> None:
        """Run, and look for everything everywhere."""
        await self.run_all(keying)
        self.assertEqual(sorted(self.keys), ["KEY 1", "KEY 2", "KEY 3"])
        self.assertLessEqual({held.secret.octets for held in self.keys.values()}, self.secrets)
        self.assertEqual(found(self.secrets, self.shown()), [])
        for role in OUTSIDERS:
            told = "\n".join(self.said[role]).encode()
            self.assertIn(self.world.nai(role).encode(), told)
            for what, looks in self.identity.items():
                self.assertFalse([form for form in looks if form in told], f"{role} shows the node's {what}")
        # It would be found where it may be.
        self.assertIn(self.world.identity.nai, "\n".join(self.said[HOME]))
        await self.stop_all()
        self.assertEqual(found(self.secrets, self.shown()), [])

    async def test_stateful(self) -> None:
        await self.look("stateful")

    async def test_semi_stateful(self) -> None:
        await self.look("semi-stateful")
