"""What happens to a running download when wires, agents, addresses and a NAT do what they do: it goes on."""

from __future__ import annotations

import contextlib
import shutil
from typing import Final

from twisted.trial.unittest import SkipTest

from tests.hosts.spaces import Space, delay, forget, lose, translate
from tests.hosts.stage import NODE, NORTH, SOUTH, HostsCase

INSIDE: Final = "10.9.0.2"
GATE: Final = "10.9.0.1"
OUTSIDE: Final = "198.51.100.50"


class HostTests(HostsCase):
    def test_a_wire_is_cut_and_restored_and_an_agent_is_killed(self) -> None:
        self.begin(NORTH)
        download = self.download()
        radio = self.hosts[NODE]
        self.nets.cut("radio", radio)
        self.until("the link's end", lambda: self.logged(NODE, "LinkClosed"))
        stood = download.received
        self.nets.mend("radio", radio)
        self.goes_on(download)
        self.assertGreater(download.received, stood)
        self.until("an agent", self.agent)
        there = self.agent()
        self.kill(there)
        other = SOUTH if there == NORTH else NORTH
        self.until("the other agent", lambda: self.agent() == other)
        self.goes_on(download)
        self.finish(download)

    def test_an_agent_is_cut_off(self) -> None:
        self.begin(NORTH)
        download = self.download()
        self.nets.cut("backbone", self.hosts[NORTH])
        self.until("the other agent", lambda: self.agent() == SOUTH)
        self.goes_on(download)
        self.finish(download)

    def test_the_nodes_address_changes(self) -> None:
        self.begin(NORTH)
        download = self.download()
        for last in (101, 102):
            before = self.logged(NODE, "Registered")
            self.hosts[NODE].address("radio", f"198.51.100.{last}/24")
            self.until("another registration", lambda: self.logged(NODE, "Registered") > before)  # noqa: B023  # at once
            self.goes_on(download)
        self.finish(download)

    def test_a_nat_forgets_its_mapping(self) -> None:
        for program in ("nft", "conntrack"):
            if shutil.which(program) is None:
                raise SkipTest(f"{program} is not installed")
        gate, node = self.hosts.setdefault("gate", Space("gate")), self.hosts[NODE]
        self.nets.add("inside")
        self.nets.wire("radio", gate, f"{OUTSIDE}/24")
        self.nets.wire("inside", gate, f"{GATE}/24")
        node.ip("link", "del", "radio")
        self.nets.wire("inside", node, f"{INSIDE}/24")
        node.ip("route", "add", "default", "via", GATE)
        translate(gate, "radio", OUTSIDE)
        self.begin(NORTH)
        download = self.download()
        closed = self.logged(NODE, "LinkClosed")
        forget(gate)
        self.until("the link's end", lambda: self.logged(NODE, "LinkClosed") > closed)
        self.goes_on(download)
        self.finish(download)

    def test_packets_are_lost_and_late(self) -> None:
        if shutil.which("nft") is None:
            raise SkipTest("nft is not installed")
        self.begin(NORTH)
        for name in (NODE, NORTH, SOUTH):
            lose(self.hosts[name], "radio", 20)
        # Not every kernel can delay packets; all lose them.
        with contextlib.suppress(SkipTest):
            delay(self.hosts[NODE], "radio", 20)
        download = self.download()
        self.move(SOUTH)
        self.goes_on(download)
        self.finish(download)
