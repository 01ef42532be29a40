"""The configurations of the roaming network's daemons, and their certificates."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

from seckex.cli.demo.roaming.world import AAA_F, AAA_H, AGENT, CENTER, HOME, NODE, OTHER, SHOP, World
from seckex.config.files import create_private
from seckex.crypto.issuing import Authority

SERVICE: Final = "files"
ORDERS: Final = "orders"
_ROLES: Final = {NODE: "initiator", HOME: "responder", CENTER: "kdc", SHOP: "responder"}

_PROPOSAL: Final = """
[[policy.proposals]]
encryption = ["{encryption}"]
authentication = ["hmac-sha-256"]
prf = ["prf-hmac-sha-256"]
key-agreement = ["x25519"]
lifetime = "8h"
"""


def write_certificates(world: World) -> None:
    """Make an authority and a certificate for everybody."""
    now = time.time()
    root = Authority.issue_itself("the authority of the demo", now, 2)
    create_private(world.directory / "ca.pem", root.certificate)
    create_private(world.directory / "ca.key", root.key.octets)
    for role in world.everybody:
        certify(world, role)


def certify(world: World, role: str) -> None:
    """Make a certificate for who has a role, with another key, in the place of one that there may be."""
    ca, key = ((world.directory / f"ca.{kind}").read_bytes() for kind in ("pem", "key"))
    issued = Authority.from_pem(ca, key).issue(world.nai(role), time.time(), 1)
    for file, octets in ((f"{role}.pem", issued.certificate), (f"{role}.key", issued.key.octets)):
        (world.directory / file).unlink(missing_ok=True)
        create_private(world.directory / file, octets)


def write_settings(world: World) -> None:
    """Write the configuration of every role."""
    for role in world.everybody:
        world.config(role).write_text(_beginning(world, role) + _SECTIONS[role](world))


def let_roam(world: World) -> None:
    """Let the node register by way of the other agent and of its home as well."""
    file = world.config(NODE)
    agents = ", ".join(f'"{world.nai(role)}"' for role in (AGENT, OTHER, HOME))
    file.write_text(file.read_text().replace(_agents(world), f"agents = [{agents}]"))


def _agents(world: World) -> str:
    return f'agents = ["{world.nai(AGENT)}"]'


def _beginning(world: World, role: str) -> str:
    return f"""\
role = "{_ROLES.get(role, "agent")}"

[identity]
nai = "{world.nai(role)}"
certificate = "{role}.pem"
private-key = "{role}.key"
trust = ["ca.pem"]

[state]
directory = "{role}"

[log]
format = "json"
file = "{role}.log"
"""


def _hop(world: World, role: str) -> str:
    return f"""
[[hops]]
nai = "{world.nai(role)}"
address = "{world.address(role)}"
port = {world.ports.hops[role]}
"""


def _hops_listen(world: World, role: str, *callers: str) -> str:
    accept = ", ".join(f'"{world.nai(caller)}"' for caller in callers)
    return f"""
[hops-listen]
addresses = ["{world.address(role)}"]
port = {world.ports.hops[role]}
accept = [{accept}]
"""


def _node(world: World) -> str:
    # The one that it would rather have comes first, and alone in the first round.
    proposals = _PROPOSAL.format(encryption="chacha20-poly1305") + _PROPOSAL.format(encryption="aes-256-gcm")
    return f"""
[[peers]]
nai = "{world.nai(HOME)}"
authentication = "registration"
address = "{world.address(HOME)}"
port = {world.ports.own[HOME]}

[registration]
lifetime = "30m"
{_agents(world)}
port = {world.ports.own[AGENT]}
interface = "lo"

[[forwards]]
listen = "tcp:{world.ports.forward}:interface=127.0.0.1"
peer = "{world.nai(HOME)}"
service = "{SERVICE}"

[[messages.peers]]
nai = "{world.nai(SHOP)}"
address = "{world.address(SHOP)}"
port = {world.ports.own[SHOP]}

[policy]
open-with = 1
{proposals}"""


def _listen(world: World, role: str) -> str:
    return f"""
[listen]
addresses = ["{world.address(role)}"]
port = {world.ports.own[role]}
"""


def _agent(world: World) -> str:
    return _agent_at(world, AGENT)


def _other(world: World) -> str:
    return _agent_at(world, OTHER)


def _agent_at(world: World, role: str) -> str:
    servers = f'servers = ["{world.nai(AAA_F)}"]' if world.servers else ""
    return f"""{_listen(world, role)}
[foreign-agent]
advertise-every = "2s"
{servers}
{_hop(world, AAA_F if world.servers else HOME)}"""


def _aaa_f(world: World) -> str:
    return f"""{_listen(world, AAA_F)}
[[aaa.routes]]
realm = "example.org"
next = ["{world.nai(AAA_H)}"]
{_hop(world, AAA_H)}{_hops_listen(world, AAA_F, AGENT, OTHER)}"""


def _aaa_h(world: World) -> str:
    return f"""{_listen(world, AAA_H)}
[aaa]
home-agents = ["{world.nai(HOME)}"]
{_hop(world, HOME)}{_hops_listen(world, AAA_H, AAA_F)}"""


def _home(world: World) -> str:
    return f"""{_listen(world, HOME)}
[home-agent]
kdcs = ["{world.nai(CENTER)}"]
keying = "{world.keying}"

[foreign-agent]
advertise-every = "2s"

[[peers]]
nai = "*@example.org"
authentication = "registration"
services = ["{SERVICE}"]

[services.{SERVICE}]
connect = "tcp:127.0.0.1:{world.ports.web}"

[policy]
{_PROPOSAL.format(encryption="aes-256-gcm")}
{_hop(world, CENTER)}{_hops_listen(world, HOME, *([AAA_H] if world.servers else [AGENT, OTHER]))}"""


def _center(world: World) -> str:
    return _hops_listen(world, CENTER, HOME)


def _shop(world: World) -> str:
    return f"""{_listen(world, SHOP)}
[messages.services.{ORDERS}]
from = ["*@example.org"]
"""


_SECTIONS: Final[Mapping[str, Callable[[World], str]]] = {
    NODE: _node,
    AGENT: _agent,
    OTHER: _other,
    AAA_F: _aaa_f,
    AAA_H: _aaa_h,
    HOME: _home,
    CENTER: _center,
    SHOP: _shop,
}
