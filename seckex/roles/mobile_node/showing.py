"""What an operator of a mobile node is shown: whom it hears, how it is registered, and why not."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any, Final

from seckex.events.mobile_node import Moved, Registered
from seckex.machine import Now
from seckex.roles.mobile_node.agents import Agent
from seckex.roles.mobile_node.attempt import Done, Failed
from seckex.roles.mobile_node.records import Home, Registration
from seckex.sa.algorithms import PROTOCOL_NAMES
from seckex.sa.registration import KEY_AGREEMENTS
from seckex.wire.advertisement import AdvertisementFlag
from seckex.wire.numbers import Keying

if TYPE_CHECKING:
    from seckex.roles.mobile_node.keeping import Keeping


def status(node: Keeping, now: Now) -> dict[str, Any]:
    """Return all of it, ready for JSON, without secrets."""
    due = node.schedule.due
    return {
        "node": node.plan.local,
        "home-agent": node.plan.home_agent,
        "state": state(node),
        "shared": None if node.home is None else _shared(node.home, now),
        "registration": None if node.registration is None else _registration(node.registration, now),
        "next-in": None if due is None else round(max(due - now.monotonic, 0), 1),
        "last-failure": None if node.last_failure is None else _failure(node.last_failure),
        "moves": node.moves.count,
        "last-move": None if node.moves.followed is None else _move(*node.moves.followed, now),
        "agents": [_agent(agent, node, now) for agent in sorted(node.agents, key=lambda each: each.key)],
    }


#: What a node is that has a registration, and whether that is in vain.
REGISTERED: Final = {False: "registered", True: "registered in vain"}


def keying_name(mode: Keying) -> str:
    """Return what people call a keying mode."""
    return mode.name.lower().replace("_", "-")


def told(done: Done) -> Registered:
    """Return the event that tells of a registration."""
    registration, association = done.registration, done.association
    return Registered(
        peer=registration.home_agent,
        agent=registration.agent,
        care_of=str(registration.care_of),
        home_address=_address(registration.home_address) or "",
        lifetime=registration.lifetime,
        keying=keying_name(registration.mode),
        kem=KEY_AGREEMENTS[registration.kem].name,
        rounds=registration.rounds,
        transforms={PROTOCOL_NAMES[each.protocol]: each.name for each in association.agreement.algorithms},
        spi_in=association.spi_in,
        spi_out=association.spi_out,
    )


def state(node: Keeping) -> str:
    """Return in words how a node is registered, or why not."""
    if node.home is None:
        return "not provisioned"
    if node.course.state is not None:
        return "registering" if node.wanted else "deregistering"
    if node.registration is not None:
        return REGISTERED[node.moves.in_vain]
    if not node.wanted:
        return "not wanted"
    return "waiting" if len(node.agents) else "no agent heard"


def _address(address: IPv4Address | IPv6Address | None) -> str | None:
    """Return a home address, None for none: the unspecified one says on the wire that any would do."""
    return None if address is None or address.is_unspecified else str(address)


def _shared(home: Home, now: Now) -> dict[str, Any]:
    return {
        "kvno": home.kvno,
        "requests": home.chain.index,
        "unanswered": home.chain.index - home.answered,
        "next-form": "fallback" if home.fallback else "one-time SPI",
        "home-address": _address(home.home_address),
        "home-agent-addresses": [str(address) for address in home.addresses],
        "home-agent-keys": [
            {"kem": KEY_AGREEMENTS[key.kem].name, "left": int(key.until - now.wall)} for key in home.keys
        ],
    }


def _registration(registration: Registration, now: Now) -> dict[str, Any]:
    visit = registration.visit
    return {
        "agent": registration.agent,
        "address": str(registration.path),
        "care-of": str(registration.care_of),
        "home-address": _address(registration.home_address),
        "lifetime": registration.lifetime,
        "left": round(max(registration.expires - now.wall, 0), 1),
        "keying": keying_name(registration.mode),
        "kem": KEY_AGREEMENTS[registration.kem].name,
        "rounds": registration.rounds,
        "form": "fallback" if registration.fallback else "one-time SPI",
        "traffic": "agent" if registration.passages else "direct",
        "spi-in": registration.spi_in,
        "with-agent": {"spi-in": visit.spi_in, "spi-out": visit.spi_out, "agreement": str(visit.agreement)},
    }


def _move(moved: Moved, at: float, now: Now) -> dict[str, Any]:
    return {
        "left": moved.left,
        "agent": moved.agent,
        "why": moved.why,
        "ago": round(max(now.wall - at, 0), 1),
        "registering": moved.registering,
        "pause": moved.pause,
        "round_trips": moved.round_trips,
        "dialogs": moved.dialogs,
        "octets": moved.octets,
    }


def _failure(failed: Failed) -> dict[str, Any]:
    return {
        "agent": failed.attempt.agent.nai,
        "by": failed.cause.value,
        "code": failed.code,
        "why": failed.why,
        "causes": list(failed.causes),
    }


def _agent(agent: Agent, node: Keeping, now: Now) -> dict[str, Any]:
    flags = agent.flags
    return {
        "nai": agent.nai,
        "domain": agent.domain,
        "address": str(agent.path),
        "care-of": str(agent.care_of),
        "in-use": agent.key == node.agents.in_use,
        "busy": agent.busy,
        "aaa": bool(flags & AdvertisementFlag.AAA),
        "tcp": bool(flags & AdvertisementFlag.TCP),
        "hybrid": bool(flags & AdvertisementFlag.HYBRID),
        "traffic": agent.carries,
        "heard": round(now.monotonic - agent.heard, 1),
        "left": round(max(agent.until - now.monotonic, 0), 1),
        "longest": agent.longest,
        "objection": node.agents.objection(agent, node.plan.kem)
        or ("it has just failed" if node.agents.avoided(agent, now) else ""),
    }
