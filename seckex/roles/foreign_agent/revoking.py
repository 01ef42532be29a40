"""Taking REVOCATION: anybody can send it, and a look-up by SPI and one MAC are all that it costs.

What verifies ends a visitor at once: its passages are closed, it is taken out of memory and made durable as gone, and
only then is it answered. Where it cannot be made durable there is no answer, so that the home agent says it
again. A repetition gets the same answer, from what is kept of who is gone. A copy of an old one is of an old KEY 2, so
its Time is not needed to tell it from a new one.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from attrs import define, field

from seckex.crypto.revoking import digest_of
from seckex.errors import AuthenticationFailed, Malformed, PeerFault, UnsupportedVersion
from seckex.events import StoreUnwritable
from seckex.events.foreign_agent import VisitorRevoked
from seckex.machine import Now, Path, Report, Send
from seckex.node.drops import Drops
from seckex.roles.faces import ClosePassages
from seckex.roles.foreign_agent.gone import Gone, GoneTable
from seckex.roles.foreign_agent.relays import Relays
from seckex.roles.foreign_agent.visitors import KIND, Visitor, Visitors
from seckex.sa.store import DeleteRecord, Outcome, Unit
from seckex.wire.numbers import Code, Reason
from seckex.wire.revocation import Revocation, Revoked, Signed, decode_signed, spi_of

#: What a passage is closed with, by the reason of the revocation.
WHY: Final = {
    Reason.REVOKED: "the node was revoked",
    Reason.MOVED: "the node has moved to another agent",
    Reason.LEFT: "the node has deregistered",
    Reason.OPERATOR: "the operator of the home agent has ended the registration",
}


@define(eq=False)
class _Pending:
    """Who is not durable as gone yet: what makes that so, and who is answered then."""

    gone: Gone
    unit: Unit = field(repr=False)
    said: Revocation
    digest: bytes
    path: Path
    storing: bool = False


class Revoking:
    """See the module."""

    def __init__(self, visitors: Visitors, relays: Relays, drops: Drops) -> None:
        self._visitors = visitors
        self._relays = relays
        self._drops = drops
        self._pending: dict[int, _Pending] = {}
        self._tokens: dict[int, _Pending] = {}
        self.gone = GoneTable()
        self.counters: Counter[str] = Counter()

    def received(self, octets: bytes, path: Path, now: Now, actions: list[Any]) -> None:
        """Take a REVOCATION."""
        spi = spi_of(octets)
        visitor, gone = self._visitors.of_home(spi), self.gone.get(spi)
        if visitor is None and gone is None:
            self._drops.counters["dropped.revocation-unknown"] += 1
            return
        try:
            signed = decode_signed(octets)
        except (Malformed, PeerFault, UnsupportedVersion) as fault:
            self._drops.note("malformed", str(fault), path, now, actions)
            return
        said = signed.said
        if isinstance(said, Revocation):
            digest = digest_of(octets)
            if visitor is not None and said.spi_of_node == visitor.spi_of_node and _verifies(Gone.of(visitor), signed):
                self._end(visitor, said, digest, path, actions)
                return
            if gone is not None and _verifies(gone, signed):
                self._again(gone, said, digest, path, actions)
                return
        self._drops.note("revocation-authentication", "a REVOCATION does not verify", path, now, actions)

    def _end(self, visitor: Visitor, said: Revocation, digest: bytes, path: Path, actions: list[Any]) -> None:
        self.counters["revoked"] += 1
        self._visitors.pop(visitor.name)
        actions.append(ClosePassages(visitor.spi_node, Code.UNKNOWN_ASSOCIATION, WHY[said.reason]))
        actions.append(Report(VisitorRevoked(visitor.home_agent, visitor.pseudonym.hex(), said.reason.label)))
        gone = Gone.of(visitor)
        unit = (DeleteRecord(KIND, visitor.name), gone.put, *self.gone.keep(gone))
        pending = self._pending[gone.spi_home] = _Pending(gone, unit, said, digest, path)
        self._store(pending, actions)

    def _again(self, gone: Gone, said: Revocation, digest: bytes, path: Path, actions: list[Any]) -> None:
        self.counters["revoked-again"] += 1
        pending = self._pending.get(gone.spi_home)
        if pending is None:
            actions.append(_answer(gone, said, digest, path))
            return
        pending.said, pending.digest, pending.path = said, digest, path
        if not pending.storing:
            self._store(pending, actions)

    def _store(self, pending: _Pending, actions: list[Any]) -> None:
        pending.storing = True
        self._tokens[self._relays.commit(pending.unit, actions)] = pending

    def committed(self, token: int, outcome: Outcome | str, actions: list[Any]) -> None:
        """Take what became of a unit that no request waits for."""
        pending = self._tokens.pop(token, None)
        if outcome is not Outcome.STORED:
            actions.append(Report(StoreUnwritable(str(outcome))))
        if pending is None:
            return
        pending.storing = False
        if outcome is Outcome.STORED:
            self._pending.pop(pending.gone.spi_home, None)
            actions.append(_answer(pending.gone, pending.said, pending.digest, pending.path))

    def ended(self, visitor: Visitor, actions: list[Any]) -> None:
        """Keep what answers for a visitor that has left, or whose place another one has taken."""
        gone = Gone.of(visitor)
        self._relays.commit((gone.put, *self.gone.keep(gone)), actions)


def _verifies(gone: Gone, signed: Signed) -> bool:
    try:
        gone.key.verify(signed)
    except AuthenticationFailed:
        return False
    return True


def _answer(gone: Gone, said: Revocation, digest: bytes, path: Path) -> Send:
    return Send(gone.key.sign(Revoked(said.identification, gone.spi_of_home, digest)), path)
