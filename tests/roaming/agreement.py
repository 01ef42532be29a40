"""Whether a node is registered, and has the keys that its home agent and its agent have."""

from __future__ import annotations

from seckex.roles.foreign_agent.agent import ForeignAgent
from seckex.roles.foreign_agent.visitors import Visitor
from seckex.roles.home_agent.bindings import Binding
from seckex.roles.home_agent.nodes import KnownNode
from seckex.roles.home_agent.role import HomeAgent
from seckex.roles.mobile_node.records import Registration
from seckex.roles.mobile_node.role import MobileNode
from tests.roaming.host import Host
from tests.roaming.world import HOME, World


def registration_of(host: Host) -> Registration | None:
    """Return what a running node has."""
    return host.role(MobileNode).keeping.registration


def known_at_home(world: World, host: Host) -> KnownNode:
    """Return what the running home agent knows of a node; fails where that is nothing."""
    known = world.home.role(HomeAgent).home.nodes.get(host.nai)
    if known is None:
        world.network.fail(f"nothing is known of {host.nai} at home")
    return known


def agent_of(world: World, registration: Registration) -> Host:
    """Return the agent that a node is registered by."""
    return next(agent for agent in world.agents if agent.nai == registration.agent)


def visitor_of(agent: Host, binding: Binding) -> Visitor | None:
    """Return what a running agent has with the node of a binding."""
    return agent.role(ForeignAgent).visitor(HOME, binding.pseudonym)


def missing(world: World, host: Host) -> str:
    """Return what is missing for a node to be registered at all three; nothing where it is.

    Fails where they hold different keys of what they think is the same.
    """
    if host.house is None or world.home.house is None:
        return "node or home agent is down"
    registration = registration_of(host)
    if registration is None:
        return "the node is not registered"
    known, agent = known_at_home(world, host), agent_of(world, registration)
    if agent.house is None or registration.spi_in not in host.adopted:
        return "the agent is down, or the node has no association"
    ours, theirs = host.adopted[registration.spi_in], world.home.adopted.get(known.association)
    binding = next((each for each in known.bindings if each.agent == registration.agent), None)
    if theirs is None or binding is None or theirs.spi_out != ours.spi_in or theirs.spi_in != ours.spi_out:
        return "the home agent has another registration"
    visitor = visitor_of(agent, binding)
    if visitor is None or visitor.spi_node != registration.visit.spi_out:
        return "the agent has another registration"
    same = {
        "KEY 1": ours.keys.octets() == theirs.keys.octets(),
        "KEY 2": visitor.key2.octets() == binding.keys.octets(),
        "KEY 3": visitor.key3.octets() == registration.visit.keys.octets(),
        "the terms": ours.agreement == theirs.agreement and ours.transcript == theirs.transcript,
    }
    for what, equal in same.items():
        if not equal:
            world.network.fail(f"{what} of {host.name} is not the same at both ends")
    return ""
