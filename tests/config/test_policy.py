"""The policy of a file becomes the policy of negotiations."""

from __future__ import annotations

from pathlib import Path

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from seckex.config.policy import PolicySettings, ProposalSettings
from seckex.config.problems import Problem
from seckex.config.structure import problems_in, settings_converter
from seckex.sa.algorithms import BY_NAME
from seckex.sa.policy import Policy
from seckex.wire.numbers import ProtocolId

ENCRYPTION, AUTHENTICATION = ProtocolId.ENCRYPTION, ProtocolId.AUTHENTICATION
PRF, KEY_AGREEMENT = ProtocolId.PRF, ProtocolId.KEY_AGREEMENT


def read(raw: dict[str, object]) -> PolicySettings:
    """Read a ``[policy]``."""
    return settings_converter(Path).structure(raw, PolicySettings)


def refused(raw: dict[str, object]) -> list[str]:
    """Return what is wrong with a ``[policy]``."""
    try:
        return [str(problem) for problem in read(raw).contradictions()]
    except Exception as error:
        return [str(problem) for problem in problems_in(error, "policy")]


class DefaultTests(SynchronousTestCase):
    def test_without_a_policy_everything_safe_is_acceptable(self) -> None:
        policy = PolicySettings().as_policy()
        (proposal,) = policy.proposals
        names = {protocol: [str(each) for each in chosen] for protocol, chosen in proposal.algorithms.items()}
        self.assertEqual(names[ENCRYPTION], ["aes-256-gcm", "chacha20-poly1305", "aes-128-gcm"])
        self.assertEqual(names[AUTHENTICATION], ["hmac-sha-256", "hmac-sha-384"])
        self.assertEqual(names[PRF], ["prf-hmac-sha-256", "prf-hmac-sha-384"])
        self.assertEqual(names[KEY_AGREEMENT], ["x25519"])
        self.assertEqual((proposal.lifetime, proposal.mebioctets), (28800, 0))
        self.assertEqual(policy, Policy(policy.proposals, frozenset({ENCRYPTION, PRF, KEY_AGREEMENT}), 60, 0))
        self.assertEqual(list(PolicySettings().contradictions()), [])


class WrittenTests(SynchronousTestCase):
    def test_a_policy_is_taken_as_written(self) -> None:
        policy = read(
            {
                "mandatory": ["prf", "encryption", "key-agreement", "authentication"],
                "shortest-lifetime": "5m",
                "open-with": 1,
                "proposals": [
                    {"encryption": ["aes-128-gcm"], "lifetime": "1h", "octets": "64 GiB"},
                    {"authentication": ["hmac-sha-384"]},
                ],
            }
        ).as_policy()
        first, second = policy.proposals
        self.assertEqual(first.algorithms[ENCRYPTION], (BY_NAME["aes-128-gcm"],))
        self.assertEqual((first.lifetime, first.mebioctets), (3600, 65536))
        self.assertEqual(second.algorithms[AUTHENTICATION], (BY_NAME["hmac-sha-384"],))
        self.assertEqual((policy.shortest_lifetime, policy.open_with), (300, 1))
        self.assertEqual(policy.mandatory, frozenset(ProtocolId))

    def test_an_empty_list_leaves_its_protocol_out(self) -> None:
        (proposal,) = read({"proposals": [{"authentication": []}]}).as_policy().proposals
        self.assertNotIn(AUTHENTICATION, proposal.algorithms)

    def test_algorithms_are_judged_one_by_one(self) -> None:
        problems = refused(
            {
                "proposals": [
                    {},
                    {"encryption": ["aes-256-gcm", "hmac-sha-256"], "prf": ["prf-hmac-sha256", 5], "lifetime": "1y"},
                ]
            }
        )
        self.assertEqual(len(problems), 4)
        self.assertIn("policy.proposals[1].encryption[1]: must be an algorithm for encryption", problems[0])
        self.assertIn("that is one for authentication", problems[0])
        self.assertIn('policy.proposals[1].prf[0]: must be an algorithm for prf ("prf-hmac-sha-256"', problems[1])
        self.assertIn('did you mean "prf-hmac-sha-256"?', problems[1])
        self.assertIn("policy.proposals[1].prf[1]", problems[2])
        self.assertIn("policy.proposals[1].lifetime: must be a duration", problems[3])

    def test_misspelt_keys_and_protocols(self) -> None:
        problems = refused({"mandatory": ["encryptoin"], "open_with": 1, "proposals": [{"key_agreement": []}]})
        self.assertEqual(
            problems,
            [
                'policy.mandatory[0]: must be one of "encryption", "authentication", "prf", "key-agreement", '
                'not "encryptoin": did you mean "encryption"?',
                'policy.proposals[0].key_agreement: is not a setting; did you mean "key-agreement"?',
                'policy.open_with: is not a setting; did you mean "open-with"?',
            ],
        )

    def test_wrong_shapes(self) -> None:
        self.assertEqual(refused({"proposals": []}), ["policy.proposals: must be a list of 1 to 8, not a list of 0"])
        self.assertEqual(refused({"proposals": [3]}), ["policy.proposals[0]: must be a table, not 3"])
        self.assertEqual(
            refused({"proposals": [{"encryption": "aes-256-gcm"}]}),
            ['policy.proposals[0].encryption: must be a list of 0 to 16, not "aes-256-gcm"'],
        )


class ContradictionTests(SynchronousTestCase):
    def problems(self, policy: PolicySettings) -> list[Problem]:
        return list(policy.contradictions())

    def test_a_proposal_that_nobody_could_agree_to(self) -> None:
        nothing = ProposalSettings(encryption=(), authentication=(), prf=(), key_agreement=())
        [empty] = self.problems(PolicySettings(proposals=(ProposalSettings(), nothing)))
        self.assertEqual(str(empty), "policy.proposals[1]: is empty: a proposal needs algorithms")
        [missing] = self.problems(PolicySettings(proposals=(ProposalSettings(prf=()),)))
        self.assertEqual(str(missing), "policy.proposals[0].prf: must not be empty: it is in policy.mandatory")
        [short] = self.problems(PolicySettings(proposals=(ProposalSettings(lifetime=59),)))
        self.assertEqual(str(short), 'policy.proposals[0].lifetime: must be at least policy.shortest-lifetime, "1m"')

    def test_keys_need_three_protocols(self) -> None:
        problems = self.problems(PolicySettings(mandatory=(AUTHENTICATION, PRF, PRF)))
        self.assertEqual([problem.path for problem in problems], ["policy.mandatory"] * 2 + ["policy.mandatory[2]"])
        self.assertIn('must contain "encryption"', problems[0].what)
        self.assertIn('must contain "key-agreement"', problems[1].what)

    def test_repetitions(self) -> None:
        twice = (BY_NAME["aes-256-gcm"], BY_NAME["aes-128-gcm"], BY_NAME["aes-256-gcm"])
        [problem] = self.problems(PolicySettings(proposals=(ProposalSettings(encryption=twice),)))
        self.assertEqual(problem.path, "policy.proposals[0].encryption[2]")
        self.assertIn("policy.proposals[0].encryption[0]", problem.what)

    def test_a_first_offer_has_no_more_than_there_is(self) -> None:
        self.assertEqual(self.problems(PolicySettings(open_with=1)), [])
        [problem] = self.problems(evolve(PolicySettings(), open_with=2))
        self.assertEqual(problem.path, "policy.open-with")
