"""Network namespaces joined by wires, and what can happen to a wire.

All wires of a net end in a bridge; the bridges are in a namespace of their own, so that a
wire is cut there and its host sees the carrier go. Everything has names with this
process's id and goes with the namespaces. Needs root, ``ip`` and, for a NAT, ``nft``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Final

from twisted.trial.unittest import SkipTest

PATIENCE: Final = 90.0


def what_is_missing() -> str:
    """Return why there can be no namespaces here, nothing if there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "ip is not installed"
    tried = subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "network namespaces cannot be made here"


class Space:
    """A network namespace."""

    def __init__(self, name: str) -> None:
        self.name = f"sk{os.getpid()}{name}"
        self.ip("netns", "add", self.name, inside=False)
        self.ip("link", "set", "lo", "up")

    def command(self, *words: str) -> list[str]:
        """Return the command that runs ``words`` here."""
        return ["ip", "netns", "exec", self.name, *words]

    def run(self, *words: str, text: str = "") -> str:
        """Run a command here and return what it prints; skips the test where it fails, for want of a feature."""
        done = subprocess.run(
            self.command(*words), input=text, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        if done.returncode:
            raise SkipTest(f"{' '.join(words)}: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def ip(self, *words: str, inside: bool = True) -> None:
        """Run ``ip`` for this namespace."""
        command = ["ip", *(("-n", self.name) if inside else ()), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        if done.returncode:
            raise SkipTest(f"{' '.join(command)}: {done.stderr.strip()}")

    def address(self, device: str, *addresses: str) -> None:
        """Have ``addresses``, each with the length of its net, at a device and no others."""
        self.ip("addr", "flush", "dev", device, "scope", "global")
        for each in addresses:
            self.ip("addr", "add", each, "dev", device)

    def close(self) -> None:
        """Remove it, and its ends of wires."""
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True, check=False)


class Nets:
    """Nets, each a bridge to which hosts are wired."""

    def __init__(self) -> None:
        self.space = Space("nets")
        self._wires = 0
        self._ends: dict[tuple[str, str], str] = {}

    def add(self, net: str) -> None:
        """Add a net."""
        self.space.ip("link", "add", net, "type", "bridge")
        self.space.ip("link", "set", net, "up")

    def wire(self, net: str, host: Space, *addresses: str, device: str = "") -> None:
        """Join ``host`` to a net by a device that is named like that unless said otherwise."""
        self._wires += 1
        device = device or net
        end = f"w{self._wires}"
        peer = ("veth", "peer", "name", device, "netns", host.name)
        self.space.ip("link", "add", end, "type", *peer)
        self.space.ip("link", "set", end, "master", net, "up")
        host.ip("link", "set", device, "up")
        host.address(device, *addresses)
        self._ends[net, host.name] = end

    def cut(self, net: str, host: Space) -> None:
        """Cut a host's wire."""
        self.space.ip("link", "set", self._ends[net, host.name], "down")

    def mend(self, net: str, host: Space) -> None:
        """Join it again."""
        self.space.ip("link", "set", self._ends[net, host.name], "up")


_TRANSLATE: Final = """
table ip nat {{
    chain out {{
        type nat hook postrouting priority srcnat;
        oifname "{outside}" masquerade
    }}
}}
table ip gate {{
    chain through {{
        type filter hook forward priority filter;
        ct state invalid drop
    }}
    chain here {{
        type filter hook input priority filter;
        ip daddr {address} drop
    }}
}}
"""

_LOSE: Final = """
table inet loss {{
    chain come {{
        type filter hook prerouting priority raw;
        iifname "{device}" numgen random mod 1000 < {share} drop
    }}
}}
"""


def translate(space: Space, outside: str, address: str) -> None:
    """Make ``space`` a NAT that hides what is behind it at ``address``, and says nothing of what it does not know."""
    for name, value in (("net.ipv4.ip_forward", "1"), ("net.netfilter.nf_conntrack_tcp_loose", "0")):
        space.run("sysctl", "-qw", f"{name}={value}")
    space.run("nft", "-f", "-", text=_TRANSLATE.format(outside=outside, address=address))


def forget(space: Space) -> None:
    """Have a NAT forget all that it has translated."""
    space.run("conntrack", "-F")


def lose(space: Space, device: str, permille: int) -> None:
    """Lose so many of a thousand packets that come to ``space`` by ``device``."""
    space.run("nft", "-f", "-", text=_LOSE.format(device=device, share=permille))


def delay(space: Space, device: str, milliseconds: int) -> None:
    """Delay what leaves ``space`` by ``device``."""
    space.run("tc", "qdisc", "add", "dev", device, "root", "netem", "delay", f"{milliseconds}ms")
