"""What the operator is told of the master key and of backups.

Master keys are named by what is not secret of them.
"""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from seckex.events import Event


@frozen
class MasterKeyExchanging(Event):
    """A new master key is in the key file beside the former one; what is stored is being sealed under it."""

    key: str
    former: str

    def __str__(self) -> str:
        return f"the master key {self.key} takes the place of {self.former}: what is stored is sealed anew"


@frozen
class MasterKeyExchanged(Event):
    """Nothing is sealed under the former master key any more, and it is gone from the key file."""

    key: str
    rewrapped: int
    unreadable: int

    def __str__(self) -> str:
        left = f"; {self.unreadable} cannot be read under any key, as before" if self.unreadable else ""
        return f"the master key is {self.key} now, {self.rewrapped} secrets were sealed anew{left}"


@frozen
class MasterKeyTrouble(Event):
    """The exchange of the master key cannot go on at present; both keys are kept, and it is tried again."""

    level: ClassVar[str] = "warn"

    why: str

    def __str__(self) -> str:
        return f"the exchange of the master key does not go on: {self.why}"
