"""What was done to a center, in a log that is only ever appended to.

An entry goes into the unit of what it tells of: it is there if and only if that was done. It says who did it, what,
to which node, and how it ended, and never a key. Entries are JSON objects, so that
an exported log can be read by anybody:

    by           null (the center itself), or "uid" and "place": "socket" or "off line"
    what         started, added, enrolled, disabled, enabled, rotated, revoked, deleted, exported, refused, limited,
                 dumped, loaded, master-key-exchanging, master-key-exchanged
    principal    the node, "" for none
    ...          what belongs to it: home_agent, kvno, serial, until, sealed, asked, why, neighbour, code, key, nodes

What operators were refused is entered too; of what neighbours were refused no more than one entry in
`PACE` seconds, so that nobody can fill the disk, and only where it matters: keys of a node
that is at home elsewhere, and nodes that had too many.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final

from attrs import frozen

from seckex.machine import Now
from seckex.sa.store import Append

AUDIT: Final = "kdc.audit"
PACE: Final = 10.0


@frozen
class Operator:
    """Who asked: the user ``uid``, over the control socket or off line, which is the ``place``."""

    uid: int
    place: str


def entry(now: Now, by: Operator | None, what: str, principal: str = "", **about: Any) -> Append:
    """Return what enters something into the log, in a unit with it."""
    who = None if by is None else {"uid": by.uid, "place": by.place}
    said = {"by": who, "what": what, "principal": principal, **about}
    return Append(AUDIT, json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode(), now.wall)


class Ration:
    """Whether what neighbours were refused may be entered; ``left_out`` is how many were not since the last."""

    def __init__(self) -> None:
        self._again = -math.inf
        self.left_out = 0

    def takes(self, now: Now) -> bool:
        """Tell whether one may be entered now; the next is `PACE` seconds later."""
        if now.monotonic < self._again:
            self.left_out += 1
            return False
        self._again = now.monotonic + PACE
        return True

    def said(self) -> int:
        """Return how many were left out, and begin anew."""
        left_out, self.left_out = self.left_out, 0
        return left_out
