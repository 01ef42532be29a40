"""What people are shown of a home agent, a key distribution center and hops."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from seckex.cli.home_view import home_tables

BINDING: dict[str, Any] = {"agent": "agent@example.net", "care-of": "192.0.2.1", "lifetime": 1800, "left": 1790}
NODE: dict[str, Any] = {
    "nai": "node@example.org",
    "enabled": True,
    "kvno": 1,
    "home-address": "10.0.0.7",
    "spi-in": 0x1000,
    "bindings": [BINDING],
    "refused": None,
}
HOME: dict[str, Any] = {
    "kind": "home-agent",
    "keying": "stateful",
    "centers": ["kdc@example.org"],
    "centers-failing": None,
    "serial": 7,
    "nodes": [NODE],
    "nodes-not-shown": 0,
}
CENTER: dict[str, Any] = {
    "keying": ["stateful", "semi-stateful"],
    "replicates": None,
    "replicas": [],
    "principals": 3,
    "serial": 9,
}
HOP: dict[str, Any] = {"nai": "kdc@example.org", "security": "tls", "state": "up", "accepted": 2, "why": ""}


def shown(roles: object, hops: object = ()) -> str:
    """Return what is printed."""
    console = Console(width=300, no_color=True)
    hops = list(hops) if isinstance(hops, tuple) else hops
    with console.capture() as captured:
        console.print(*home_tables({"roles": roles, "hops": hops}, boxed=False), sep="\n")
    return captured.get()


class HomeViewTests(SynchronousTestCase):
    def row(self, **changes: Any) -> list[str]:
        """Return what is shown of a node."""
        text = shown({"home-agent": HOME | {"nodes": [NODE | changes]}})
        return [line for line in text.splitlines() if line.startswith("node@")]

    def test_who_was_revoked_and_what_agents_have_not_confirmed(self) -> None:
        self.assertIn("node@example.org, revoked", self.row(enabled=False, revoked=True)[0])
        waiting = {
            "node": "node@example.org",
            "agent": "agent@example.net",
            "reason": "revoked",
            "since": 1_790_000_000,
        }
        waiting |= {"tries": 31, "left": 900}
        text = shown({"home-agent": HOME | {"revocations": [waiting], "revocations-in-all": 3}})
        self.assertIn("ends that agents have not confirmed: 1 of 3", text)
        self.assertIn("31", text)
        self.assertNotIn("confirmed", shown({"home-agent": HOME | {"revocations": [], "revocations-in-all": 0}}))

    def test_where_a_node_is(self) -> None:
        text = shown({"home-agent": HOME})
        for words in ("home agent  stateful keys", "centers       kdc@example.org", "nodes: 1"):
            self.assertIn(words, text)
        [row] = self.row()
        expected = ["node@example.org", "10.0.0.7", "agent@example.net", "192.0.2.1", "29m", "50s", "0x00001000", "-"]
        self.assertEqual(row.split(), expected)

    def test_one_at_several_agents(self) -> None:
        rows = self.row(bindings=[BINDING, BINDING | {"agent": "second@example.net"}])
        self.assertEqual([row.split()[2] for row in rows], ["agent@example.net", "second@example.net"])

    def test_one_that_is_nowhere_and_why(self) -> None:
        refused = {"code": 274, "why": "it was disabled", "agent": "agent@example.net", "at": 1750000000}
        [row] = self.row(bindings=[], enabled=False, refused=refused, **{"spi-in": None, "home-address": None})
        self.assertIn("node@example.org, disabled", row)
        self.assertIn("274 it was disabled", row)
        self.assertIn("any", row)

    def test_more_nodes_than_are_told_and_centers_that_fail(self) -> None:
        text = shown({"home-agent": HOME | {"nodes-not-shown": 5, "centers-failing": "nobody answers"}})
        self.assertIn("nodes: 1 of 6", text)
        self.assertIn("failing       nobody answers", text)

    def test_a_mobility_manager_without_nodes(self) -> None:
        text = shown({"home-agent": HOME | {"kind": "mobility-manager", "nodes": [], "centers": []}})
        self.assertIn("mobility manager  stateful keys", text)
        self.assertIn("nodes: 0", text)


class CenterViewTests(SynchronousTestCase):
    def test_a_center(self) -> None:
        text = shown({"kdc": CENTER})
        self.assertIn("nodes         3, up to serial 9", text)
        self.assertIn("issues        stateful and semi-stateful keys", text)
        self.assertNotIn("replic", text)

    def test_a_center_with_replicas_and_a_replica(self) -> None:
        self.assertIn("replicas      r@x, s@x", shown({"kdc": CENTER | {"replicas": ["r@x", "s@x"]}}))
        self.assertIn("replicates    kdc@x", shown({"kdc": CENTER | {"replicates": "kdc@x"}}))


class HopViewTests(SynchronousTestCase):
    def test_hops(self) -> None:
        text = shown({}, (HOP, HOP | {"nai": "aaa@example.net", "state": "down", "why": "nobody\x1b[31m answers"}))
        self.assertIn("hops: 2", text)
        rows = [line.split() for line in text.splitlines()]
        self.assertIn(["kdc@example.org", "tls", "up", "2", "-"], rows)
        self.assertIn(["aaa@example.net", "tls", "down", "2", "nobody\\x1b[31m", "answers"], rows)

    def test_without_any_nothing_is_shown(self) -> None:
        self.assertEqual(shown({}).strip(), "")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*HOME, *NODE, *BINDING, *CENTER, *HOP, "at", "code"]), inner, max_size=5)
    ),
    max_leaves=12,
)


class StrangeTests(SynchronousTestCase):
    @settings(max_examples=100, deadline=None)
    @given(ANYTHING, ANYTHING, ANYTHING, ANYTHING)
    def test_whatever_a_daemon_says_can_be_shown(self, home: Any, node: Any, center: Any, hop: Any) -> None:
        shown({"home-agent": home, "kdc": center}, hop)
        shown({"home-agent": HOME | {"nodes": [node, NODE | {"bindings": [node]}]}}, (hop,))
