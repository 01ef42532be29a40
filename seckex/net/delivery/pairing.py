"""What pairing has to do with messages: our prekeys go on our cards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from seckex.net.control import Answer, Commands, Request

SCHEMA: Final = "seckex.prekeys/1"


class Prekeys(Protocol):
    """What is asked of a vault (`seckex.net.delivery.vault.MessageVault`)."""

    def told_prekeys(self, now: float) -> Sequence[bytes]:
        """Return what others are told of ours."""
        ...


def prekey_commands(vault: Prekeys, wall: Callable[[], float]) -> Commands:
    """Return the command ``prekeys``, which ``seckex pair`` and ``seckex cert status`` ask."""

    def told(_request: Request) -> Answer:
        return {"schema": SCHEMA, "prekeys": [octets.hex() for octets in vault.told_prekeys(wall())]}

    return {"prekeys": told}
