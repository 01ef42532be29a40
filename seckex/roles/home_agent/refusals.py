"""The two ways to refuse a request.

Whatever a node has not authenticated is met with silence towards it: the agent, which has proved its own
name, is told a coarse code over the hop, and the reason stays here. That is `Unheard`. What a node has
authenticated is answered in a reply that looks like any other from outside: `Sealed`.
"""

from __future__ import annotations

from attrs import frozen

from seckex.errors import SeckexError
from seckex.sa.offer import Offer
from seckex.wire.extensions import clipped
from seckex.wire.numbers import Code
from seckex.wire.registration import MAX_REASON


class Unheard(SeckexError):
    """A request that nobody has authenticated; ``code`` goes to the hop, ``why`` to the log.

    ``unknown`` names a node that it is said to be of, and that is not known here.
    """

    def __init__(self, code: Code, cause: str, why: str, unknown: str = "") -> None:
        super().__init__(why)
        self.code = code
        self.cause = cause
        self.why = why
        self.unknown = unknown


@frozen
class Sealed:
    """Why an authentic request is refused, and what would do between node and us (``home``), and agent (``visit``).

    ``clock`` is by what the Identification was judged, where that is why.
    """

    code: Code
    why: str
    proposal: int = 0
    transform: int = 0
    home: Offer | None = None
    visit: Offer | None = None
    clock: int | None = None

    @property
    def text(self) -> str:
        """The reason, as long as there is room for it."""
        return clipped(self.why, MAX_REASON)
