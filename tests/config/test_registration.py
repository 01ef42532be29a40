"""The settings of mobile nodes: what they mean to the role, and what contradicts each other."""

from __future__ import annotations

from seckex.config.initiator import InitiatorSettings
from seckex.config.load import load
from seckex.net.mobile_node import plan_of
from seckex.roles.mobile_node.plan import Plan
from seckex.wire.numbers import Kem
from tests.config.test_load import LoadCase
from tests.config.written import INITIATOR, MOBILE_NODE

HYBRID = '[[policy.proposals]]\nkey-agreement = ["x25519-ml-kem-768"]\n'


class MeaningTests(LoadCase):
    def plan(self, text: str) -> Plan:
        settings = load(self.write(text), InitiatorSettings).settings
        plan = plan_of(settings)
        assert plan is not None
        return plan

    def test_without_a_section_agents_are_heard_by_themselves(self) -> None:
        plan = self.plan(MOBILE_NODE)
        self.assertEqual((plan.local, plan.home_agent, plan.lifetime), ("node@example.org", "home@example.org", 1800))
        self.assertEqual(plan.groups, (("239.255.67.34", 4434), ("ff02::4434", 4434)))
        self.assertEqual((plan.kem, plan.solicit, plan.manager, plan.simultaneous), (Kem.X25519, (), False, False))

    def test_everything_that_is_said_is_gone_by(self) -> None:
        section = """[registration]
kem = "x25519-ml-kem-768"
lifetime = "8h"
bindings = "several"
towards = "mobility-manager"
agents = ["fa@visited.example", "*@elsewhere.example"]
solicit = ["192.0.2.7", "agents.example.net"]
port = 4444
groups = []
"""
        plan = self.plan(MOBILE_NODE + section + HYBRID)
        self.assertEqual((plan.kem, plan.lifetime), (Kem.X25519_ML_KEM_768, 28800))
        self.assertEqual((plan.simultaneous, plan.manager), (True, True))
        self.assertEqual(plan.solicit, (("192.0.2.7", 4444), ("agents.example.net", 4444)))
        self.assertEqual([plan.preference(nai) for nai in ("fa@visited.example", "x@elsewhere.example")], [0, 1])
        self.assertIsNone(plan.preference("other@visited.example"))

    def test_an_initiator_without_a_home_agent_is_no_mobile_node(self) -> None:
        self.assertIsNone(plan_of(load(self.write(INITIATOR), InitiatorSettings).settings))


class ContradictionTests(LoadCase):
    def test_there_is_one_home_agent(self) -> None:
        other = '[[peers]]\nnai = "b@example.org"\nauthentication = "registration"\naddress = "192.0.2.2"\n'
        [problem] = self.problems(MOBILE_NODE + other)
        self.assertIn("peers[1].authentication", problem)

    def test_a_key_file_is_of_no_use_to_it(self) -> None:
        problems = self.problems(MOBILE_NODE + 'key0 = "key0.toml"\n')
        self.assertIn('must go: authentication is "registration"', problems[0])

    def test_the_section_is_of_no_use_without_it(self) -> None:
        [problem] = self.problems(INITIATOR + '[registration]\nlifetime = "1h"\n')
        self.assertIn("is of no use", problem)

    def test_somebody_has_to_be_asked(self) -> None:
        [problem] = self.problems(MOBILE_NODE + "[registration]\ngroups = []\n")
        self.assertIn("no agent is heard", problem)

    def test_the_policy_must_have_the_kem(self) -> None:
        [problem] = self.problems(MOBILE_NODE + HYBRID)
        self.assertEqual(
            problem, 'registration.kem: must be a key-agreement of the policy, which has "x25519-ml-kem-768"'
        )
        [problem] = self.problems(MOBILE_NODE + '[[policy.proposals]]\nkey-agreement = ["p-256"]\n')
        self.assertIn("which has none that would do", problem)

    def test_lifetimes_are_a_few(self) -> None:
        [problem] = self.problems(MOBILE_NODE + '[registration]\nlifetime = "31m"\n')
        self.assertIn('one of "1m", "5m", "15m", "30m"', problem)

    def test_the_name_fits_into_a_request(self) -> None:
        long = f"{'n' * 120}@example.org"
        [problem] = self.problems(MOBILE_NODE.replace("node@example.org", long))
        self.assertIn("at most 128 octets", problem)

    def test_nothing_is_named_twice(self) -> None:
        problems = self.problems(MOBILE_NODE + '[registration]\nsolicit = ["192.0.2.7", "192.0.2.7"]\n')
        self.assertEqual(len(problems), 1)
