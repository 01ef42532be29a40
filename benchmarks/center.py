"""A key distribution center for benchmarks, the real daemon, and the load that it has."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Final

from benchmarks.daemons import line, process
from seckex.config.files import create_private
from seckex.crypto.issuing import Authority

WINDOW: Final = 256
KDC: Final = "kdc@example.org"
HOME: Final = "home@example.org"


def kdc_toml(port: int) -> str:
    """Return the configuration of the center that is measured."""
    return f"""\
role = "kdc"
[identity]
nai = "{KDC}"
certificate = "kdc.pem"
private-key = "kdc.key"
trust = ["ca.pem"]
[hops-listen]
addresses = ["127.0.0.1"]
port = {port}
accept = ["{HOME}"]
[state]
directory = "state"
[log]
level = "error"
[kdc]
principals = 10000000
issue-rate = 0
"""


def write_certificates(path: Path) -> None:
    """Make an authority, and the certificates of center and home agent."""
    now = time.time()
    made = Authority.issue_itself("an authority", now, 30)
    authority = Authority.from_pem(made.certificate, made.key.octets)
    create_private(path / "ca.pem", made.certificate)
    for name, nai in (("kdc", KDC), ("home", HOME)):
        issued = authority.issue(nai, now, 30)
        create_private(path / f"{name}.pem", issued.certificate)
        create_private(path / f"{name}.key", issued.key.octets)


def go(load: subprocess.Popen[str]) -> float:
    """Have a load that is ready begin; return what it tells in the end."""
    line(load)
    if load.stdin is not None:
        load.stdin.write("go\n")
        load.stdin.flush()
    return float(line(load))


def issued(path: Path, port: int, count: int, nodes: int) -> float:
    """Have a center that runs issue keys; return how many a second."""
    arguments = (str(path), str(port), str(count), str(WINDOW), str(nodes))
    with process("-m", "benchmarks.key_requests", *arguments) as load:
        return go(load)
