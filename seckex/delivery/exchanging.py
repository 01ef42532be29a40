"""Three-phase exchanges of a house: dialogs whose two ends are on line move to keys that no stolen key gives away.

The initiator begins one for each dialog, over the connection that it speaks over, one at a time on a connection, when
the dialog's headers are held: until then its messages go under a prekey, so that nothing waits for three messages more.
Only where a dialog had moved already, and its keys are worn or lost, it waits for the next exchange.

Limits: `PER_SECOND` exchanges are begun on a connection in a second; one that fails is tried again after `AGAIN`
seconds. At a target see `seckex.delivery.phases`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from seckex.crypto.phases import Exchanged, Randomness
from seckex.delivery.connection import Connection
from seckex.delivery.keys.faces import ExchangedKek, KeysWanting
from seckex.delivery.keys.initiating import Initiating
from seckex.delivery.keys.pair import Principal
from seckex.delivery.keys.rotation import LONGEST_KEK
from seckex.delivery.keys.sources import ThreePhaseSource
from seckex.delivery.phases import TRANSITIONS, Agreed, Came1, Came2, Came3, ExpectPhase1, ExpectPhase2, HalfOpen, begin
from seckex.delivery.terms import HouseVault
from seckex.errors import SeckexError
from seckex.machine import Deliver, Now, advance
from seckex.wire.numbers import MessageKek, Suite, UnitKind
from seckex.wire.phases import Moving
from seckex.wire.units import Phase, encode_unit

if TYPE_CHECKING:
    from seckex.delivery.conversation import Conversation

PER_SECOND: Final = 16
AGAIN: Final = 60.0
_DRAWN: Final = 32


class _Initiated:
    """What a connection has under way, and what waits for it."""

    __slots__ = ("begun", "conversation", "state", "until", "waiting")

    def __init__(self) -> None:
        self.waiting: OrderedDict[Conversation, None] = OrderedDict()
        self.conversation: Conversation | None = None
        self.state: ExpectPhase2 | None = None
        self.until = 0.0
        self.begun = 0


class Exchanging:
    """See the module; ``say`` says a unit over a connection, ``moved`` hears of a dialog that has new keys."""

    def __init__(
        self,
        vault: HouseVault,
        entropy: Callable[[int], bytes],
        say: Callable[[int, bytes], None],
        moved: Callable[[Conversation, Now], None],
    ) -> None:
        self._vault = vault
        self._entropy = entropy
        self._say = say
        self._moved = moved
        self._ours: dict[Connection, _Initiated] = {}
        self._theirs = HalfOpen()
        self._not_before: dict[Conversation, float] = {}
        #: How many were completed, at either end, and how many of ours failed.
        self.completed = 0
        self.failed = 0

    # -- at the initiator

    def wanted(self, conversation: Conversation, connection: Connection, now: Now) -> bool:
        """Have a dialog move when its turn comes, unless it has, or cannot; tell whether it is to move yet."""
        keys = conversation.keys
        if not isinstance(keys, Initiating) or conversation.row.anonymous:
            return False
        moved = keys.kek is not None and keys.kek.source is MessageKek.THREE_PHASE
        if (moved and not keys.exchange_due(now)) or self._vault.identity is None or self._vault.trust is None:
            return False
        if now.monotonic >= self._not_before.get(conversation, 0.0):
            ours = self._ours.setdefault(connection, _Initiated())
            if ours.state is None or ours.conversation is not conversation:
                ours.waiting[conversation] = None
                self._next(connection, now)
        return True

    def _next(self, connection: Connection, now: Now) -> None:
        ours = self._ours[connection]
        while ours.state is None and ours.waiting and ours.begun < PER_SECOND:
            conversation, _ = ours.waiting.popitem(last=False)
            self._begin(connection, ours, conversation, now)

    def _begin(self, connection: Connection, ours: _Initiated, conversation: Conversation, now: Now) -> None:
        vault, keys = self._vault, conversation.keys
        identity, trust, own = vault.identity, vault.trust, vault.own_prekey(now.wall)
        target = vault.prekey(conversation.row.peer, now.wall)
        if not isinstance(keys, Initiating) or identity is None or trust is None or own is None or target is None:
            return
        moving = None
        if keys.kek is not None:
            row = conversation.row
            moving = Moving(keys.kek.id, row.acknowledged + 1, row.delivered + 1)
        drawn = Randomness(self._entropy(_DRAWN), self._entropy(_DRAWN), self._entropy(_DRAWN))
        dialog_id = conversation.row.dialog_id
        step = begin(connection.path, identity, own, target, trust, Suite.AES_256_GCM, dialog_id, moving, drawn, now)
        ours.begun += 1
        ours.conversation, ours.until = conversation, now.monotonic + AGAIN
        if isinstance(step.state, ExpectPhase2):
            ours.state = step.state
            ours.until = next(each.deadline for each in step.actions if not isinstance(each, Deliver))  # type: ignore[union-attr]  # it is Arm
        self._say_all(connection, step.actions)

    def _say_all(self, connection: Connection, actions: tuple[object, ...]) -> None:
        for action in actions:
            if isinstance(action, Deliver):
                self._say(connection.number, encode_unit(action.result))

    def _second(self, connection: Connection, unit: Phase, now: Now) -> None:
        ours = self._ours.get(connection)
        if ours is None or ours.state is None or ours.conversation is None:
            return
        conversation, keys = ours.conversation, ours.conversation.keys
        step = advance(TRANSITIONS, ours.state, Came2(unit.octets), now)
        ours.state = ours.conversation = None
        if isinstance(step.state, Agreed) and isinstance(keys, Initiating):
            self._say_all(connection, step.actions)
            try:
                keys.move(ThreePhaseSource(self._vault, self._exchanged(step.state.exchanged, here=True, now=now)), now)
            except KeysWanting as error:
                self._failed(conversation, str(error), now)
            else:
                self.completed += 1
                self._moved(conversation, now)
        self._next(connection, now)

    def _failed(self, conversation: Conversation, why: str, now: Now) -> None:
        self.failed += 1
        self._not_before[conversation] = now.monotonic + AGAIN
        conversation.trail.note(now.wall, True, 0, 0, "a three-phase exchange came to nothing", why=why)

    def _exchanged(self, exchanged: Exchanged, *, here: bool, now: Now) -> ExchangedKek:
        """Return what came of an exchange, which was begun ``here`` or by the other end."""
        identity, other = self._vault.identity, Principal.of_voucher(exchanged.voucher)
        if identity is None:
            raise KeysWanting("there is no certificate any more")
        ourselves = Principal.of_identity(identity)
        initiator, target = (ourselves, other) if here else (other, ourselves)
        expires = min(now.wall + LONGEST_KEK, initiator.not_after, target.not_after)
        return ExchangedKek(
            exchanged.exchange_id, exchanged.kek, exchanged.dialog_id, initiator, target, exchanged.voucher, expires
        )

    # -- at the target

    def _first(self, connection: Connection, unit: Phase, now: Now) -> None:
        vault = self._vault
        identity, trust, policy = vault.identity, vault.trust, vault.policy
        if identity is None or trust is None or MessageKek.THREE_PHASE not in policy.sources:
            return
        drawn = Randomness(self._entropy(_DRAWN), self._entropy(_DRAWN), self._entropy(_DRAWN))
        expecting = ExpectPhase1(connection.path, identity, trust, vault.private_prekey, policy.suites, drawn)
        self._say(
            connection.number, self._theirs.first(connection.number, expecting, Came1(unit.path, unit.octets), now)
        )

    def _third(self, connection: Connection, unit: Phase, now: Now) -> None:
        exchanged = self._theirs.third(connection.number, Came3(unit.octets), now)
        if exchanged is not None:
            self.completed += 1
            self._vault.keep_exchanged(self._exchanged(exchanged, here=False, now=now))

    # -- both

    def take(self, connection: Connection, unit: Phase, now: Now) -> SeckexError | None:
        """Take a message of an exchange; return why nothing came of it, if so."""
        try:
            if unit.kind is UnitKind.PHASE1:
                self._first(connection, unit, now)
            elif unit.kind is UnitKind.PHASE2:
                self._second(connection, unit, now)
            else:
                self._third(connection, unit, now)
        except SeckexError as error:
            return error
        return None

    def lost(self, connection: Connection) -> None:
        """Give up what a connection has under way."""
        self._ours.pop(connection, None)
        self._theirs.lost(connection.number)

    def forget(self, conversation: Conversation) -> None:
        """Forget a dialog that is over."""
        self._not_before.pop(conversation, None)
        for ours in self._ours.values():
            ours.waiting.pop(conversation, None)

    def tick(self, now: Now) -> None:
        """Give up what has waited too long, and begin what may; once a second."""
        self._theirs.expire(now)
        for connection, ours in self._ours.items():
            ours.begun = 0
            if ours.state is not None and now.monotonic >= ours.until and ours.conversation is not None:
                self._failed(ours.conversation, "no answer", now)
                ours.state = ours.conversation = None
            self._next(connection, now)
