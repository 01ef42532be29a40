"""A link: one connection between two principals, from its first octet to its last.

A `Link` is fed what comes (`Link.space` and `Link.received`, or `Link.receive`)
and leaves what is to be sent in `Link.outbox`, telling its edge by ``flush``.
Keys are agreed by the states of `seckex.dialog.handshake`; then a `Carriage`
does the work (docs/protocol.md, section 10).

Nothing that comes makes `Link.received` raise. Before the peer has proved its
keys, what cannot be read closes the link in silence. Afterwards a record that
cannot be read, does not verify or breaks a rule is answered with CLOSE, code
305, and the reason.

The dialogs of a link that has ended wait in the `DialogTables` for another one.
They are lost with it where one of the daemons ends (code 306), and where the
peer itself has broken a rule.

Bounds: 2 KiB are buffered for a peer that has proved nothing; a peer that makes
records necessary and does not read them is `Link.congested` and should not be
read from for the time being.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from seckex.crypto.keylog import link_line
from seckex.dialog.carriage import FAULTS, Carriage
from seckex.dialog.faces import Cause, Closure, DeadPeer, LinkAssociation, LinkOwner, Sink
from seckex.dialog.handshake import (
    TRANSITIONS,
    Arrived,
    Closed,
    ExpectHelloOfInitiator,
    ExpectHelloOfResponder,
    ExpectProof,
    Open,
    Proved,
    Stopped,
    begin,
)
from seckex.dialog.outlet import WORTH_SENDING
from seckex.dialog.record import Inbox, Octets, Outbox
from seckex.dialog.stream import Dialog
from seckex.dialog.table import DialogTables
from seckex.errors import ApiMisuse, AuthenticationFailed, Malformed, PeerMisbehaved
from seckex.machine import Deliver, Now, State, Step, advance
from seckex.wire.dialog import MAX_SMALL_RECORD, Hello, Opening, decode_record, record_size
from seckex.wire.numbers import MAGIC, Code, Role

# A peer is not read from while more than this waits for it in the outbox: more than DATA alone can make.
MOST_WAITING: Final = 2 * WORTH_SENDING

_MAGIC: Final = MAGIC.to_bytes(2, "big")


def _at_once(call: Callable[[], None]) -> None:
    call()


class Link:
    """One end of a link.

    ``limits`` is what this side allows the peer, ``salt`` 16 fresh random
    octets, ``clock`` gives nanoseconds since 1970. ``flush`` is called when
    the outbox holds something that should leave now: it is to send from the
    outbox what the transport takes, and if a rest stays there, `drained` is to
    be called when that has gone. ``soon`` makes a call when the present turn of
    the event loop is over, so that records can be filled; without it, at once.
    An initiator is given its ``association``, a responder a way to ``find`` one
    by the SPI in a HELLO; `association` is the link's as soon as it is known,
    also when the link is closed. ``dialogs`` has those that outlive their links;
    without it they end with this one. ``key_log`` is given the line of the link's keys
    (`seckex.crypto.keylog`) when they are known; without it, nothing ever shows them. An initiator's
    outbox holds its HELLO from the beginning, without a call of ``flush``.
    """

    def __init__(
        self,
        *,
        owner: LinkOwner,
        limits: Hello,
        salt: bytes,
        clock: Callable[[], int],
        flush: Callable[[], None],
        soon: Callable[[Callable[[], None]], object] | None = None,
        association: LinkAssociation | None = None,
        find: Callable[[int], LinkAssociation | None] | None = None,
        dialogs: DialogTables | None = None,
        key_log: Callable[[str], object] | None = None,
    ) -> None:
        if limits.credit < 1:
            raise ApiMisuse("without credit no dialog could carry anything")
        #: When it was made, as the clock has it.
        self.made_at = clock()
        self.outbox = Outbox()
        self.flush = flush
        self._owner = owner
        self._limits = limits
        self._clock = clock
        self.inbox = Inbox()
        self._soon = _at_once if soon is None else soon
        self._key_log = key_log
        self._tables = DialogTables(0, 0) if dialogs is None else dialogs
        self._carriage: Carriage | None = None
        self._heard = (0, 0)
        self._silent = 0
        self._said = self._told = self._mute = 0
        self.use_inbox: Callable[[], None] = self._shake_hands
        self.association: LinkAssociation | None = None
        self._state: State
        if association is not None:
            self.role = Role.INITIATOR
            self._take_step(begin(salt, association, limits, self._now()))
        elif find is not None:
            self.role = Role.RESPONDER
            self._state = ExpectHelloOfInitiator(salt, limits, find)
        else:
            raise ApiMisuse("a link needs an association, or a way to find one")

    def __repr__(self) -> str:
        return f"<Link {self.role.name} {type(self._state).__name__}>"

    # What can be asked.

    @property
    def is_open(self) -> bool:
        """Whether the peer has proved its keys and the link is not closed."""
        return isinstance(self._state, Open)

    @property
    def closure(self) -> Closure | None:
        """How the link ended, None while it has not."""
        return self._state.closure if isinstance(self._state, Closed) else None

    @property
    def dialogs(self) -> tuple[Dialog, ...]:
        """The dialogs that are going on."""
        return () if self._carriage is None else self._carriage.dialogs

    @property
    def takes_over(self) -> bool:
        """Whether the peer has not answered yet for a dialog that another link had."""
        return any(not dialog.carrier.carries for dialog in self.dialogs)

    @property
    def octets_in(self) -> int:
        """Octets that dialogs on this link have received so far."""
        return 0 if self._carriage is None else self._carriage.octets_in

    @property
    def octets_out(self) -> int:
        """Octets that dialogs on this link have sent so far."""
        return 0 if self._carriage is None else self._carriage.octets_out

    @property
    def carried(self) -> int:
        """Octets of bodies so far, both ways together: what the association is charged with."""
        return 0 if self._carriage is None else self._carriage.carried

    @property
    def congested(self) -> bool:
        """Whether the peer should not be read from until the outbox is empty."""
        return len(self.outbox) > MOST_WAITING

    # What the edge tells.

    def space(self) -> memoryview:
        """Return where the next octets are to be put; `received` must follow before anything else."""
        return self.inbox.space()

    def received(self, count: int) -> None:
        """Take ``count`` octets that were put into `space`."""
        self.inbox.end += count
        self.use_inbox()

    def receive(self, octets: Octets) -> None:
        """Take octets that are somewhere else."""
        view = memoryview(octets)
        while view and self.closure is None:
            space = self.space()
            count = min(len(space), len(view))
            space[:count] = view[:count]
            view = view[count:]
            self.received(count)

    def drained(self) -> None:
        """Go on: the outbox, from which a flush could not take everything, is empty now."""
        if self._carriage is not None:
            self._carriage.drained()

    def expire(self) -> None:
        """Close the link if the peer has not proved its keys: the time for that is over."""
        if not self.is_open:
            self._stop(Closure(Cause.TIMED_OUT))

    def tick(self, dead_peer: DeadPeer) -> None:
        """Let a second pass: a peer from which nothing comes is asked, and after a while dead.

        A peer that sends and hears nothing of it is asked too, four times as
        soon: its own question may wait behind what it sends.
        """
        carriage = self._carriage
        if carriage is None or not self.is_open:
            return
        heard = carriage.heard
        self._silent = self._silent + 1 if heard == self._heard else 0
        self._heard = heard
        if self._silent == dead_peer.idle:
            self.ping()
        elif self._silent >= dead_peer.idle + dead_peer.timeout:
            self._stop(Closure(Cause.DEAD, text=f"nothing has come for {self._silent} s"))
        if carriage.said != self._said:
            self._said, self._told, self._mute = carriage.said, carriage.told, 0
        elif carriage.told != self._told:
            self._mute += 1
            if self._mute >= dead_peer.idle / 4:
                self.ping()

    def disconnected(self, text: str) -> None:
        """Note that the connection is gone; nothing happens if the link is closed already."""
        self._stop(Closure(Cause.LOST, text=text))

    # What the owner wants.

    def open(self, service: str, dialog_id: bytes, sink: Sink) -> Dialog:
        """Open a dialog with ``service`` at the peer; ``dialog_id`` is 16 fresh random octets.

        Raises `PeerIncompatible` at the peer's limit of dialogs, `ApiMisuse`
        if the link is not open.
        """
        if self._carriage is None or not self.is_open:
            raise ApiMisuse("the link is not open")
        return self._carriage.open(Opening(dialog_id, service), sink)

    def ping(self, octets: bytes = b"") -> None:
        """Make the peer send something, if the link is open."""
        if self._carriage is not None and self.is_open:
            self._carriage.ping(octets)

    def close(self, code: Code = Code.SHUTTING_DOWN, text: str = "") -> None:
        """Close the link, and lose its dialogs; nothing happens if it is closed already."""
        self._stop(Closure(Cause.CLOSED, code, text), say=True)

    # What the carriage reports.

    def proved(self) -> None:
        """Open the link of a responder: a first record has verified."""
        if isinstance(self._state, ExpectProof):
            self._advance(Proved())
            self._begin()

    def offered(self, dialog: Dialog) -> None:
        """Pass on a dialog that the peer asks for."""
        self._owner.dialog_offered(self, dialog)

    def soon(self, call: Callable[[], None]) -> None:
        """Have ``call`` made when this turn is over."""
        self._soon(call)

    def idle(self) -> None:
        """Pass on that the last dialog is gone."""
        self._owner.link_idle(self)

    def worn(self) -> None:
        """Pass on that most of what may be carried is used up."""
        self._owner.link_worn(self)

    def closing(self, closure: Closure) -> None:
        """Close: the peer said CLOSE, or what may be carried is used up."""
        self._stop(closure, say=closure.cause is not Cause.CLOSED_BY_PEER)

    def broken(self, error: Exception) -> None:
        """Close: what came cannot be read, does not verify or breaks a rule."""
        proved = self.is_open
        if isinstance(error, AuthenticationFailed):
            cause = Cause.VIOLATED if proved else Cause.FORGED
        else:
            cause = Cause.VIOLATED if proved else Cause.MALFORMED
        self._stop(Closure(cause, Code.PROTOCOL_ERROR, str(error)), say=proved, lost=isinstance(error, PeerMisbehaved))

    # The rest.

    def _now(self) -> Now:
        # A link arms no timer: only the wall clock is asked, for creation times.
        return Now(monotonic=0.0, wall=self._clock() / 1_000_000_000)

    def _take_step(self, step: Step) -> None:
        state = self._state = step.state
        if isinstance(state, ExpectHelloOfResponder):
            self.association = state.association
        elif isinstance(state, ExpectProof | Open):
            self.association = state.established.association
        for action in step.actions:
            if isinstance(action, Deliver):
                self.outbox.append(action.result)

    def _advance(self, event: Arrived | Proved | Stopped) -> None:
        self._take_step(advance(TRANSITIONS, self._state, event, self._now()))

    def _shake_hands(self) -> None:
        try:
            self._take_hello()
        except FAULTS as error:
            self.broken(error)

    def _take_hello(self) -> None:
        pending = self.inbox.pending()
        if bytes(pending[:2]) != _MAGIC[: len(pending)]:
            self._stop(Closure(Cause.FOREIGN))
            return
        size = record_size(pending)
        if size is not None and size > MAX_SMALL_RECORD:
            raise Malformed("Body length", 8, "too long for a first record")
        if size is None or len(pending) < size:
            return
        record = decode_record(bytes(pending[:size]))
        self.inbox.start += size
        self._advance(Arrived(record))
        self.flush()
        state = self._state
        if isinstance(state, Closed):
            self.use_inbox = self._ignore
            self._owner.link_closed(self, state.closure)
        elif isinstance(state, ExpectProof | Open):
            if self._key_log is not None:
                established = state.established
                self._key_log(link_line(established.association.schedule, *established.salts))
            self._carriage = carriage = Carriage(
                state.established,
                self.role,
                self._limits,
                self.inbox,
                self.outbox,
                self._clock,
                self._tables,
                self,
            )
            self.use_inbox = carriage.receive
            if isinstance(state, Open):
                self.ping()
                self._begin()
            # More may have come with the HELLO; a program may have closed the link by now.
            self.use_inbox()

    def _begin(self) -> None:
        carriage = self._carriage
        if carriage is not None:
            carriage.begin()
            self._owner.link_opened(self)

    def _ignore(self) -> None:
        self.inbox.start = self.inbox.end

    def _stop(self, closure: Closure, say: bool = False, lost: bool = False) -> None:
        if self.closure is not None:
            return
        carriage = self._carriage
        if say and carriage is not None:
            carriage.say_close(closure.code, closure.text)
        # What came may not be used up yet; the last words leave before the edge disconnects.
        self.flush()
        self._advance(Stopped(closure))
        self.use_inbox = self._ignore
        if carriage is not None:
            ends = closure.code == Code.SHUTTING_DOWN and closure.cause in (Cause.CLOSED, Cause.CLOSED_BY_PEER)
            carriage.end(str(closure), lost=lost or ends, peer_ends=ends)
        self._owner.link_closed(self, closure)
