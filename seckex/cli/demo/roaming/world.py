"""Who takes part in a demo of the roaming network, under which name and at which address.

Every role has a loopback address of its own, and ports that were free a moment
ago. Name and addresses of the mobile node have random parts, so that who has
their octets has them from this node.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Mapping
from ipaddress import IPv6Address
from pathlib import Path
from typing import Final

from attrs import field, frozen

from seckex.cli.demo.processes import free_port

TOPOLOGIES: Final = ("direct", "aaa")
KEYINGS: Final = ("stateless", "stateful", "semi-stateful")

NODE, AGENT, AAA_F, AAA_H, HOME, CENTER = "node", "agent", "aaa-f", "aaa-h", "home", "center"
#: The agent that the node moves to.
OTHER: Final = "other"
#: Whom the node sends messages to.
SHOP: Final = "shop"

#: What runs each of them.
PLUGINS: Final[Mapping[str, str]] = {
    NODE: "seckex-initiator",
    AGENT: "seckex-agent",
    OTHER: "seckex-agent",
    AAA_F: "seckex-agent",
    AAA_H: "seckex-agent",
    HOME: "seckex-responder",
    CENTER: "seckex-kdc",
    SHOP: "seckex-responder",
}
_ADDRESSES: Final = {
    role: f"127.0.0.{last}" for last, role in enumerate((AGENT, AAA_F, AAA_H, HOME, CENTER, OTHER, SHOP), start=2)
}
#: Nodes hear at one port of their groups whoever is an agent.
_HEARD: Final = (AGENT, OTHER, HOME)
_DIRECT: Final = (NODE, AGENT, HOME, CENTER)
_AAA: Final = (NODE, AGENT, AAA_F, AAA_H, HOME, CENTER)
_DRAWINGS: Final = {
    "direct": (
        "         radio            TLS            TLS",
        "  node ~ ~ ~ ~ ~ agent ========= home ========= center",
        "                 example.net       |  example.org",
        "                              web server",
    ),
    "aaa": (
        "         radio          TLS         TLS         TLS        TLS",
        "  node ~ ~ ~ ~ ~ agent ===== aaa-f ===== aaa-h ===== home ===== center",
        "                 example.net             example.org   |",
        "                                                  web server",
    ),
}


def _home_address() -> IPv6Address:
    # A unique local address (RFC 4193), most of it drawn.
    return IPv6Address(b"\xfd" + secrets.token_bytes(15))


def _layer2() -> bytes:
    # Locally administered (IEEE 802).
    return b"\x02" + secrets.token_bytes(5)


@frozen
class Identity:
    """What is the mobile node's own business: its name, its address at home, its address on layer 2 (6 octets)."""

    nai: str = field(factory=lambda: f"rover-{secrets.token_hex(6)}@example.org")
    home_address: IPv6Address = field(factory=_home_address)
    layer2: bytes = field(factory=_layer2)

    @property
    def mac(self) -> str:
        """The layer 2 address as people write it."""
        return self.layer2.hex(":")


@frozen
class Ports:
    """Where everything listens: each role in ``own`` for UDP and TCP, in ``hops`` for secure hops."""

    own: Mapping[str, int]
    hops: Mapping[str, int]
    web: int
    forward: int


def _ports() -> Ports:
    heard = free_port(socket.SOCK_DGRAM, hosts=[_ADDRESSES[role] for role in _HEARD])
    alone = _ADDRESSES.keys() - set(_HEARD)
    own = dict.fromkeys(_HEARD, heard) | {role: free_port(socket.SOCK_DGRAM, host=_ADDRESSES[role]) for role in alone}
    hops = {role: free_port(host=host) for role, host in _ADDRESSES.items()}
    return Ports(own, hops, free_port(), free_port())


@frozen
class World:
    """See the module; everything is in ``directory``."""

    topology: str
    keying: str
    directory: Path
    identity: Identity = field(factory=Identity)
    ports: Ports = field(factory=_ports)

    @property
    def roles(self) -> tuple[str, ...]:
        """Who takes part, from the node to the center."""
        return _AAA if self.topology == "aaa" else _DIRECT

    @property
    def everybody(self) -> tuple[str, ...]:
        """They, the agent that the node moves to, and the shop."""
        return (*self.roles, OTHER, SHOP)

    @property
    def servers(self) -> tuple[str, ...]:
        """The AAA servers among them."""
        return tuple(role for role in self.roles if role in (AAA_F, AAA_H))

    def nai(self, role: str) -> str:
        """Return the name of who has a role."""
        names = {
            NODE: self.identity.nai,
            AGENT: "agent@example.net",
            OTHER: "agent@example.com",
            AAA_F: "aaa@example.net",
            AAA_H: "aaa@example.org",
            HOME: "home@example.org",
            CENTER: "kdc@example.org",
            SHOP: "shop@example.org",
        }
        return names[role]

    def role_of(self, nai: str) -> str:
        """Return who is called like that."""
        return next(role for role in self.everybody if self.nai(role) == nai)

    def address(self, role: str) -> str:
        """Return where who has a role listens."""
        return _ADDRESSES[role]

    def state(self, role: str) -> Path:
        """Return where who has a role keeps what lasts."""
        return self.directory / role

    def control(self, role: str) -> Path:
        """Return where who has a role can be asked."""
        return self.state(role) / "control.sock"

    def config(self, role: str) -> Path:
        """Return the configuration of who has a role."""
        return self.directory / f"{role}.toml"

    def socket(self, role: str) -> Path:
        """Return where programs beside who has a role send and receive messages."""
        return self.state(role) / "messages.sock"

    def log(self, role: str) -> Path:
        """Return the log of who has a role."""
        return self.directory / f"{role}.log"

    def drawing(self) -> tuple[str, ...]:
        """Return lines that show who talks to whom."""
        return _DRAWINGS[self.topology]
