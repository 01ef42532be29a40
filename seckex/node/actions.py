"""What a node asks of the edge, beside sending and reporting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

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
class Work:
    """Have ``call`` done aside and give `Node.worked` what it returned, or the `SeckexError` that it raised."""

    token: int
    call: Callable[[], Any] = field(repr=False)


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
    """An association has ended, ``by_peer`` where that has asked for it: its links are to be closed."""

    association: Association
    why: str
    by_peer: bool = False


NodeAction: TypeAlias = Send | Report | Commit | Work | Ready | Unavailable | Gone
