"""The mobile node of an initiator, at the edge: what it is to do, the groups that it hears, what is asked of it."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred

from seckex.config.initiator import InitiatorSettings
from seckex.config.provision import Provision
from seckex.config.registration import KEMS
from seckex.crypto.registration import provisioned
from seckex.crypto.spichain import Chain
from seckex.errors import StoreFailed
from seckex.events import Event, NegotiationFailed, NegotiationRefused, OperatorAsked, StoreTrouble
from seckex.events.mobile_node import Moved
from seckex.machine import Now, Path
from seckex.net.awaiting import awaited
from seckex.net.commands import patience_of
from seckex.net.control import Answer, Commands, Declined, Request
from seckex.net.history import failure
from seckex.net.house import HouseAtEdge
from seckex.net.log import EventLog
from seckex.net.multicast import Multicast, Place
from seckex.net.operator import PrincipalOperator
from seckex.net.principal import Principal
from seckex.roles.faces import RoleAction
from seckex.roles.mobile_node.plan import Plan
from seckex.roles.mobile_node.records import HOME, Home
from seckex.roles.mobile_node.role import MobileNode
from seckex.sa.store import Record
from seckex.wire.keying import HomeKey
from seckex.wire.numbers import Kem

ROLE: Final = "mobile-node"
PROVISION_SCHEMA: Final = "seckex.provision/1"
MOVE_SCHEMA: Final = "seckex.move/1"


def plan_of(settings: InitiatorSettings) -> Plan | None:
    """Return what a configuration has a mobile node do; None where it has none."""
    home, said = settings.home, settings.registration
    if home is None:
        return None
    return Plan(
        local=settings.identity.nai,
        home_agent=home.nai,
        policy=settings.policy.as_policy(),
        kem=KEMS[said.kem],
        lifetime=said.lifetime,
        simultaneous=said.bindings == "several",
        manager=said.towards == "mobility-manager",
        agents=said.agents,
        solicit=tuple((host, said.port) for host in said.solicit),
        groups=tuple((group, said.port) for group in said.groups),
        passages=said.traffic == "agent",
        worker=settings.state.worker,
    )


def home_of(provision: Provision) -> Home:
    """Return what a node keeps of a provisioning file: what comes of KEY 0, and not KEY 0."""
    names = provision.nai, provision.home_agent
    shared = provisioned(provision.key0, names, provision.kvno)
    keys = tuple(HomeKey(Kem(each.kem), each.until, each.public) for each in provision.home_keys)
    return Home(
        *names,
        provision.kvno,
        shared.root,
        Chain.begin(shared.chain),
        keys=keys,
        home_address=provision.home_address,
        layer2=provision.layer2,
        addresses=tuple(map(ip_address, provision.addresses)),
    )


class Roaming:
    """The mobile node of a daemon: ``role`` is what it runs, ``house`` where that lives, once there is one."""

    def __init__(self, reactor: Any, plan: Plan, taken: Callable[[int], bool], log: EventLog) -> None:
        self.role = MobileNode(plan, os.urandom, taken)
        self.house: HouseAtEdge | None = None
        self._multicast = Multicast(reactor, self._heard, self._told)
        self._log = log
        self._reactor = reactor
        self._joined: tuple[object, ...] = ()

    @property
    def home_agent(self) -> str:
        """With whom it registers."""
        return self.role.keeping.plan.home_agent

    def open(self, house: HouseAtEdge, interface: str) -> None:
        """Hear groups, and let what is said to them leave by ``interface``, where one is named."""
        self.house = house
        self.listen(interface)

    def listen(self, interface: str) -> None:
        """Hear the groups of the plan, and no others; try again where one could not be had."""
        groups = self.role.keeping.plan.groups
        if self.house is None or (self._joined == (groups, interface) and not self._multicast.lacking):
            return
        self._multicast.leave()
        self._joined = groups, interface
        self.house.place = place = Place(interface=interface)
        for group, port in groups:
            self._multicast.join(group, port, place)

    def close(self) -> list[Any]:
        """Hear them no more; return Deferreds of that."""
        return self._multicast.leave()

    def _heard(self, octets: bytes, host: str, port: int, _place: Place) -> None:
        if self.house is not None:
            self.house.received(octets, Path(host, port))

    def _told(self, group: str, why: str) -> None:
        self._log.say("warn", "agents cannot be heard at {group}: {why}", group=group, why=why)

    def ask(self, what: Callable[[Now], list[RoleAction]]) -> None:
        """Run what the role wants that somebody has asked for something; raises what ``what`` raises."""
        if self.house is not None:
            self.house.ask(self.role, what)

    def doubted(self, spi_in: int, *, proved: bool) -> None:
        """Register again where a link was told that the home agent does not know an association."""
        self.role.keeping.moves.refused(spi_in)
        self.ask(lambda now: self.role.keeping.doubted(spi_in, now, proved=proved))

    def served(self, spi_in: int) -> None:
        """Take note that a link stands under an association."""
        self.role.keeping.moves.served(spi_in)

    def elsewhere(self, before: str, after: str) -> None:
        """Register from where we are: our address towards the agent is another one, or none."""
        why = f"our address is {after} in place of {before or 'none'}" if after else f"our address {before} is gone"
        self.ask(lambda now: self.role.keeping.moves.elsewhere(why, now))

    def refused(self, spi_in: int, code: int) -> None:
        """Register anew, or move, where the agent does not carry traffic; with code 0 it cannot be reached."""
        self.ask(lambda now: self.role.keeping.moves.turned_away(spi_in, code, now))

    def followed(self, moved: Moved, at: float) -> None:
        """Take note that dialogs have followed a move."""
        self.role.keeping.moves.followed = moved, at

    def go_by(self, plan: Plan, interface: str) -> None:
        """Go on by another plan for the same home agent."""
        self.ask(lambda now: self.role.keeping.reconfigure(plan, now))
        self.listen(interface)

    def near(self, now: Now) -> tuple[str, Path] | None:
        """Return the agent that the node is registered by, or would be, and where that is; None if none is heard."""
        keeping = self.role.keeping
        if keeping.registration is not None:
            return keeping.registration.agent, keeping.registration.path
        agent = keeping.agents.best(keeping.plan.kem, now)
        return None if agent is None else (agent.nai, agent.path)

    def commands(self) -> Commands:
        """Return what answers each command, by its name."""
        return {"provision": self._provision, "move": self._move}

    def _move(self, request: Request) -> Deferred[Answer]:
        agent, seconds, peer = request.get("agent", ""), patience_of(request), self.home_agent
        if not isinstance(agent, str):
            raise Declined("agent must be the name of an agent, or nothing", "unfit")
        nothing: Answer = {
            "schema": MOVE_SCHEMA,
            "peer": peer,
            "done": False,
            "move": None,
            "failure": None,
            "pending": None,
            "events": [],
        }

        def read(event: Event) -> Answer | None:
            match event:
                case Moved(peer=who) if who == peer:
                    return nothing | {"done": True, "move": attrs.asdict(event)}
                case NegotiationRefused(peer=who) | NegotiationFailed(peer=who) | StoreTrouble(peer=who) if who == peer:
                    return nothing | {"failure": failure(event)}
            return None

        def begin() -> None:
            self._log.report(OperatorAsked("move", peer))
            self.ask(lambda now: self.role.keeping.moves.move(agent, now))

        return awaited(self._log, self._reactor, peer, seconds, begin, read, nothing)

    def _provision(self, request: Request) -> Deferred[Answer]:
        home = _home(request)
        stored: Deferred[Answer] = Deferred()

        def done(why: str) -> None:
            if why:
                stored.errback(StoreFailed(why))
            else:
                told = {"node": home.node, "home_agent": home.home_agent, "kvno": home.kvno}
                stored.callback({"schema": PROVISION_SCHEMA, **told, "daemon": True})

        self.ask(lambda _now: self.role.keeping.provision(home, done))
        return stored


def _home(request: Request) -> Home:
    """Return what a request has for us, which another process of this program has made; raises `Declined`."""
    text, name = request.get("home"), request.get("home_agent")
    if not isinstance(text, str) or not isinstance(name, str):
        raise Declined("the request needs a home and a home_agent", "unfit")
    try:
        return Home.read(Record(HOME, name.encode(), base64.b64decode(text, validate=True)))
    except (StoreFailed, binascii.Error, ValueError):
        raise Declined("home is not what this version of the program stores", "unfit") from None


class RoamingOperator(PrincipalOperator):
    """A node with associations that come of registering: what is asked for with them is asked of the mobile node."""

    def __init__(self, principal: Principal, roaming: Roaming) -> None:
        super().__init__(principal)
        self._roaming = roaming

    def up(self, peer: str) -> None:
        """Register, and be registered from now on."""
        super().up(peer)
        if peer == self._roaming.home_agent:
            self._roaming.ask(self._roaming.role.keeping.up)

    def rekey(self, peer: str) -> None:
        """Register again."""
        if peer == self._roaming.home_agent:
            self._roaming.ask(self._roaming.role.keeping.again)
        else:
            super().rekey(peer)

    def down(self, peer: str) -> None:
        """Deregister, and stay so."""
        if peer == self._roaming.home_agent:
            self._roaming.ask(self._roaming.role.keeping.down)
        else:
            super().down(peer)
