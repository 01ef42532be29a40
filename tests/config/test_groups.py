"""User-defined groups and bundles of a file: what they become, and everything that is wrong with them at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from seckex.config import algorithms
from seckex.config.load import load_any
from seckex.config.policy import PolicySettings
from seckex.crypto.groups.modp import MODP_1024, MODP_2048
from seckex.crypto.groups.user import Parameters
from seckex.sa.algorithms import ANY_USER_GROUP, BY_NAME, user_group
from seckex.sa.policy import Policy
from seckex.wire.numbers import ProtocolId
from tests.config.test_policy import read, refused
from tests.config.written import key0_text, write_private

PRIME = f"{int(MODP_2048.prime):X}"
#: As RFCs print it.
PRINTED = "\n".join(" ".join(re.findall(".{8}", line)) for line in re.findall(".{48}|.+$", PRIME))
OURS = Parameters.of(int(MODP_2048.prime), 4)


def with_group(*key_agreement: str, **group: Any) -> dict[str, Any]:
    """Return a policy with one group, "ours"."""
    return {
        "groups": {"ours": {"prime": PRINTED, "generator": 4} | group},
        "proposals": [{"key-agreement": list(key_agreement or ("ours", "x25519"))}],
    }


def bundled(**more: Any) -> dict[str, Any]:
    """Return a policy whose one proposal is a bundle, "strong"."""
    bundle = {"spi": 7, "encryption": ["aes-256-gcm"], "prf": ["prf-hmac-sha-384"], "key-agreement": ["x25519"]}
    return {"bundles": {"strong": bundle | more}, "proposals": [{"bundle": "strong"}]}


class GroupTests(SynchronousTestCase):
    def policy(self, raw: Mapping[str, Any]) -> Policy:
        settings = read(dict(raw))
        self.assertEqual(list(settings.contradictions()), [])
        return settings.as_policy()

    def test_a_group_is_known_by_its_fingerprint(self) -> None:
        policy = self.policy(with_group("ours", "x25519"))
        self.assertEqual(dict(policy.groups), {OURS.fingerprint: OURS})
        (proposal,) = policy.proposals
        self.assertEqual(
            proposal.algorithms[ProtocolId.KEY_AGREEMENT], (user_group(OURS.fingerprint), BY_NAME["x25519"])
        )

    def test_numbers_are_written_as_anybody_writes_them(self) -> None:
        for prime in (PRIME, PRIME.lower(), PRINTED):
            for generator in (4, "4", "04", "0 4"):
                policy = self.policy(with_group(prime=prime, generator=generator))
                self.assertEqual(set(policy.groups), {OURS.fingerprint})
        two = self.policy({**with_group(), "groups": {"ours": {"prime": PRIME}}})
        self.assertEqual([int(group.generator[0]) for group in two.groups.values()], [2])

    def test_every_group_with_a_number_can_be_listed_and_any_of_a_peers(self) -> None:
        names = [name for name, one in BY_NAME.items() if one.protocol is ProtocolId.KEY_AGREEMENT]
        (proposal,) = self.policy({"proposals": [{"key-agreement": [*names, "user-defined"]}]}).proposals
        expected = (*map(BY_NAME.__getitem__, names), ANY_USER_GROUP)
        self.assertEqual(proposal.algorithms[ProtocolId.KEY_AGREEMENT], expected)

    def test_guesses_and_sizes(self) -> None:
        policy = self.policy({"guesses": 3, "shortest-prime": 3072, "longest-prime": 4096})
        self.assertEqual((policy.guesses, policy.prime_bits), (3, (3072, 4096)))
        self.assertEqual(
            (PolicySettings().as_policy().guesses, PolicySettings().as_policy().prime_bits), (1, (2048, 8192))
        )

    def test_a_group_is_verified(self) -> None:
        for group, why in (
            ({"prime": f"{int(MODP_2048.prime) + 2:X}"}, "P is not a safe prime"),
            ({"prime": f"{int(MODP_2048.prime) + 1:X}"}, "P is even"),
            ({"prime": f"{int(MODP_1024.prime):X}"}, "P has 1024 bits, 2048 to 8192 are allowed"),
            ({"generator": 1}, "G is not between 2 and P - 2"),
            ({"generator": f"{int(MODP_2048.prime) - 1:X}"}, "G is not between 2 and P - 2"),
        ):
            self.assertEqual(
                refused(with_group(**group)), [f"policy.groups.ours: is not a group that may be used: {why}"]
            )

    def test_a_verdict_is_not_asked_for_twice(self) -> None:
        list(read(with_group()).contradictions())
        self.patch(Parameters, "verified", lambda _: self.fail("verified again"))
        self.assertEqual(refused(with_group()), [])
        self.assertEqual(algorithms._no_group.cache_info().maxsize, 64)

    def test_numbers_that_are_none(self) -> None:
        for number in ("", "12 34 xy", "0", 0, -1, True, 1.5, "f" * 2049, ["1"]):
            (problem,) = refused(with_group(prime=number))
            self.assertIn("policy.groups.ours.prime: must be a whole number, or hexadecimal digits", problem)

    def test_names(self) -> None:
        (problem,) = refused(with_group("our", "x25519"))
        self.assertIn(
            'policy.proposals[0].key-agreement[0]: must be an algorithm for key-agreement ("x25519", ', problem
        )
        self.assertIn('or the name of one of policy.groups, not "our"; did you mean "ours"?', problem)
        (problem,) = refused(with_group("x2559"))
        self.assertIn('did you mean "x25519"?', problem)
        (problem,) = refused(with_group("aes-256-gcm"))
        self.assertIn("that is one for encryption", problem)
        (problem,) = refused(with_group("not a name"))
        self.assertIn("policy.proposals[0].key-agreement[0]: must be", problem)
        for name in ("x25519", "user-defined", "aes-256-gcm"):
            (problem,) = refused({"groups": {name: {"prime": PRIME}}})
            self.assertIn("must have another name", problem)
        (problem,) = refused({"groups": {"no name": {"prime": PRIME}}})
        self.assertIn("policy.groups: must be a table whose names are each a name of letters", problem)

    def test_what_cannot_be_offered_is_not_enough(self) -> None:
        (problem,) = refused({"proposals": [{"key-agreement": ["user-defined"]}]})
        self.assertIn('must have more than "user-defined", which cannot be offered', problem)

    def test_sizes_the_wrong_way_round(self) -> None:
        (problem,) = refused({"shortest-prime": 4096, "longest-prime": 2048})
        self.assertEqual(problem, "policy.shortest-prime: must be at most policy.longest-prime, 2048")


class BundleTests(SynchronousTestCase):
    def test_a_bundle_takes_the_place_of_the_lists(self) -> None:
        policy = read(bundled()).as_policy()
        held = {
            ProtocolId.ENCRYPTION: (BY_NAME["aes-256-gcm"],),
            ProtocolId.PRF: (BY_NAME["prf-hmac-sha-384"],),
            ProtocolId.KEY_AGREEMENT: (BY_NAME["x25519"],),
        }
        self.assertEqual(dict(policy.bundles), {7: held})
        (proposal,) = policy.proposals
        self.assertEqual((proposal.bundle, dict(proposal.algorithms)), (7, held))
        self.assertEqual(refused(bundled()), [])

    def test_a_bundle_may_hold_a_group_of_ones_own(self) -> None:
        raw = bundled(**{"key-agreement": ["ours"]}) | {"groups": {"ours": {"prime": PRIME, "generator": 4}}}
        self.assertEqual(refused(raw), [])
        (proposal,) = read(raw).as_policy().proposals
        self.assertEqual(proposal.algorithms[ProtocolId.KEY_AGREEMENT], (user_group(OURS.fingerprint),))

    def test_what_is_wrong_with_one(self) -> None:
        both = bundled()
        both["bundles"]["other"] = {"spi": 7}
        self.assertEqual(
            refused(both),
            [
                'policy.bundles.other.spi: must differ from policy.bundles.strong.spi: both are "7"',
                "policy.bundles.other: is empty: a bundle needs algorithms",
            ],
        )
        (problem,) = refused(bundled(prf=[]))
        self.assertEqual(problem, "policy.proposals[0].bundle: must have prf: it is in policy.mandatory")
        (problem,) = refused(bundled() | {"proposals": [{"bundle": "stong"}]})
        self.assertIn('must be one of policy.bundles, not "stong"; did you mean "strong"?', problem)
        (problem,) = refused(bundled() | {"proposals": [{"bundle": "strong", "prf": []}]})
        self.assertEqual(problem, "policy.proposals[0].bundle: has the algorithms: the proposal's own lists must go")
        (problem,) = refused(bundled(encryption=["aes-256-gcm", "aes-256-gcm"]))
        self.assertIn("policy.bundles.strong.encryption[1]: must differ", problem)
        for spi in (0, 256, "7"):
            (problem,) = refused(bundled(spi=spi))
            self.assertIn("policy.bundles.strong.spi: must be a whole number from 1 to 255", problem)


class FileTests(SynchronousTestCase):
    def test_the_examples_of_the_documents_work(self) -> None:
        text = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
        section = text.partition("\n## Policy\n")[2].partition("\n## ")[0]
        examples = re.findall(r"```toml\n(.*?)```", section, re.DOTALL)
        self.assertEqual(len(examples), 3)
        directory = Path(self.mktemp())
        directory.mkdir()
        write_private(directory / "key0.toml", key0_text())
        for number, example in enumerate(examples):
            example = example.replace("FFFFFFFF FFFFFFFF C90FDAA2 2168C234 ...", PRINTED)
            file = directory / f"{number}.toml"
            sample = (Path(__file__).parents[2] / "conf" / "responder.toml").read_text()
            file.write_text(sample.replace("[policy]\n", "" if "[policy]\n" in example else "[policy]\n") + example)
            self.assertTrue(load_any(file).settings.policy.as_policy().proposals)
