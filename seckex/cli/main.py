"""The ``seckex`` command."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Final

import click

from seckex import __version__
from seckex.cli.output import Fault, Misconfigured
from seckex.config.problems import ConfigInvalid
from seckex.errors import SeckexError

#: Where each command is: modules are imported when theirs is asked for, since no two need the same.
_MODULES: Final[Mapping[str, str]] = {
    "status": "status",
    "up": "lifecycle",
    "rekey": "lifecycle",
    "down": "lifecycle",
    "move": "move",
    "explain": "explain",
    "monitor": "monitor",
    "ping": "ping",
    "counters": "counters",
    "doctor": "doctor",
    "bugreport": "bugreport",
    "export": "export",
    "reload": "reload",
    "accounting": "accounting",
    "provision": "provision",
    "home": "home",
    "algs": "algs",
    "check-config": "check_config",
    "key": "key",
    "kdc": "kdc",
    "master": "master",
    "backup": "backup",
    "cert": "cert",
    "pair": "pair",
    "completion": "completion",
    "send": "messages.send",
    "receive": "messages.receive",
    "dialogs": "messages.looking",
    "outbox": "messages.looking",
    "inbox": "messages.looking",
    "dead": "messages.looking",
    "why": "messages.looking",
}


class _Commands(click.Group):
    """Shows the status when no command is given, and never a traceback for what is foreseen."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *_MODULES})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _MODULES and cmd_name not in self.commands:
            module = importlib.import_module(f"seckex.cli.{_MODULES[cmd_name]}")
            self.add_command(getattr(module, cmd_name.replace("-", "_")))
        return super().get_command(ctx, cmd_name)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {name for option in self.get_params(ctx) for name in option.opts}
        # Who completes words wants the commands, not the options of the default.
        if not ctx.resilient_parsing and (not args or (args[0].startswith("-") and args[0] not in own)):
            args = ["status", *args]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConfigInvalid as error:
            raise Misconfigured(str(error)) from error
        except SeckexError as error:
            raise Fault(str(error)) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="seckex")
def main() -> None:
    """Security associations, keys and encrypted dialogs between two hosts.

    Without a command: status. The daemons are run by twist or twistd:
    seckex-initiator, seckex-responder and seckex-kdc.
    """


@main.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def demo(ctx: click.Context, arguments: tuple[str, ...]) -> None:
    """Run a roaming network on this machine, and find out who could read what."""
    # Imported when asked for: it brings in both daemons.
    command: click.Command = importlib.import_module("seckex.cli.demo").demo
    code = command.main(list(arguments), prog_name=ctx.command_path, standalone_mode=False)
    ctx.exit(code if isinstance(code, int) else 0)
