"""``seckex monitor``: what the daemon says is printed as it comes, and the end of it."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.cli.daemons import ScriptedDaemon
from tests.cli.test_status import STATUS, StatusCase

FIRST = {"schema": "seckex.monitor/1", "daemon": {}}
EVENT = {"schema": "seckex.event/1", "event": "LinkClosed"}


class MonitorTests(StatusCase):
    def script(self, *lines: Any) -> Path:
        path = self.home / "control.sock"
        ScriptedDaemon(self, path, b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        # Whether a daemon is there is asked with another request, which a scripted one cannot tell apart.
        self.patch(importlib.import_module("seckex.cli.monitor"), "live", lambda sockets: sockets[0])
        return path

    def test_lines_until_the_daemon_goes_away(self) -> None:
        path = self.script(FIRST, EVENT, EVENT)
        result = self.run_command("monitor", "--socket", str(path))
        self.assertEqual([json.loads(line) for line in result.stdout.splitlines()], [FIRST, EVENT, EVENT])
        self.assertEqual(result.exit_code, 3)
        self.assertEqual(result.stderr.count("\n"), 1)

    def test_ctrl_c_is_a_clean_end(self) -> None:
        def interrupted(*_arguments: object) -> Iterator[dict[str, Any]]:
            yield FIRST
            raise KeyboardInterrupt

        self.script()
        self.patch(importlib.import_module("seckex.cli.monitor"), "follow", interrupted)
        result = self.run_command("monitor")
        self.assertEqual((result.exit_code, json.loads(result.stdout), result.stderr), (0, FIRST, ""))

    def test_a_daemon_that_refuses(self) -> None:
        path = self.script({"schema": "seckex.error/1", "error": "8 streams are open already"})
        result = self.run_command("monitor", "--socket", str(path))
        self.assertEqual((result.exit_code, result.stdout), (1, ""))
        self.assertIn("8 streams are open already", result.stderr)

    def test_two_daemons_are_one_too_many(self) -> None:
        self.daemon()
        self.daemon("initiator", STATUS)
        result = self.run_command("monitor")
        self.assertEqual(result.exit_code, 1)
        self.assertIn("name one with --socket or --config", result.stderr)

    def test_nobody_there(self) -> None:
        self.assertEqual(self.run_command("monitor").exit_code, 3)
