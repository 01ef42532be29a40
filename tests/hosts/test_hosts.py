"""What happens to a running download when wires, agents, addresses and a NAT do what they do: it goes on."""

from __future__ import annotations

from tests.hosts.stage import HostsCase


class HostTests(HostsCase):
    def test_a_wire_is_cut_and_restored(self) -> None:
        self.begin()
        download = self.download()
        self.finish(download)
