"""What people are shown of a foreign agent and of an AAA relay, in their status and of their configuration."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from seckex.cli.agent_view import agent_tables
from seckex.cli.main import main
from tests.config.test_agent import AGENT as WRITTEN
from tests.config.written import write_credentials

VISITOR: dict[str, Any] = {
    "pseudonym": "00ff",
    "home-agent": "home@example.org",
    "expires-in": 1790,
    "keying": "stateful",
    "kem": "x25519",
}
AGENT: dict[str, Any] = {
    "domain": "visited.example",
    "care-of": ["192.0.2.2"],
    "servers": [],
    "sequence": 7,
    "busy": "",
    "under-way": 2,
    "visitors": [VISITOR],
    "visitors-in-all": 300,
}
RELAY: dict[str, Any] = {
    "pending": 3,
    "home_agents": [{"nai": "home@example.org", "trouble": ""}],
    "routes": [{"realm": "example.net", "next": [{"nai": "aaa@example.net", "trouble": "no answer"}]}],
}


def shown(roles: object) -> str:
    """Return what is printed."""
    console = Console(width=200, no_color=True)
    with console.capture() as captured:
        console.print(*agent_tables({"roles": roles}, boxed=False), sep="\n")
    return captured.get()


class StatusTests(SynchronousTestCase):
    def test_a_foreign_agent(self) -> None:
        text = shown({"foreign-agent": AGENT})
        for words in ("visited.example, care-of 192.0.2.2", "each home agent itself", "advertisement 7, not busy"):
            self.assertIn(words, text)
        self.assertIn("visitors: 300", text)
        self.assertRegex(text, r"(?m)^00ff +home@example.org +29m 50s +stateful by x25519")

    def test_one_that_is_busy_and_goes_by_servers(self) -> None:
        text = shown({"foreign-agent": AGENT | {"servers": ["a@x", "b@x"], "busy": "9 visitors", "visitors": []}})
        self.assertIn("a@x, b@x", text)
        self.assertIn("busy with 9 visitors", text)
        self.assertNotIn("pseudonym", text)

    def test_a_relay(self) -> None:
        text = shown({"aaa": RELAY})
        self.assertIn("AAA relay: 3 registrations under way", text)
        self.assertRegex(text, r"(?m)^a home agent +home@example.org +-")
        self.assertRegex(text, r"(?m)^example.net +aaa@example.net +no answer")

    def test_other_roles_are_shown_elsewhere(self) -> None:
        self.assertEqual(shown({"home-agent": {}}).strip(), "")
        self.assertEqual(shown(None).strip(), "")

    def test_lists_that_are_none(self) -> None:
        for odd in (5, "text", {"nai": 1}, [5]):
            shown({"foreign-agent": AGENT | {"visitors": odd, "servers": odd}, "aaa": dict.fromkeys(RELAY, odd)})
            shown({"aaa": {"routes": [{"next": odd}]}})

    @settings(max_examples=60, deadline=None)
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from([*AGENT, *RELAY, *VISITOR, "next", "nai", "realm"]), inner, max_size=4
                )
            ),
            max_leaves=12,
        )
    )
    def test_nothing_of_an_answer_is_relied_on(self, odd: Any) -> None:
        shown({"foreign-agent": odd, "aaa": odd})


class ConfigurationTests(SynchronousTestCase):
    def test_what_a_file_amounts_to(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.patch(os, "environ", {"HOME": "/home/op"})
        write_credentials(folder, "agent", "agent@visited.example")
        more = (
            '[listen]\naddresses = ["192.0.2.2"]\n[foreign-agent]\nservers = ["aaa@visited.example"]\n'
            'realms = ["example.org"]\nlongest-registration = "2h"\n[aaa]\nhome-agents = ["home@visited.example"]\n'
            '[[aaa.routes]]\nrealm = "*"\nnext = ["aaa@visited.example"]\n'
            '[[hops]]\nnai = "aaa@visited.example"\naddress = "192.0.2.5"\n'
        )
        (folder / "agent.toml").write_text(WRITTEN + more)
        result = CliRunner().invoke(main, ["check-config", str(folder / "agent.toml")])
        self.assertEqual(result.exit_code, 0, result.output)
        for line in (
            "right, for the agent agent@visited.example",
            "  listens on  192.0.2.2 port 4434",
            "  agent       domain visited.example, care-of 192.0.2.2",
            "relays to aaa@visited.example; serves example.org, for 2h at most",
            "  aaa         home@visited.example directly",
            "* by aaa@visited.example",
            "  hops        aaa@visited.example at 192.0.2.5 port 4435, by tls",
        ):
            self.assertIn(line, result.output)
