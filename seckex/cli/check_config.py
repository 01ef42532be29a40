"""``seckex check-config``: everything that is wrong with a configuration, or what it means."""

from __future__ import annotations

import pwd
import time
from pathlib import Path
from typing import Any, Final

import click

from seckex.cli.output import ExitCode, json_option, leave, life, plain, print_json
from seckex.config.agent import AgentSettings
from seckex.config.files import Owner
from seckex.config.home_agent import ANY_DOMAIN, HomeAgent
from seckex.config.hops import HopSettings
from seckex.config.initiator import InitiatorSettings
from seckex.config.kdc import Kdc, KdcSettings
from seckex.config.listen import ListeningSettings
from seckex.config.load import AnySettings, Loaded, load_any
from seckex.config.policy import ProposalSettings
from seckex.config.problems import ConfigInvalid
from seckex.config.registration import Registration
from seckex.config.responder import ResponderSettings
from seckex.config.values import duration, size

SCHEMA: Final = "seckex.check-config/1"


@click.command("check-config")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("--user", metavar="NAME", help="The user that the daemon is to run as; yourself unless given.")
@json_option
def check_config(files: tuple[Path, ...], user: str | None, as_json: bool) -> None:
    """Check configurations together with the files of keys and certificates that they name.

    Who owns the files is checked too: run it as the user that the daemon runs as, or as root with --user.
    """
    right = True
    owner = None if user is None else _owner(user)
    for file in files:
        try:
            loaded = load_any(file, owner)
        except ConfigInvalid as error:
            right = False
            _print_problems(error, as_json)
        else:
            _print_summary(loaded, as_json)
    leave(ExitCode.FINE if right else ExitCode.NO)


def _owner(user: str) -> Owner:
    try:
        found = pwd.getpwnam(user)
    except KeyError:
        raise click.BadParameter(f"there is no user {user} on this machine", param_hint="--user") from None
    return Owner(found.pw_uid, found.pw_gid)


def _print_problems(error: ConfigInvalid, as_json: bool) -> None:
    if as_json:
        problems = [{"path": problem.path, "problem": problem.what} for problem in error.problems]
        print_json(SCHEMA, {"file": error.file, "right": False, "problems": problems})
        return
    for problem in error.problems:
        click.echo(plain(f"{error.file}: {problem}"), err=True)


def _print_summary(loaded: Loaded[AnySettings], as_json: bool) -> None:
    settings = loaded.settings
    if as_json:
        about = {"role": settings.role, "nai": settings.identity.nai}
        print_json(SCHEMA, {"file": str(loaded.file), "right": True, "problems": []} | about)
        return
    click.echo(plain(f"{loaded.file}: right, for the {settings.role} {settings.identity.nai}"))
    for topic, lines in _meaning(loaded).items():
        for index, line in enumerate(lines):
            click.echo(plain(f"  {'' if index else topic:<12}{line}"))


def _meaning(loaded: Loaded[Any]) -> dict[str, list[str]]:
    """Return, by topic, lines that say what the file amounts to."""
    settings: AnySettings = loaded.settings
    keys = {peer.nai: f"by {peer.authentication}" for peer in getattr(settings, "peers", ())}
    keys |= {nai: f"KEY 0 SPI {key0.spi:#010x} kvno {key0.kvno}" for nai, key0 in loaded.keys.items()}
    meaning: dict[str, list[str]] = {}
    if loaded.credentials is not None:
        identity = loaded.credentials.identity
        meaning["identity"] = [f"of {identity.nai}, {life(identity.not_before, identity.not_after, time.time())}"]
    if isinstance(settings, InitiatorSettings):
        meaning["peers"] = [
            f"{peer.nai} at {peer.address} port {peer.port}, {keys[peer.nai]}" for peer in settings.peers
        ]
        if settings.home is not None:
            meaning["registers"] = _registration(settings.registration)
        meaning["forwards"] = [f"{each.listen} -> {each.service} of {each.peer}" for each in settings.forwards]
    if isinstance(settings, ListeningSettings):
        meaning["listens on"] = [f"{address} port {settings.listen.port}" for address in settings.listen.addresses]
    if isinstance(settings, ResponderSettings):
        allowed = {peer.nai: ", ".join(peer.services) or "no service" for peer in settings.peers}
        meaning["peers"] = [f"{nai}, {keys[nai]}: {services}" for nai, services in allowed.items()]
        meaning["services"] = [f"{name} -> {service.connect}" for name, service in settings.services.items()]
        if settings.home_agent is not None:
            meaning["home agent"] = home_agent_lines(settings.home_agent)
    if isinstance(settings, AgentSettings):
        meaning |= _agent(settings)
    if isinstance(settings, HopSettings):
        listen = settings.hops_listen
        meaning["hops"] = [f"from anywhere to {address} port {listen.port}" for address in listen.addresses]
        meaning["hops"] += [f"{hop.nai} at {hop.address} port {hop.port}, by {hop.security}" for hop in settings.hops]
    center: Kdc | None = getattr(settings, "kdc", None)
    if center is not None:
        whose = f"replica of {center.replicates}" if center.replicates else f"at most {center.principals} nodes"
        meaning["kdc"] = [f"{' and '.join(center.keying)} keys; {whose}"]
    if not isinstance(settings, KdcSettings):
        meaning["policy"] = [
            f"{number}: {_proposal(proposal)}" for number, proposal in enumerate(settings.policy.proposals, start=1)
        ]
    meaning["state"] = [str(settings.state.directory)]
    if settings.metrics.listen:
        others = settings.metrics.open_to_others
        meaning["metrics"] = [
            f"{each}, for other machines too" if each in others else each for each in settings.metrics.listen
        ]
    return meaning


def _registration(settings: Registration) -> list[str]:
    """Return how a mobile node registers."""
    heard = [f"at {host}" for host in settings.solicit] + [f"in the group {group}" for group in settings.groups]
    agents = ", ".join(settings.agents) or "any agent"
    return [f"for {duration(settings.lifetime)} by {settings.kem}", f"by way of {agents}, heard {', '.join(heard)}"]


def home_agent_lines(agent: HomeAgent) -> list[str]:
    """Return whose nodes are at home, and by way of whom they may register."""
    # Those of its own network may always.
    whose = "any domain" if ANY_DOMAIN in agent.domains else f"{', '.join(agent.domains)} and its own"
    agents = ", ".join(agent.agents) or f"any agent of {whose}"
    return [
        f"{agent.keying} keys; nodes of {', '.join(agent.kdcs)}, for {duration(agent.longest_registration)} at most",
        f"by way of {agents}" + ("" if agent.links == "any" else "; their links come through agents only"),
    ]


def _agent(settings: AgentSettings) -> dict[str, list[str]]:
    """Return what an agent's roles amount to."""
    meaning: dict[str, list[str]] = {}
    agent, relay = settings.foreign_agent, settings.aaa
    if agent is not None:
        care_of = ", ".join(agent.care_of_at(settings.listen.addresses))
        by = " or ".join(agent.servers) or "home agents themselves"
        whose = ", ".join((*agent.realms, *agent.home_agents)) or "all realms"
        meaning["agent"] = [
            f"domain {agent.domain_of(settings.identity.nai)}, care-of {care_of}",
            f"relays to {by}; serves {whose}, for {duration(agent.longest_registration)} at most",
        ]
    if relay.relays:
        meaning["aaa"] = [f"{nai} directly" for nai in relay.home_agents]
        meaning["aaa"] += [f"{route.realm} by {' or '.join(route.next)}" for route in relay.routes]
    return meaning


def _proposal(proposal: ProposalSettings) -> str:
    listed = (" or ".join(map(str, names)) for names in proposal.algorithms().values() if names)
    chosen = f"bundle {proposal.bundle}" if proposal.bundle else "; ".join(listed)
    bound = f" and {size(proposal.octets)}" if proposal.octets else ""
    return f"{chosen}; for {duration(proposal.lifetime)}{bound}"
