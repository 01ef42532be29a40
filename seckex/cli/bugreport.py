"""``seckex bugreport``: what somebody else needs to know in order to help, and nothing that must stay here.

Versions, the configuration, what the daemon says of itself and did last, and
what the doctor finds. No key and no place of one is in it, whatever went
wrong; names of principals, addresses and services are.
"""

from __future__ import annotations

import json
import platform
import ssl
import time
import tomllib
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import click

from seckex import __version__
from seckex.cli.control_client import Refused, Unreachable, ask
from seckex.cli.doctor import configurations, examined
from seckex.cli.finding import daemon_options
from seckex.cli.output import create_secret, json_option, plain
from seckex.cli.redaction import Redaction
from seckex.config.load import read_settings
from seckex.config.problems import ConfigInvalid
from seckex.storage.inspect import LIBRARY

SCHEMA: Final = "seckex.bugreport/1"
_PACKAGES: Final = ("Twisted", "attrs", "cattrs", "click", "cryptography", "rich", "zope.interface")
_ASKED: Final = (("status", "seckex.status/1"), ("events", "seckex.events/1"))


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The file to make, with mode 0600.")
@daemon_options
@json_option
def bugreport(output: Path | None, socket_path: Path | None, config_path: Path | None, as_json: bool) -> None:
    """Gather what is needed to find a fault: versions, configuration, status, counters, last events, doctor.

    Keys and where they are kept are left out. Names of principals and services, addresses and the times of what
    happened are in it: read it before you give it away.
    """
    files = configurations(socket_path, config_path)
    report: dict[str, Any] = {"schema": SCHEMA, "made": time.time(), "versions": versions(), "daemons": []}
    report["daemons"] = [about(file) for file in files]
    text = f"{json.dumps(report)}\n" if as_json else _text(report)
    if output is None:
        click.echo(text, nl=False)
    else:
        create_secret(output, text.encode())
        click.echo(plain(f"{output}: {len(text)} characters; read them before you give them away"))


def versions() -> dict[str, str]:
    """Return what runs here."""
    found = {"seckex": __version__, "python": platform.python_version(), "system": platform.platform()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not found"
    return found | {"sqlite": LIBRARY, "openssl": ssl.OPENSSL_VERSION}


def about(file: Path) -> dict[str, Any]:
    """Return all about one configuration and its daemon, without what must not be told."""
    redaction = Redaction(file)
    settings: dict[str, Any] | None = None
    # What cannot be read is told of by the doctor.
    with suppress(OSError, ValueError, RecursionError):
        settings = redaction.settings(tomllib.loads(file.read_text(encoding="utf-8")))
    told: dict[str, Any] = {"file": str(file), "settings": settings, "status": None, "events": None}
    with suppress(ConfigInvalid):
        state = read_settings(file).state
        redaction.hide_path(state.master_key)
        told |= {command: _asked(state.control, command, schema) for command, schema in _ASKED}
    told["doctor"] = [
        {"check": one.check, "health": one.health.value, "what": one.what, "advice": one.advice}
        for one in examined(file)
    ]
    said: dict[str, Any] = redaction.said(told)
    return said


def _asked(control: Path, command: str, schema: str) -> dict[str, Any]:
    try:
        return ask(control, {"command": command}, schema)
    except (Unreachable, Refused) as error:
        return {"error": str(error)}


def _text(report: dict[str, Any]) -> str:
    """Return the report for people: a heading for each part, and JSON that is easy on the eye."""
    parts = [("versions", report["versions"])]
    for daemon in report["daemons"]:
        parts += [(f"{name} of {daemon['file']}", value) for name, value in daemon.items() if name != "file"]
    return "".join(f"== {plain(name)}\n{json.dumps(value, indent=2)}\n\n" for name, value in parts)
