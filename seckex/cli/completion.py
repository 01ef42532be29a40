"""``seckex completion``: what a shell needs in order to complete the words of this command."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import get_completion_class

from seckex.cli.output import Fault

SHELLS: Final = ("bash", "zsh", "fish")
_PROGRAM: Final = "seckex"
_VARIABLE: Final = "_SECKEX_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what SHELL needs to complete this command's words.

    In bash: eval "$(seckex completion bash)"; in zsh the same with zsh; in fish: seckex completion fish | source.
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise Fault(f"this click cannot complete words for {shell}")
    click.echo(kind(ctx.find_root().command, {}, _PROGRAM, _VARIABLE).source())
