"""What a node asks of the edge, beside sending and reporting."""

from __future__ import annotations

from typing import TypeAlias

from attrs import field, frozen

from seckex.machine import Report, Send
from seckex.sa.association import Association
from seckex.sa.store import Unit


@frozen
class Commit:
    """Make ``unit`` durable and answer `Node.committed` with ``token``."""

    token: int
    unit: Unit = field(repr=False)


@frozen
class Ready:
    """An association with a wanted peer may be used: links go over this one from now on."""

    association: Association


@frozen
class Unavailable:
    """There is no association with ``peer``, and why; another try comes by itself after ``wait`` seconds."""

    peer: str
    why: str
    wait: float


@frozen
class Gone:
    """An association has ended: its links are to be closed."""

    association: Association
    why: str


NodeAction: TypeAlias = Send | Report | Commit | Ready | Unavailable | Gone
