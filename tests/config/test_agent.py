"""The settings of an agent: what it may be, and what contradicts itself."""

from __future__ import annotations

import os
from ipaddress import ip_address
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from seckex.config.agent import AgentSettings
from seckex.config.load import load
from seckex.config.problems import ConfigInvalid
from tests.config.written import write_credentials

AGENT = """\
role = "agent"
[identity]
nai = "agent@visited.example"
certificate = "agent.pem"
private-key = "agent.key"
trust = ["ca/ca.pem"]
[state]
directory = "/home/op/state"
"""
HOP = '[[hops]]\nnai = "aaa@visited.example"\naddress = "192.0.2.5"\n'


class AgentCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.patch(os, "environ", {"HOME": "/home/op"})
        write_credentials(self.folder, "agent", "agent@visited.example")

    def read(self, text: str) -> AgentSettings:
        (self.folder / "agent.toml").write_text(AGENT + text)
        return load(self.folder / "agent.toml", AgentSettings).settings

    def problems(self, text: str) -> list[str]:
        with self.assertRaises(ConfigInvalid) as caught:
            self.read(text)
        return list(map(str, caught.exception.problems))


class RightTests(AgentCase):
    def test_a_foreign_agent_needs_no_more_than_its_section(self) -> None:
        settings = self.read('[foreign-agent]\n[listen]\naddresses = ["192.0.2.2", "2001:db8::2"]')
        agent = settings.foreign_agent
        assert agent is not None
        self.assertEqual(agent.domain_of(settings.identity.nai), "visited.example")
        self.assertEqual(agent.care_of_at(settings.listen.addresses), ("192.0.2.2", "2001:db8::2"))
        self.assertEqual((settings.limits.source_ipv4_prefix, settings.limits.source_ipv6_prefix), (32, 128))
        self.assertFalse(settings.aaa.relays)

    def test_a_relay_alone(self) -> None:
        settings = self.read(f'[aaa]\n[[aaa.routes]]\nrealm = "*"\nnext = ["aaa@visited.example"]\n{HOP}')
        self.assertIsNone(settings.foreign_agent)
        self.assertTrue(settings.aaa.relays)

    def test_all_at_once(self) -> None:
        text = f'[foreign-agent]\nservers = ["aaa@visited.example"]\n[kdc]\n[aaa]\nhome-agents = ["h@x.example"]\n{HOP}'
        self.assertIsNotNone(self.read(text).kdc)


class WrongTests(AgentCase):
    def test_single_settings(self) -> None:
        for line, problem in (
            ('groups = ["192.0.2.1"]', 'groups[0]: must be a multicast address such as "239.255.67.34"'),
            ('longest-registration = "3h"', 'longest-registration: must be one of "1m", "5m"'),
            ('longest-registration = "8 h "', "longest-registration: must be one of"),
            ('realms = ["@example.org"]', 'realms[0]: must be a realm such as "example.org"'),
            ('domain = "two words"', "domain: must be the name of a domain"),
            ('interface = "a/b"', "interface: must be the name of a network interface"),
            ('address = "agent.example"', "address: must be an IP address"),
            ('care-of = ["192.0.2.2", "192.0.2.2"]', "care-of[1]: "),
            ('servers = ["aaa@visited.exampel"]', "servers[0]: must be one of hops"),
            ("visitors = 0", "visitors: must be a whole number from 1 to 1000000"),
        ):
            found = self.problems(f"[foreign-agent]\n{line}\n{HOP}")
            self.assertTrue(any(f"foreign-agent.{problem}" in each for each in found), (line, found))

    def test_a_server_that_is_nearly_a_neighbour(self) -> None:
        (problem,) = self.problems(f'[foreign-agent]\nservers = ["aaa@visited.exampel"]\n{HOP}')
        self.assertIn('did you mean "aaa@visited.example"?', problem)

    def test_an_agent_that_would_do_nothing(self) -> None:
        (problem,) = self.problems("")
        self.assertEqual(problem, "foreign-agent: is required, or aaa or kdc: this agent would do nothing")

    def test_addresses_of_all_the_machine_are_no_care_of_addresses(self) -> None:
        (problem,) = self.problems('[foreign-agent]\n[listen]\naddresses = ["::"]')
        self.assertEqual(problem, "foreign-agent.care-of: is required: listen.addresses has no address of its own")

    def test_advertisements_that_would_be_longer_than_questions(self) -> None:
        care_of = ", ".join(f'"{ip_address(0x20010DB8 << 96 | number)}"' for number in range(8))
        domain = "d" * 250
        name = "a" * 100 + "@visited.example"
        write_credentials(self.folder, "agent", name)
        text = AGENT.replace("agent@visited.example", name)
        (self.folder / "agent.toml").write_text(f'{text}[foreign-agent]\ndomain = "{domain}"\ncare-of = [{care_of}]')
        with self.assertRaises(ConfigInvalid) as caught:
            load(self.folder / "agent.toml", AgentSettings)
        (problem,) = map(str, caught.exception.problems)
        self.assertIn("foreign-agent.care-of: makes advertisements of", problem)

    def test_a_policy_by_which_nobody_could_register(self) -> None:
        (problem,) = self.problems('[foreign-agent]\n[[policy.proposals]]\nkey-agreement = ["p-256"]')
        self.assertIn('policy.proposals: must have "x25519" or "x25519-ml-kem-768"', problem)

    def test_a_foreign_agent_signs(self) -> None:
        bare = 'role = "agent"\n[identity]\nnai = "agent@visited.example"\n[state]\ndirectory = "/home/op/state"\n'
        (self.folder / "agent.toml").write_text(f"{bare}[foreign-agent]\n")
        with self.assertRaises(ConfigInvalid) as caught:
            load(self.folder / "agent.toml", AgentSettings)
        self.assertIn("identity.certificate: is required: foreign-agent signs with it", str(caught.exception))

    def test_routes_to_nowhere(self) -> None:
        (problem,) = self.problems('[aaa]\n[[aaa.routes]]\nrealm = "*"\nnext = ["aaa@visited.example"]')
        self.assertIn("aaa.routes[0].next[0]: must be one of hops", problem)
