"""Whether an authentic request is granted: docs/registration.md, sections 9 and 14.

What is refused here is refused sealed: agent and relays see that there is a
refusal, and nothing of why.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Final

from attrs import frozen

from seckex.crypto.registration import NO_PREVIOUS
from seckex.crypto.suites import SHA256
from seckex.machine import Now
from seckex.roles.home_agent.bindings import Binding
from seckex.roles.home_agent.choices import AgentSide, Choices, Choosing
from seckex.roles.home_agent.nodes import KnownNode, NodeTable
from seckex.roles.home_agent.recognition import Recognized
from seckex.roles.home_agent.refusals import Sealed
from seckex.roles.home_agent.terms import HomeTerms
from seckex.wire.frames import Address
from seckex.wire.mobileip import AgentRequest, RequestHeader
from seckex.wire.numbers import LIFETIMES, SIMULTANEOUS_FLAG, Code

#: What a node has as its home address that has none.
NO_ADDRESS: Final = IPv4Address(0)

_MOST_PROBED: Final = 1024


@frozen
class Granted:
    """What a node gets: ``choices`` None where it deregisters; ``kept`` are the bindings that stay beside this one."""

    lifetime: int
    kept: tuple[Binding, ...]
    home_address: Address
    choices: Choices | None


def judge(
    asked: AgentRequest,
    side: AgentSide,
    found: Recognized,
    terms: HomeTerms,
    choosing: Choosing,
    nodes: NodeTable,
    expected: bytes | None,
    now: Now,
    clock: int,
) -> Granted | Sealed:
    """Return what is granted, or why nothing is.

    ``expected`` is the Previous of the node's next round, if any; ``clock``, in seconds, is what Identifications are
    judged by.
    """
    request, node, block = asked.request, found.node, found.block
    header = request.header
    if not node.enabled:
        return Sealed(Code.DISABLED_NODE, f"{node.nai} was disabled at its key distribution center")
    if not node.takes(found.credentials, now.wall) or block.kvno != found.credentials.kvno:
        return Sealed(Code.WRONG_KEY_VERSION, f"version {node.kvno} of KEY 0 is in use, not {block.kvno}")
    apart = ((header.identification >> 32) - clock + 0x80000000) % 0x100000000 - 0x80000000
    if abs(apart) > terms.clock_window:
        why = f"clocks are {apart:+d} s apart, {terms.clock_window} s are allowed"
        return Sealed(Code.IDENTIFICATION_MISMATCH, why, clock=clock)
    kept = _others(node, request.agent, header, now)
    lifetime = _lifetime(header.lifetime, node, kept, terms, now)
    if isinstance(lifetime, Sealed):
        return lifetime
    if block.agent_digest != SHA256.digest(request.agent.encode()):
        return Sealed(Code.AGENT_MISMATCH, f"{request.agent} has relayed it, and the node had chosen another agent")
    if not lifetime:
        return Granted(0, kept, node.home_address if kept and node.home_address else NO_ADDRESS, None)
    if len(kept) >= terms.bindings:
        return Sealed(Code.TOO_MANY_BINDINGS, f"{len(kept)} bindings beside this one, {terms.bindings} in all may be")
    address = _home_address(node, block.home_address, nodes, terms)
    if isinstance(address, Sealed):
        return address
    if request.previous != (NO_PREVIOUS if request.round == 1 else expected):
        return Sealed(Code.UNKNOWN_EXCHANGE, f"round {request.round} of a negotiation that is not remembered")
    choices = choosing.of_node(asked, side)
    return choices if isinstance(choices, Sealed) else Granted(lifetime, kept, address, choices)


def _others(node: KnownNode, agent: str, header: RequestHeader, now: Now) -> tuple[Binding, ...]:
    """Return the bindings that a request leaves alone: those through other agents, where it says so."""
    if not header.flags & SIMULTANEOUS_FLAG:
        return ()
    return tuple(each for each in node.bindings if each.agent != agent and each.until > now.wall)


def _lifetime(wanted: int, node: KnownNode, kept: tuple[Binding, ...], terms: HomeTerms, now: Now) -> int | Sealed:
    if wanted not in LIFETIMES:
        return Sealed(Code.BAD_LIFETIME, f"{wanted} s is none of {', '.join(map(str, LIFETIMES))}")
    if not wanted:
        there = [each for each in node.bindings if each.until > now.wall]
        return 0 if len(there) > len(kept) else Sealed(Code.BAD_LIFETIME, "there is no registration to end")
    return terms.granted(wanted) or Sealed(Code.BAD_LIFETIME, f"{wanted} s, at least {terms.shortest} s is wanted here")


def _home_address(node: KnownNode, wanted: Address | None, nodes: NodeTable, terms: HomeTerms) -> Address | Sealed:
    network = terms.network
    if wanted is not None and not wanted.is_unspecified:
        if wanted == terms.address:
            return Sealed(Code.PROHIBITED, f"the home address {wanted} is our own")
        if network is not None and wanted not in network:
            return Sealed(Code.PROHIBITED, f"the home address {wanted} is not in {network}")
        if nodes.holder(wanted) not in (None, node.nai):
            return Sealed(Code.PROHIBITED, f"another node has the home address {wanted}")
        return wanted
    if node.home_address is not None:
        return node.home_address
    if network is None:
        return NO_ADDRESS
    # The first and the last address are nobody's.
    usable = max(network.num_addresses - 2, 1)
    first = int.from_bytes(terms.entropy(16), "big")
    for number in range(min(usable, _MOST_PROBED)):
        found = network[1 + (first + number) % usable]
        if nodes.holder(found) is None and found != terms.address:
            return found
    return Sealed(Code.INSUFFICIENT_RESOURCES, f"no home address of {network} is free")
