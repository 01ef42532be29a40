"""Two daemons that agree in groups with long messages or long work: over TCP, and in threads."""

from __future__ import annotations

from typing import Any

from seckex.crypto.groups.user import Parameters
from tests.daemons.stage import StageTestCase
from tests.groups import PRIME_4096

OWN = """\
[policy.groups.ours]
prime = "{prime:x}"
generator = {generator}
"""
LISTED = """\
[[policy.proposals]]
key-agreement = [{names}]
"""


class GroupTests(StageTestCase):
    def agreed(self, ours: str, theirs: str, before: str = "") -> Any:
        """Have the daemons agree, with these lists of groups, and return what they agreed on as both tell it."""
        node, home = (self.folder / f"{role}.toml" for role in ("initiator", "responder"))
        for file, names, more in ((node, ours, before), (home, theirs, "")):
            listed = ", ".join(f'"{name}"' for name in names.split())
            file.write_text(file.read_text() + more + LISTED.format(names=listed))
        self.both()
        (here,), (there,) = self.confirmed("initiator"), self.confirmed("responder")
        self.assertEqual(here["transforms"], there["transforms"])
        return here["transforms"]["key-agreement"]

    def test_a_hybrid_that_was_not_guessed(self) -> None:
        self.assertEqual(self.agreed("x25519 x25519-ml-kem-768", "x25519-ml-kem-768"), "x25519-ml-kem-768")

    def test_a_heavy_group_that_a_peer_brings_along(self) -> None:
        own = OWN.format(prime=PRIME_4096, generator=2)
        self.assertEqual(self.agreed("ours", "p-256 user-defined", own), Parameters.of(PRIME_4096, 2).name)
