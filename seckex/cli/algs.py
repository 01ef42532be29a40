"""``seckex algs``: every algorithm that can be negotiated, by name and by number."""

from __future__ import annotations

import sys
from typing import Any, Final

import click
from rich import box
from rich.table import Table

from seckex.cli.output import json_option, print_json, print_tables
from seckex.config.policy import PolicySettings
from seckex.sa.algorithms import ALL, PROTOCOL_NAMES

SCHEMA: Final = "seckex.algs/1"
_HEADS: Final = ("for", "name", "number", "key bits", "by default")


@click.command()
@json_option
def algs(as_json: bool) -> None:
    """List the algorithms and groups that are known.

    Numbers are IANA's for IKEv2 transforms of that kind, from 1024 on of its range for private use. Those that are
    there by default are in the policy of a configuration that has none; the others are for policies that name them.
    """
    known = _known()
    if as_json:
        print_json(SCHEMA, {"algorithms": known})
        return
    boxed = sys.stdout.isatty()
    table = Table(box=box.SIMPLE_HEAD if boxed else None, pad_edge=boxed, padding=(0, 2, 0, 0))
    for head in _HEADS:
        table.add_column(head)
    for one in known:
        bits = str(one["key_bits"] or "-")
        table.add_row(one["protocol"], one["name"], str(one["number"]), bits, "yes" if one["default"] else "no")
    print_tables([table])


def _known() -> list[dict[str, Any]]:
    proposals = PolicySettings().proposals
    defaults = {algorithm for proposal in proposals for each in proposal.algorithms().values() for algorithm in each}
    return [
        {
            "protocol": PROTOCOL_NAMES[algorithm.protocol],
            "name": algorithm.name,
            "number": int(algorithm.transform_id),
            "key_bits": algorithm.key_bits or None,
            "default": algorithm in defaults,
        }
        for algorithm in ALL
    ]
