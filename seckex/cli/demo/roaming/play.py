"""The roaming network, chapter by chapter: every role a process, every command a command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from attrs import define, field

from seckex.cli.control_client import Refused, Unreachable, ask
from seckex.cli.demo import web
from seckex.cli.demo.download import answers, download
from seckex.cli.demo.files import write_payload
from seckex.cli.demo.processes import PATIENCE, Cast, DemoFailed, Process, seckex, twistd
from seckex.cli.demo.roaming.holders import KEY0, LOG, MEMORY, STATE, holdings, sought
from seckex.cli.demo.roaming.keys import ENDS, KEYS, Held, key0, keys_of
from seckex.cli.demo.roaming.messages import exchange
from seckex.cli.demo.roaming.moving import move
from seckex.cli.demo.roaming.scene import Fetching, Scene
from seckex.cli.demo.roaming.settings import write_certificates, write_settings
from seckex.cli.demo.roaming.stolen import revoke
from seckex.cli.demo.roaming.told import tell
from seckex.cli.demo.roaming.world import AGENT, CENTER, HOME, NODE, OTHER, PLUGINS, World
from seckex.cli.demo.story import Story

_WITHIN: Final = 60


@define
class RoamingPlay:
    """The state of one story: what was seen, by whom."""

    story: Story
    world: World
    size: int
    cast: Cast = field(init=False)
    digest: str = field(default="", init=False)
    _seen: dict[tuple[str, str], list[dict[str, Any]]] = field(factory=dict, init=False)
    _processes: dict[str, Process] = field(factory=dict, init=False)
    _listening: bool = field(default=True, init=False)

    def __attrs_post_init__(self) -> None:
        self.cast = Cast(self._told)

    def perform(self) -> None:
        """Play all chapters; raise `DemoFailed` where one fails."""
        self._gather()
        self._register()
        keys = self._compare_keys()
        self._ping()
        self._who_could_read_what(keys)
        self._fetch()
        self._renew(keys)
        self._move()
        exchange(self._scene())
        self._leave()
        self._refuse()
        self._steal()

    def hints(self) -> Sequence[str]:
        """Return what to try while everything is still running."""
        command, world = seckex(), self.world
        return [
            *(f"{command} status --config {world.config(role)}" for role in world.roles),
            f"{command} kdc enable {world.identity.nai} --config {world.config(CENTER)}",
            f"{command} up {world.nai(HOME)} --config {world.config(NODE)}",
            f"tail -f {world.log(HOME)}",
        ]

    # -- chapters

    def _gather(self) -> None:
        world, story = self.world, self.story
        servers = f" by way of AAA servers, which know {world.nai(HOME)} by its realm" if world.servers else ""
        story.chapter(
            "The cast, and KEY 0",
            f"A mobile node of example.org visits example.net. Its center gives it KEY 0; all other keys come of "
            f"registering{servers}. Everything runs on this machine, with its state in {world.directory}.",
        )
        story.draw(world.drawing())
        write_certificates(world)
        write_settings(world)
        www = world.directory / "www"
        www.mkdir()
        self.digest = write_payload(www / "file.bin", self.size)
        server = [sys.executable, web.__file__, str(world.ports.web), str(www)]
        self.cast.add(Process("web", server, world.directory))
        center, node = f"{CENTER}.toml", f"{NODE}.toml"
        identity = world.identity
        self._run("kdc", "init", "--config", center)
        where = ("--home-address", str(identity.home_address), "--layer2", identity.mac)
        self._run("kdc", "add", identity.nai, "--home-agent", world.nai(HOME), *where, "--config", center)
        self._start(CENTER)
        self._run("provision", "--new-key", "device.key")
        for role in (HOME, *world.servers):
            self._start(role)
        # What the node needs to register for the first time is known when the home agent has said its keys.
        self._wait("the home agent's static keys at the center", CENTER, "HomeKeysTaken")
        self._run("kdc", "export", identity.nai, "--to", "device.key.pub", "-o", "node.provision", "--config", center)
        self._run("provision", "node.provision", "--key", "device.key", "--config", node)
        for used in ("node.provision", "device.key"):
            (world.directory / used).unlink()
        self._until("the web server", lambda: answers(world.ports.web))
        story.good("the node has what comes of KEY 0, which went from the center to the device sealed for it alone")

    def _register(self) -> None:
        self.story.chapter(
            "An agent is heard, and a registration",
            "The agent advertises itself on the link. The node would rather encrypt with ChaCha20-Poly1305 and offers "
            "only that at first; home takes AES-256-GCM only, and says so in a sealed answer.",
        )
        self._start(AGENT)
        self._start(NODE)
        for role, event in ((NODE, "Registered"), (AGENT, "VisitorRegistered"), (HOME, "NodeRegistered")):
            self._wait("the registration", role, event)
        registered = self._last(NODE, "Registered")
        if registered["rounds"] < 2:
            raise DemoFailed("the first offer was not countered")
        if registered["keying"] != self.world.keying:
            raise DemoFailed(f"the keys are {registered['keying']}, and should be {self.world.keying}")
        self.story.good(
            f"registered after {registered['rounds']} rounds by way of {registered['agent']}, {registered['keying']}, "
            f"with {registered['transforms']['encryption']}"
        )

    def _compare_keys(self) -> dict[str, Held]:
        self.story.chapter(
            "KEY 1, KEY 2, KEY 3",
            "Each key is in the databases of its two ends, sealed under their own master keys. The check values below "
            "are made of what is there.",
        )
        keys = self._keys()
        self.story.good("the check values of both ends agree for KEY 1, KEY 2 and KEY 3")
        return keys

    def _keys(self) -> dict[str, Held]:
        """Read all keys at both ends and show them; raise `DemoFailed` where the ends do not agree."""
        held = {role: keys_of(self.world, role) for role in (NODE, AGENT, HOME)}
        rows = []
        for key in KEYS:
            one, other = ENDS[key]
            ends = held[one][key], held[other][key]
            rows.append((key, f"{one} - {other}", *(" ".join(each) for each in _told_of(*ends))))
            if ends[0].check != ends[1].check:
                raise DemoFailed(f"{one} and {other} do not have the same {key}")
        self.story.table(rows, ("", "between", "check values", "SPIs"), always=False)
        return {key: held[ENDS[key][0]][key] for key in KEYS}

    def _ping(self) -> None:
        self.story.chapter(
            "The way home",
            "`seckex ping` at the node asks the agent, in the clear, and that asks on, hop by hop: who is on the way, "
            "what each hop is secured by, and its time.",
        )
        told = self._run("ping", self.world.nai(HOME), "--config", f"{NODE}.toml", lines=len(self.world.roles) + 1)
        hops = len(self.world.servers) + 1
        if sum(" tls " in line for line in told.splitlines()) != hops:
            raise DemoFailed(f"between agent and home agent there are not {hops} hops secured by TLS")
        self.story.good(
            f"all {hops} hops behind the radio are secured" if hops > 1 else "the hop behind the radio is secured"
        )

    def _who_could_read_what(self, keys: dict[str, Held]) -> None:
        roles = self.world.roles
        self.story.chapter(
            "Who could read what",
            f"The memory of every process ({MEMORY}), its files with its database opened by its own master key "
            f"({STATE}), and its log ({LOG}) are searched for the node's name and addresses and for the keys.",
        )
        pids = {role: self._processes[role].pid for role in roles}
        secrets = {KEY0: key0(self.world)} | {key: held.secret for key, held in keys.items()}
        found = holdings(self.world, pids, sought(self.world.identity, secrets))
        self.story.table(found.rows(roles), ("", *roles))
        for role, why in found.unread.items():
            self.story.note(f"{role}: {why}; searched were its files and its log")
        wrong = found.leaks() + found.misses()
        if wrong:
            raise DemoFailed("; ".join(wrong))
        where = "files and logs" if found.unread else "memory, files and logs"
        servers = " the AAA servers hold nothing of all this," if self.world.servers else ""
        self.story.good(
            f"by what {where} hold:{servers} the agent cannot tell who the node is or read KEY 1, the center has none "
            "of the keys that it gave rise to, and nobody else has KEY 0"
        )

    def _fetch(self) -> None:
        port = self.world.ports.forward
        self.story.chapter(
            "A real program's traffic",
            f"An ordinary HTTP client fetches a file from 127.0.0.1:{port} at the node. Its octets cross to home "
            "in an encrypted dialog under KEY 1, and from there to a web server.",
        )
        before = self._association()["octets_out"]
        download(self.story, port, self.size, self.digest)
        carried = self._association()["octets_out"] - before
        if carried < self.size:
            raise DemoFailed(f"only {carried} octets went under KEY 1")
        self.story.good(f"{self.size} octets under KEY 1, SHA-256 is that of the original: {self.digest[:16]}...")

    def _renew(self, before: dict[str, Held]) -> None:
        self.story.chapter(
            "Registered again, in the middle of it",
            "The client fetches the file once more. In the middle the node registers again (`seckex rekey`), as it "
            "would by itself before the registration ends: new keys, new SPIs, a new one-time SPI on the air.",
        )
        spi = self._association()["spi_in"]
        download(self.story, self.world.ports.forward, self.size, self.digest, self._rekey)
        self._until("the old association to go", lambda: spi not in [each["spi_in"] for each in self._associations()])
        after = self._keys()
        kept = [key for key in KEYS if after[key] == before[key] or after[key].spi == before[key].spi]
        if kept:
            raise DemoFailed(f"not renewed: {', '.join(kept)}")
        self.story.good("three new keys, six new SPIs, and the download came to its end: its SHA-256 is right")

    def _rekey(self) -> None:
        answer = self._ask(NODE, {"command": "rekey", "peer": self.world.nai(HOME), "seconds": _WITHIN}, "rekey")
        self.cast.tell()
        if not answer["done"]:
            raise DemoFailed(f"there are no new keys: {answer}")

    def _move(self) -> None:
        self._start(OTHER)
        move(self._scene(), self._fetching())

    def _steal(self) -> None:
        self._listening = True
        revoke(self._scene(), self._fetching())

    def _fetching(self) -> Fetching:
        return Fetching(self.world.ports.forward, self.world.ports.web, self.size, self.digest)

    def _scene(self) -> Scene:
        pids = {role: process.pid for role, process in self._processes.items()}
        told = self._last, self._until, self._hears, lambda role, event: (role, event) in self._seen
        return Scene(self.story, self.world, pids, self._run, *told, self._start, self._kill)

    def _hears(self, agent: str) -> bool:
        """Tell whether the node hears an agent that would do."""
        node = self._ask(NODE, {"command": "status"}, "status")["roles"]["mobile-node"]
        return any(each["nai"] == agent and not each["objection"] for each in node["agents"])

    def _leave(self) -> None:
        home = self.world.nai(HOME)
        self.story.chapter("Goodbye", "The node deregisters: a registration with the lifetime 0.")
        self._run("down", home, "--config", f"{NODE}.toml")
        for role, event in ((NODE, "Deregistered"), (HOME, "NodeDeregistered")):
            self._wait("the end of the registration", role, event)
        self._until("the association to go", lambda: not self._associations())
        self._wait("the agent to hear of it", AGENT, "VisitorRevoked")
        self.story.good(
            "nothing of it is left at home: no binding, no association; the agent has forgotten its visitor"
        )

    def _refuse(self) -> None:
        home, nai = self.world.nai(HOME), self.world.identity.nai
        self.story.chapter(
            "A refusal",
            "At the center the node is disabled. Registering it hears why not, sealed for it alone; the agent learns "
            "that it was refused, and nothing else.",
        )
        self._run("kdc", "disable", nai, "--config", f"{CENTER}.toml")
        self._wait("the home agent to hear of it", HOME, "NodeEnded")
        self._run("up", home, "--config", f"{NODE}.toml", "--wait", str(_WITHIN), fails=True)
        self._wait("the refusal", HOME, "NegotiationRefused")
        self._wait("the refusal", AGENT, "HomeAgentRefused")
        # The node tries again now and then, with the same outcome.
        self._listening = False
        told = self._run("explain", home, "--config", f"{NODE}.toml", lines=12)
        if "disabled" not in told:
            raise DemoFailed("the node does not know why it was refused")
        self.story.good("why was I refused? The node can tell; nobody between it and its home can")

    # -- processes and commands

    def _start(self, role: str) -> None:
        world = self.world
        process = self._processes.get(role)
        if process is None:
            command = [twistd(), "-n", "--pidfile=", PLUGINS[role], "--config", f"{role}.toml"]
            process = Process(role, command, world.directory, world.log(role), overwriting=True)
            self._processes[role] = process
            self.story.note(f"{role}: {world.nai(role)}")
        self.cast.add(process)

    def _kill(self, role: str) -> None:
        self.cast.kill(self._processes[role])

    def _run(self, *arguments: str, lines: int = 1, fails: bool = False) -> str:
        """Run the ``seckex`` command and show what it prints, at most so many ``lines``; return all of it."""
        self.cast.tell()
        self.story.runs(" ".join(("seckex", *arguments)))
        try:
            ended = subprocess.run(  # noqa: S603  # the command is ours
                [seckex(), *arguments],
                cwd=self.world.directory,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise DemoFailed(f"seckex {' '.join(arguments)} has not ended within {PATIENCE:.0f} s") from error
        said = ended.stdout + ended.stderr
        if bool(ended.returncode) != fails:
            raise DemoFailed(f"seckex {' '.join(arguments)} has ended with status {ended.returncode}: {said.strip()}")
        # What daemons did of it comes before what the command tells of that.
        self.cast.tell()
        for line in said.splitlines()[:lines]:
            self.story.note(line)
        return said

    # -- what the daemons say

    def _told(self, role: str, event: dict[str, Any]) -> None:
        self._seen.setdefault((role, event["event"]), []).append(event)
        if self._listening:
            tell(self.story, role, event)

    def _wait(self, what: str, role: str, event: str) -> None:
        self._until(what, partial(self._seen.__contains__, (role, event)))

    def _until(self, what: str, done: Callable[[], bool]) -> None:
        self.cast.wait(what, done)

    def _last(self, role: str, event: str) -> dict[str, Any]:
        return self._seen[role, event][-1]

    def _ask(self, role: str, request: dict[str, Any], command: str) -> dict[str, Any]:
        try:
            return ask(self.world.control(role), request, f"seckex.{command}/1", _WITHIN + 5)
        except (Unreachable, Refused) as error:
            raise DemoFailed(f"{role} does not answer: {error}") from error

    def _associations(self) -> list[dict[str, Any]]:
        """Return what home has with the node."""
        held: list[dict[str, Any]] = self._ask(HOME, {"command": "status"}, "status")["associations"]
        return [each for each in held if each["peer"] == self.world.identity.nai]

    def _association(self) -> dict[str, Any]:
        held = self._associations()
        if not held:
            raise DemoFailed("home has no association with the node")
        return held[-1]


def _told_of(one: Held, other: Held) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return the check values and the SPIs of a key at both ends."""
    return (one.check, other.check), (f"{one.spi:#010x}", f"{other.spi:#010x}")
