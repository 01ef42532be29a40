"""A large file by ``seckex send``, until it is durable at the other daemon, against scp over loopback and a sync.

The daemons seal the file twice for their spools, at either end, and once for the wire; scp seals it for the wire.
"""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from benchmarks.daemons import daemon, folder, free_port, program, wait_for
from benchmarks.post import SERVICE, write_settings
from benchmarks.rows import Row, alternate_several
from benchmarks.vaults import HOME

_CHUNK: Final = 1 << 20
_SECKEX: Final = "from seckex.cli.main import main; main()"
_SSHD: Final = """\
ListenAddress 127.0.0.1:{port}
HostKey {path}/host
AuthorizedKeysFile {path}/user.pub
PidFile none
StrictModes no
UsePAM no
Subsystem sftp internal-sftp
"""


def _sshd() -> str | None:
    """Return where sshd is; it wants to be called by its whole path."""
    return shutil.which("sshd", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin")))


def _missing() -> str:
    """Return what keeps scp from going over loopback here, empty where nothing does."""
    absent = [name for name, found in (("sshd", _sshd()), ("scp", shutil.which("scp"))) if found is None]
    if absent:
        return f"{', '.join(absent)} not installed"
    return "" if os.getuid() or Path("/run/sshd").is_dir() else "sshd wants /run/sshd, which is not there"


def _write(path: Path, size: int) -> None:
    octets = os.urandom(_CHUNK)
    with path.open("wb") as file:
        for at in range(0, size, _CHUNK):
            file.write(octets[: size - at])


def _peak(pid: int) -> float:
    """Return the most MiB of memory that a process has had."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _sent(size: int) -> tuple[float, float, float]:
    """Return MB a second, and the peaks of the daemon that sends and of the one that receives."""
    with folder() as path:
        write_settings(path)
        _write(path / "file", size)
        with daemon("responder", path, "home") as home, daemon("initiator", path, "node") as node:
            wait_for(path / "home" / "messages.sock", home)
            wait_for(path / "node" / "messages.sock", node)
            words = ("--to", HOME, "--service", SERVICE, "--config", "node.toml", "--wait", "delivered")
            began = time.perf_counter()
            command = (sys.executable, "-c", _SECKEX, "send", *words, "--timeout", "3600", "file")
            subprocess.run(command, cwd=path, check=True, stdout=subprocess.DEVNULL)
            return size / 1e6 / (time.perf_counter() - began), _peak(node.pid), _peak(home.pid)


@contextmanager
def _ssh_server(path: Path) -> Iterator[int]:
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path / name], check=True)
    port = free_port()
    (path / "sshd").write_text(_SSHD.format(path=path, port=port))
    with program(_sshd() or "sshd", "-D", "-f", str(path / "sshd"), port=port):
        yield port


def _copied(size: int) -> tuple[float]:
    with folder() as path, _ssh_server(path) as port:
        _write(path / "file", size)
        options = ("-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={path}/known", "-o", "LogLevel=ERROR")
        to = f"{getpass.getuser()}@127.0.0.1:{path}/copy"
        began = time.perf_counter()
        command = ("scp", "-q", "-P", str(port), "-i", str(path / "user"), *options, str(path / "file"), to)
        subprocess.run(command, check=True)
        with (path / "copy").open("rb") as file:
            os.fsync(file.fileno())
        return (size / 1e6 / (time.perf_counter() - began),)


def measure(quick: bool) -> Sequence[Row]:
    """Return the rows."""
    runs, size = (1, 50_000_000) if quick else (3, 1_000_000_000)
    absent = _missing()
    if absent:
        click.echo(f"without a peer: {absent}", err=True)
    ours, *theirs = alternate_several(runs, lambda: _sent(size), *([] if absent else [lambda: _copied(size)]))
    speed, *peaks = ours
    what = f"a file of {size // 1_000_000} MB by seckex send"
    return [
        Row(what, "MB/s", speed, theirs[0][0] if theirs else None, "scp and a sync", None),
        *(
            Row(f"the most memory of the daemon that {does} it", "MiB", peak, None, "", None, lower=True)
            for does, peak in zip(("sends", "receives"), peaks, strict=True)
        ),
    ]
