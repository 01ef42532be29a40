"""The group of commands, and how a name is given to them."""

from __future__ import annotations

import click

from seckex.config.problems import Unfit
from seckex.config.values import NAI


def nai_of(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    """Return the name that was given, which must be one."""
    try:
        return NAI.read(value)
    except Unfit as error:
        raise click.BadParameter(str(error)) from error


@click.group()
def kdc() -> None:
    """Look after the nodes of a key distribution center.

    With a daemon that runs, its control socket is used; without one its database, where
    --config says which.
    """
