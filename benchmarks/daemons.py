"""Daemons for benchmarks: real ones, in processes and a folder of their own."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_PATIENCE: Final = 20.0


@contextmanager
def folder() -> Iterator[Path]:
    """Give a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="seckex-bench-") as path:
        yield Path(path)


@contextmanager
def process(*command: str, cwd: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run a Python module or script beside us; end it at the end. Its standard output is a pipe."""
    child = subprocess.Popen(
        [sys.executable, *command], cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(path: Path, child: subprocess.Popen[str]) -> None:
    """Wait until a daemon has made ``path``."""
    until = time.monotonic() + _PATIENCE
    while not path.exists():
        if child.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"the daemon that should make {path} did not start (status {child.poll()})")
        time.sleep(0.05)


def line(child: subprocess.Popen[str]) -> str:
    """Return the next line that a child prints."""
    if child.stdout is None:
        raise RuntimeError("the child has no output")
    text = child.stdout.readline()
    if not text:
        raise RuntimeError(f"the child has ended with status {child.wait()}")
    return text.strip()


@contextmanager
def daemon(role: str, path: Path, name: str = "") -> Iterator[subprocess.Popen[str]]:
    """Run a daemon with the configuration ``name``.toml, ``role``.toml unless given, in the folder ``path``."""
    name = name or role
    twistd = "from twisted.scripts.twistd import run; run()"
    options = ("-n", "--pidfile=", f"--logfile={name}.twistd.log", f"seckex-{role}", "--config", f"{name}.toml")
    with process("-c", twistd, *options, cwd=path) as child:
        yield child


@contextmanager
def program(*command: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program of the system until the end, once it listens at a port of 127.0.0.1."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        try:
            until = time.monotonic() + _PATIENCE
            while socket.socket().connect_ex(("127.0.0.1", port)):
                if child.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"{command[0]} did not start (status {child.poll()})")
                time.sleep(0.05)
            yield child
        finally:
            child.terminate()
