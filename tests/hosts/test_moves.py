"""A node that moves while a program fetches something, with real processes on hosts of their own."""

from __future__ import annotations

from typing import Any

from tests.hosts.stage import NAIS, NODE, NORTH, SOUTH, HostsCase


class MoveTests(HostsCase):
    # Only what is asked for may move it, however busy the machine is.
    watch = "30s"

    def last_move(self) -> dict[str, Any]:
        move: dict[str, Any] | None = self.status(NODE).get("roles", {}).get("mobile-node", {}).get("last-move")
        return move or {}

    def moved(self, agent: str, times: int) -> dict[str, Any]:
        """Wait until so many moves are over, and return the last, which is to an agent."""
        self.until("the move", lambda: self.logged(NODE, "Moved") - self.moves >= times)
        move = self.last_move()
        self.assertEqual(move["agent"], NAIS[agent])
        self.assertEqual(move["dialogs"], 1)
        return move

    def test_asked_for_to_another_agent_and_back(self) -> None:
        self.begin()
        download = self.download()
        for times, agent in enumerate((SOUTH, NORTH), start=1):
            told = self.seckex("move", NAIS[agent], "--config", "node.toml")
            self.assertIn(f"to {NAIS[agent]}", told)
            self.assertIn("1 round trip(s)", told)
            move = self.moved(agent, times)
            self.assertEqual((move["why"], move["round_trips"]), ("asked for", 1))
            self.goes_on(download)
        self.finish(download)
