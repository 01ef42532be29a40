"""The section of a home agent: what it may be, and what must stand beside it."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from seckex.config.home_agent import HomeAgent
from seckex.config.load import load
from seckex.config.problems import ConfigInvalid
from seckex.config.responder import ResponderSettings
from tests.config.written import write_credentials

HEAD = """
role = "responder"
[identity]
nai = "home@example.org"
certificate = "home.pem"
private-key = "home.key"
trust = ["ca/ca.pem"]
[state]
directory = "state"
control = "/run/home.sock"
"""
HOP = """
[[hops]]
nai = "kdc@example.org"
address = "127.0.0.4"
"""
PEERS = """
[[peers]]
nai = "*@example.org"
authentication = "registration"
"""
SECTION = '[home-agent]\nkdcs = ["kdc@example.org"]\n'


class HomeAgentTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.patch(os, "environ", {"HOME": "/home/op"})
        write_credentials(self.directory, "home", "home@example.org")

    def loaded(self, text: str) -> HomeAgent:
        """Return the section as it was read."""
        file = self.directory / "home.toml"
        file.write_text(text)
        found = load(file, ResponderSettings).settings.home_agent
        assert found is not None
        return found

    def problems(self, text: str) -> list[str]:
        """Return all that is wrong."""
        error = self.assertRaises(ConfigInvalid, self.loaded, text)
        return list(map(str, error.problems))

    def test_it_may_be_short(self) -> None:
        found = self.loaded(HEAD + HOP + PEERS + SECTION)
        self.assertEqual((found.kind, found.keying, found.longest_registration), ("home-agent", "stateless", 28800))
        self.assertEqual(found.address_at(("0.0.0.0", "::", "192.0.2.1", "192.0.2.2")), "192.0.2.1")
        self.assertEqual(HomeAgent(address="192.0.2.9").address_at(("192.0.2.1",)), "192.0.2.9")

    def test_it_may_be_its_own_center(self) -> None:
        self.loaded(HEAD + PEERS + '[kdc]\n[home-agent]\nkdcs = ["home@example.org"]\n')

    def test_what_is_wrong(self) -> None:
        for more, problem in (
            ('kind = "agent"', 'home-agent.kind: must be one of "home-agent", "mobility-manager", not "agent"'),
            ('keying = "static"', 'home-agent.keying: must be one of "stateless", "stateful", "semi-stateful"'),
            ('longest-registration = "3m"', "home-agent.longest-registration: must be one of"),
            ('shortest-registration = "1h"\nlongest-registration = "30m"', "must not be longer than"),
            ('domains = ["*", "*"]', "home-agent.domains[1]: "),
            ('domains = ["a@b"]', 'home-agent.domains[0]: must be a realm such as "example.net", or "*"'),
            ('home-network = "10.0.0.0"', 'home-agent.home-network: must be a network such as "10.0.0.0/24"'),
            ('home-network = "10.0.0.0/31"', "home-agent.home-network: must have two addresses for nodes at least"),
            ('home-network = "2001:db8::/64"', "home-agent.home-network: must be of the same family as 127.0.0.1"),
            ('rotation = "8d"', 'home-agent.rotation: must be a duration from "1h" to "7d"'),
            ("bindings = 0", "home-agent.bindings: must be a whole number from 1 to 16"),
        ):
            [said] = self.problems(HEAD + HOP + PEERS + SECTION + more)
            self.assertIn(problem, said)

    def test_centers_are_neighbours_or_ourselves(self) -> None:
        [said] = self.problems(HEAD + HOP + PEERS + '[home-agent]\nkdcs = ["kcd@example.org"]\n')
        self.assertIn('must be one of hops, not "kcd@example.org"; did you mean "kdc@example.org"?', said)
        [said] = self.problems(HEAD + HOP + PEERS + '[home-agent]\nkdcs = ["home@example.org"]\n')
        self.assertIn("add the section kdc", said)
        [said] = self.problems(HEAD + HOP + PEERS + "[home-agent]\n")
        self.assertIn("home-agent.kdcs: is required", said)

    def test_it_needs_what_stands_beside_it(self) -> None:
        [said] = self.problems(HEAD.replace('certificate = "home.pem"\n', "") + HOP + PEERS + SECTION)
        self.assertIn("identity.certificate: is required", said)
        [said] = self.problems(HEAD + HOP + PEERS + SECTION + '[listen]\naddresses = ["0.0.0.0"]\n')
        self.assertIn("home-agent.address: is required", said)
        [said] = self.problems(HEAD + "worker = 1\n" + HOP + PEERS + SECTION)
        self.assertIn("state.worker: must be 0", said)
        proposal = '[[policy.proposals]]\nkey-agreement = ["p-256"]\n'
        [said] = self.problems(HEAD + HOP + PEERS + SECTION + proposal)
        self.assertIn('must have "x25519" or "x25519-ml-kem-768"', said)

    def test_only_a_home_agent_has_peers_that_register(self) -> None:
        [said] = self.problems(HEAD + HOP + PEERS)
        self.assertIn('"registration" is for the nodes of a home agent', said)
