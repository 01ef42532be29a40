"""``seckex doctor`` itself: which configuration, which checks, and how what they find is shown."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
from rich.text import Text

from seckex.cli.control_client import Refused, Unreachable, ask
from seckex.cli.doctor import local, network
from seckex.cli.doctor.certificates import certificates
from seckex.cli.doctor.finding import Finding, Health, bad, doubtful, good
from seckex.cli.finding import daemon_options, sockets_of
from seckex.cli.output import ExitCode, Fault, json_option, leave, plain, print_json, print_tables
from seckex.cli.status_view import span
from seckex.config.initiator import InitiatorSettings
from seckex.config.load import AnySettings, load_any, read_settings
from seckex.config.problems import ConfigInvalid

SCHEMA: Final = "seckex.doctor/1"
_STATUS: Final = "seckex.status/1"
_EXPLAIN: Final = "seckex.explain-peer/1"
_MARKS: Final = {Health.GOOD: ("ok", "green"), Health.DOUBTFUL: ("??", "yellow"), Health.BAD: ("!!", "bold red")}


@click.command()
@daemon_options
@json_option
def doctor(socket_path: Path | None, config_path: Path | None, as_json: bool) -> None:
    """Look at everything around a daemon that can be wrong, and say what to do about each.

    Configuration, keys, modes of files, life of certificates, clock, disk, database, ports, and of an initiator
    whether its peers can be reached. With --config that configuration is looked at, whether its daemon runs or not;
    without, those of the daemons that run. Run it as the user that the daemon runs as.
    """
    worst = Health.GOOD
    for file in configurations(socket_path, config_path):
        found = examined(file)
        bad_ones = any(finding.health is Health.BAD for finding in found)
        worst = Health.BAD if bad_ones else worst
        if as_json:
            told = [
                {"check": one.check, "health": one.health.value, "what": one.what, "advice": one.advice}
                for one in found
            ]
            print_json(SCHEMA, {"file": str(file), "good": not bad_ones, "findings": told})
        else:
            _print(file, found)
    leave(ExitCode.NO if worst is Health.BAD else ExitCode.FINE)


def configurations(socket_path: Path | None, config_path: Path | None) -> list[Path]:
    """Return the configurations that are meant: the one that is named, or those of daemons that answer."""
    if config_path is not None and socket_path is None:
        return [config_path]
    files = []
    for path in sockets_of(socket_path, config_path):
        status = _asked(path, {"command": "status"}, _STATUS)
        daemon = status.get("daemon") if status else None
        named = daemon.get("configuration") if isinstance(daemon, dict) else None
        if named:
            files.append(Path(str(named)))
    if not files:
        raise Fault("no daemon answers that could say which configuration is meant: name it with --config")
    return files


def examined(file: Path) -> list[Finding]:
    """Return all that can be found about one configuration and its daemon."""
    found = list(_configuration(file))
    try:
        settings = read_settings(file)
    except ConfigInvalid:
        return found
    status = _asked(settings.state.control, {"command": "status"}, _STATUS)
    found += _daemon(settings, status)
    for check in (local.files, local.disk, local.database, local.clock):
        found += check(settings.state)
    found += local.key_log(settings.debug)
    found += certificates(settings.identity, settings.state.directory)
    found += network.ports(settings, live=status is not None)
    found += network.metrics(settings.metrics, live=status is not None)
    if isinstance(settings, InitiatorSettings):
        found += network.reach(settings.peers)
    if status is not None:
        found += _clocks(settings)
    return found


def _configuration(file: Path) -> Iterator[Finding]:
    try:
        loaded = load_any(file)
    except ConfigInvalid as error:
        for problem in error.problems:
            yield bad(
                "configuration", f"{error.file}: {problem}", "mend it; `seckex check-config` says when it is right"
            )
        return
    settings = loaded.settings
    yield good("configuration", f"{file} is right, for the {settings.role} {settings.identity.nai}, keys included")


def _daemon(settings: AnySettings, status: dict[str, Any] | None) -> Iterator[Finding]:
    if status is None:
        control = settings.state.control
        yield doubtful(
            "daemon", f"none answers on {control}", f"start it: twistd seckex-{settings.role}; its log says more"
        )
        return
    daemon = status.get("daemon")
    daemon = daemon if isinstance(daemon, dict) else {}
    if daemon.get("nai") != settings.identity.nai:
        what = f"the daemon on {settings.state.control} is {daemon.get('nai')}"
        yield bad("daemon", what, "give each daemon a state.directory of its own")
        return
    yield good(
        "daemon",
        f"version {daemon.get('version')} runs as process {daemon.get('pid')}, up {span(daemon.get('uptime'))}",
    )


def _clocks(settings: AnySettings) -> Iterator[Finding]:
    """Tell which peers' clocks were found to be apart from ours."""
    for peer in getattr(settings, "peers", ())[: network.MOST_PEERS]:
        told = _asked(settings.state.control, {"command": "explain", "peer": peer.nai}, _EXPLAIN)
        clock = told.get("clock") if told else None
        if isinstance(clock, dict):
            what = f"the clock of {peer.nai} was {clock.get('seconds')} s from ours"
            yield doubtful("clock", what, "set both clocks and have them kept (NTP)")


def _asked(path: Path, request: dict[str, Any], schema: str) -> dict[str, Any] | None:
    try:
        return ask(path, request, schema)
    except (Unreachable, Refused):
        return None


def _print(file: Path, found: list[Finding]) -> None:
    lines = [Text(plain(file), style="bold")]
    for one in found:
        mark, style = _MARKS[one.health]
        lines.append(Text.assemble((mark, style), f"  {one.check:<14}{plain(one.what)}"))
        if one.advice:
            lines.append(Text(f"    {'':<14}{plain(one.advice)}", style="dim" if sys.stdout.isatty() else ""))
    print_tables(lines)
