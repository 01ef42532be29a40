"""The ``seckex`` command as a whole."""

from __future__ import annotations

import sys
from types import ModuleType

import click
from click.testing import CliRunner
from twisted.trial.unittest import SynchronousTestCase

from seckex import __version__
from seckex.cli.main import main
from seckex.errors import StoreFailed


class MainTests(SynchronousTestCase):
    def test_help_names_the_commands(self) -> None:
        for option in ("--help", "-h"):
            result = CliRunner().invoke(main, [option])
            self.assertEqual(result.exit_code, 0)
            for command in ("check-config", "demo", "explain", "key", "monitor", "status", "up"):
                self.assertIn(f"  {command} ", result.stdout)

    def test_version(self) -> None:
        self.assertIn(__version__, CliRunner().invoke(main, ["--version"]).stdout)

    def test_unknown_commands_and_options(self) -> None:
        for arguments in (["statsu"], ["--colour"], ["key"]):
            self.assertEqual(CliRunner().invoke(main, arguments).exit_code, 2)

    def test_what_is_foreseen_is_one_line(self) -> None:
        @click.command()
        def fails() -> None:
            raise StoreFailed("the disk is full")

        self.patch(main, "commands", {**main.commands, "fails": fails})
        result = CliRunner().invoke(main, ["fails"])
        self.assertEqual((result.exit_code, result.stderr), (1, "seckex: the disk is full\n"))


class DemoTests(SynchronousTestCase):
    def test_the_demo_is_imported_when_asked_for(self) -> None:
        @click.command()
        @click.option("--size", type=int)
        def demo(size: int) -> None:
            click.echo(f"size {size}")
            click.get_current_context().exit(size)

        module = ModuleType("seckex.cli.demo")
        vars(module)["demo"] = demo
        self.patch(sys, "modules", sys.modules | {"seckex.cli.demo": module})
        for size in (0, 1):
            result = CliRunner().invoke(main, ["demo", "--size", str(size)])
            self.assertEqual((result.stdout, result.exit_code), (f"size {size}\n", size))
        self.assertEqual(CliRunner().invoke(main, ["demo", "--size", "x"]).exit_code, 2)
        self.assertIn("seckex demo", CliRunner().invoke(main, ["demo", "--help"], prog_name="seckex").stdout)
