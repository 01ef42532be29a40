"""The ``seckex`` command."""

from __future__ import annotations

import importlib
from typing import Any

import click

from seckex import __version__
from seckex.cli.accounting import accounting
from seckex.cli.algs import algs
from seckex.cli.backup import backup
from seckex.cli.bugreport import bugreport
from seckex.cli.cert import cert
from seckex.cli.cert_status import cert_status
from seckex.cli.check_config import check_config
from seckex.cli.completion import completion
from seckex.cli.counters import counters
from seckex.cli.doctor import doctor
from seckex.cli.explain import explain
from seckex.cli.export import export
from seckex.cli.home import home
from seckex.cli.kdc import kdc
from seckex.cli.key import key
from seckex.cli.lifecycle import down, rekey, up
from seckex.cli.master import master
from seckex.cli.monitor import monitor
from seckex.cli.move import move
from seckex.cli.output import Fault, Misconfigured
from seckex.cli.pair import pair
from seckex.cli.ping import ping
from seckex.cli.provision import provision
from seckex.cli.reload import reload
from seckex.cli.status import status
from seckex.config.problems import ConfigInvalid
from seckex.errors import SeckexError


class _Commands(click.Group):
    """Shows the status when no command is given, and never a traceback for what is foreseen."""

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


cert.add_command(cert_status)

for _command in (
    status,
    up,
    rekey,
    down,
    move,
    explain,
    monitor,
    ping,
    counters,
    doctor,
    bugreport,
    export,
    reload,
    accounting,
    provision,
    home,
    algs,
    check_config,
    key,
    kdc,
    master,
    backup,
    cert,
    pair,
    completion,
):
    main.add_command(_command)


@main.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def demo(ctx: click.Context, arguments: tuple[str, ...]) -> None:
    """Run a roaming network on this machine, and find out who could read what."""
    # Imported when asked for: it brings in both daemons.
    command: click.Command = importlib.import_module("seckex.cli.demo").demo
    code = command.main(list(arguments), prog_name=ctx.command_path, standalone_mode=False)
    ctx.exit(code if isinstance(code, int) else 0)
