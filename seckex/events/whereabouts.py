"""What an operator is told of where this machine is."""

from __future__ import annotations

from attrs import frozen

from seckex.events import Event


@frozen
class AddressChanged(Event):
    """Our own address towards somebody has changed; empty where there is no way."""

    towards: str
    before: str
    after: str

    def __str__(self) -> str:
        now = f"{self.after} in place of {self.before}" if self.before and self.after else self.after or "gone"
        return f"our address towards {self.towards} is {now}: building links anew"
