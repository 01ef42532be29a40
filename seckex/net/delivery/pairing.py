"""What pairing has to do with messages: our prekeys go on our cards, and those on others' cards are taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol

from seckex.net.control import Answer, Commands, Request

SCHEMA: Final = "seckex.prekeys/1"


class Prekeys(Protocol):
    """What is asked of a vault (`seckex.net.delivery.vault.MessageVault`)."""

    def told_prekeys(self, now: float) -> Sequence[bytes]:
        """Return what others are told of ours."""
        ...

    def learn_prekeys(self, peer: str, prekeys: Iterable[bytes], now: float) -> None:
        """Take what ``peer`` tells, as far as it is his and verifies."""
        ...


def prekey_commands(vault: Prekeys, wall: Callable[[], float]) -> Commands:
    """Return the command ``prekeys``, which ``seckex pair`` and ``seckex cert status`` ask."""

    def told(_request: Request) -> Answer:
        return {"schema": SCHEMA, "prekeys": [octets.hex() for octets in vault.told_prekeys(wall())]}

    return {"prekeys": told}


def learn_cards(vault: Prekeys, prekeys: Mapping[str, Sequence[bytes]], now: float) -> None:
    """Take the prekeys of those that were paired with (`seckex.config.load.Loaded.prekeys`)."""
    for nai, found in prekeys.items():
        if found:
            vault.learn_prekeys(nai, found, now)
