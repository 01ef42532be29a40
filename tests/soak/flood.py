"""A flood of offers from addresses that are not the sender's, against a real daemon, while a peer wants to be served.

100,000 of them, 5,000 a second, each from another address. The responder must not grow by more than 16 MiB, and
whoever is a peer must have its association within a second at any time.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from socket import SOCK_DGRAM
from typing import Final

from seckex.cli.control_client import ask
from seckex.cli.demo.files import write_key
from seckex.cli.demo.processes import Process, free_port, twistd
from seckex.config.load import read_key0
from tests.daemons.stage import NODE, RESPONDER
from tests.soak.figures import Figure
from tests.soak.peer import negotiate

COUNT: Final = 100_000
RATE: Final = 5_500
_BREATH: Final = 0.25
_PATIENCE: Final = 20.0


def memory(process: int, field: str) -> float:
    """Return a field of a process's status, in MiB."""
    found = re.search(rf"^{field}:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def run() -> list[Figure]:
    """Return the figures."""
    with tempfile.TemporaryDirectory(prefix="seckex-soak-") as name:
        folder = Path(name)
        port = free_port(SOCK_DGRAM)
        key = folder / "node.key0"
        write_key(key, NODE)
        configuration = RESPONDER.format(addresses='"127.0.0.1"', port=port, connect="tcp:127.0.0.1:9", closed=9)
        (folder / "responder.toml").write_text(configuration)
        command = [twistd(), "-n", "--pidfile=", "seckex-responder", "--config", "responder.toml"]
        responder = Process("responder", command, folder, folder / "responder.log")
        responder.start()
        try:
            return _flooded(responder, folder / "responder" / "control.sock", key, port)
        finally:
            responder.stop()


def _flooded(responder: Process, control: Path, key: Path, port: int) -> list[Figure]:
    until = time.monotonic() + _PATIENCE
    while not control.exists() and time.monotonic() < until:
        time.sleep(0.05)
    calm = [negotiate(key, port, _PATIENCE) for _ in range(5)]
    process = responder.pid
    before = memory(process, "VmRSS")
    # From here on the peak is that of the flood.
    Path(f"/proc/{process}/clear_refs").write_text("5")
    spi = str(read_key0(key).spi)
    command = [sys.executable, "-m", "tests.soak.spoofing", str(port), spi, str(COUNT), str(RATE)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as sender:
        time.sleep(1)
        served = []
        while sender.poll() is None:
            served.append(negotiate(key, port, _PATIENCE))
            time.sleep(_BREATH)
        sent, rate = (float(each) for each in (sender.stdout.read() if sender.stdout else "0 0").split())
    counters = ask(control, {"command": "status"}, "seckex.status/1")["counters"]
    return [
        Figure("offers from forged addresses", sent, "", least=COUNT),
        Figure("their rate", rate, "1/s", least=5000),
        Figure("answered with a cookie", counters["gate.cookies-asked"], ""),
        Figure("memory, peak over before", memory(process, "VmHWM") - before, "MiB", most=16),
        Figure("negotiations meanwhile", len(served), "", least=10),
        Figure("a peer is served within, median", statistics.median(served), "s"),
        Figure("a peer is served within, slowest", max(served), "s", most=1),
        Figure("the same without a flood, median", statistics.median(calm), "s"),
    ]
