"""One end of a hop: frames in and out, between a connection and whoever has the octets.

The octets that a passage carries are never put together with their frames. What
is to be sent is said as a list of buffers for ``sendmsg``: `HopEnd.gather` puts
headers and PROOFs beside the caller's own octets, and `HopEnd.sent` tells how
many of these have gone. What comes is received where it belongs: `HopEnd.into`
gives buffers for ``recvmsg_into``, the caller's own space for as many octets as
the DATA under way still has, and one of this end's for what follows; so octets
of large DATA are not copied, and many small DATA are received at once. With a
link as its `Taker` (``space`` and ``received`` are those of `seckex.dialog.link.Link`),
an edge does no more than this::

    hop = HopEnd.calling(admission, nonce, now, taker)  # or HopEnd.called(awaiting, now, taker)

    def flush():  # when the link's outbox has something, and when hop.wants_to_say
        while buffers := hop.gather(outbox.pending(), clock()):
            count = socket.sendmsg(buffers)  # BlockingIOError: have the reactor call again when it is writable
            outbox.sent(hop.sent(count, clock()))
        if hop.ending is not None or hop.said_all: ...  # close, or shut the socket down for writing

    def readable():
        count = socket.recvmsg_into(hop.into())[0]
        hop.took(count, clock()) if count else hop.ended_by_peer()
        flush()  # ACCEPT, the first PROOF or a REFUSE may have to be said

    def every(TICK):
        hop.tick(clock())
        flush()

`HopEnd.ending` tells that the hop is over, and why; what `gather` still gives then (a REFUSE) should be sent
before the connection is closed. Nothing that comes raises. Clocks: ``now`` of `calling` and `called` is both
of them, elsewhere it is the monotonic one.
"""

from __future__ import annotations

from typing import Final

from seckex.errors import ApiMisuse, AuthenticationFailed, Malformed, PeerMisbehaved
from seckex.machine import Deliver, Now, State, advance
from seckex.passage.carrying import Arriving, Leaving
from seckex.passage.faces import MOST_HELD, OPEN_WITHIN, Admission, Admitted, End, Ending, Figures, Party
from seckex.passage.opening import (
    TRANSITIONS,
    Accepted,
    Called,
    Carrying,
    Ended,
    Established,
    ExpectAccept,
    ExpectFirstProof,
    ExpectOpen,
    Proved,
    Refused,
    Stopped,
    begin,
)
from seckex.passage.pieces import Copied, Pieces, Taker
from seckex.passage.sending import Sending
from seckex.wire.numbers import Code
from seckex.wire.passage import HEADER_SIZE, OPEN_SIZE, FrameKind, decode_header

#: What follows the octets of one DATA is received into as much as this: many small frames at once.
SPARE: Final = 4096
#: So many frames are taken at once where they lie: somebody may send nothing but headers, which cost more than octets.
MOST_FRAMES: Final = 64

# What may be wrong with what comes, and how the hop ends for it.
_FAULTS: Final = {Malformed: End.VIOLATED, PeerMisbehaved: End.VIOLATED, AuthenticationFailed: End.FORGED}


class HopEnd:
    """One end of a hop, a caller's or a callee's; made by `calling` and `called`.

    Until it `is_open` a caller sends at most `MOST_HELD` octets, and a callee none; what comes to a callee
    before the first PROOF is ``held``.
    """

    def __init__(self, state: State, now: Now, taker: Taker | None) -> None:
        self._state = state
        self._deadline = now.monotonic + OPEN_WITHIN
        self._wall_ahead = now.wall - now.monotonic
        self._taker: Taker | None = None
        self._pieces: Pieces | None = None
        self.leaving = Leaving()
        self.arriving = Arriving()
        self.held = bytearray()
        self.admitted: Admitted | None = None
        self.calls = False
        self.heard_all = False
        self.crowded = False
        self._established: Established | None = None
        # What comes: octets that the DATA under way still has, and what of the next frame is in the spare buffer.
        self._left = 0
        self._spare = memoryview(b"")
        self._unused = 0
        self._direct: memoryview | None = None
        self._sending = Sending(self.leaving, self.proof)
        if taker is not None:
            self.attach(taker)

    @classmethod
    def calling(cls, admission: Admission, nonce: bytes, now: Now, taker: Taker | None = None) -> HopEnd:
        """Return the end of a caller, whose OPEN is to be said; ``nonce`` is 16 fresh random octets."""
        step = begin(admission, nonce, now)
        hop = cls(step.state, now, taker)
        hop.calls = True
        (opening,) = (action.result for action in step.actions if isinstance(action, Deliver))
        hop._sending.say(opening)
        hop._sending.may_carry = True
        return hop

    @classmethod
    def called(cls, awaiting: ExpectOpen, now: Now, taker: Taker | None = None) -> HopEnd:
        """Return the end of a callee, to which nothing has been said yet."""
        return cls(awaiting, now, taker)

    def __repr__(self) -> str:
        return f"<HopEnd {'caller' if self.calls else 'callee'} {type(self._state).__name__}>"

    def attach(self, taker: Taker) -> None:
        """Have ``taker`` take what comes from now on: a callee's may not be known before OPEN has been taken."""
        self._taker = taker
        self._pieces = Copied(taker)
        self._spare = memoryview(bytearray(SPARE))

    # What can be asked.

    @property
    def is_open(self) -> bool:
        """Whether both ends have proved their key, and the hop has not ended."""
        return type(self._state) is Carrying

    @property
    def ending(self) -> Ending | None:
        """How the hop has ended, None while it has not."""
        return self._state.ending if isinstance(self._state, Ended) else None

    @property
    def ident(self) -> bytes:
        """What both ends call this hop, empty before it was accepted."""
        return b"" if self._established is None else self._established.keys.ident

    @property
    def between_frames(self) -> bool:
        """Whether no DATA is under way of what comes."""
        return not self._left

    @property
    def wants_to_say(self) -> bool:
        """Whether `gather` has something to send besides the caller's octets."""
        return self._sending.wanted

    @property
    def said_all(self) -> bool:
        """Whether this end's direction has ended (`finish`), the last PROOF being sent."""
        return self._sending.done

    def figures(self, who: Party, began: float, wall: float) -> Figures:
        """Return what the hop has amounted to; ``wall`` is when it ended, if it has."""
        outward, inward = self.leaving.octets(), self.arriving.octets()
        if not self.calls:
            outward, inward = inward, outward
        ending = self.ending
        if ending is None:
            return Figures(self.ident, who, began, outward, inward)
        return Figures(self.ident, who, began, outward, inward, wall, str(ending))

    # What goes.

    def gather(self, payload: memoryview, now: float) -> list[bytes | memoryview]:
        """Return the buffers that are to be sent next, none if nothing can be: ``payload`` is what the caller has."""
        return self._sending.gather(payload, now)

    def sent(self, count: int, now: float) -> int:
        """Take note that so many octets of what `gather` gave have gone; return how many of them are the caller's."""
        return self._sending.sent(count, now)

    def proof(self, now: float) -> bytes:
        """Return a PROOF over what was sent, which has to stand where all of that has gone and no DATA is under way."""
        received = self.arriving.carried
        self.arriving.acknowledged = received
        return self.leaving.proof(received, now)

    def finish(self) -> None:
        """End this direction, of which all octets have been sent, with a last PROOF."""
        sending = self._sending
        if not sending.finishing and self.ending is None:
            sending.finishing = True
            sending.owed = self.is_open

    # What comes.

    def into(self) -> list[memoryview]:
        """Return buffers to receive into, the taker's among them; `took` must follow before anything else."""
        left = self._left
        spare = self._spare[self._unused :]
        if not left or not self.is_open or self._taker is None:
            self._direct = None
            return [spare]
        direct = self._direct = self._taker.space()[:left]
        # What comes behind the space still belongs to the DATA under way where that is longer.
        return [direct] if len(direct) < left else [direct, spare]

    def took(self, count: int, now: float) -> None:
        """Take so many octets, one at least, that have come into `into`."""
        direct, taker = self._direct, self._taker
        if taker is None or self._pieces is None:
            raise ApiMisuse("without a taker octets are taken where they lie")
        if direct is not None:
            self._direct = None
            here = min(count, len(direct))
            try:
                self.arriving.cover(direct[:here], now)
            except PeerMisbehaved as error:
                self._fail(error)
                return
            self._left -= here
            count -= here
            taker.received(here)
        end = self._unused + count
        used = 0
        while used < end and self.ending is None:
            more = self.take(self._spare[used:end], now, self._pieces)
            used += more
            if self.held and self.is_open:
                held, self.held = self.held, bytearray()
                self._pieces.payload(memoryview(held), now)
            elif not more:
                break
        self._unused = end - used
        if used and self._unused:
            self._spare[: self._unused] = bytes(self._spare[used:end])

    def take(self, view: memoryview, now: float, pieces: Pieces) -> int:
        """Take what has come, where it lies, and return how many octets: what is left is no whole frame.

        It has to be given again, with what follows it. Taking also stops where the hop opens or ends, of which
        `is_open` and `ending` tell; what was ``held`` until then is left to the caller. And it stops after
        `MOST_FRAMES`, where ``crowded`` tells that what is left may be given again at once.
        """
        at, end = 0, len(view)
        frames = MOST_FRAMES
        self.crowded = False
        try:
            # Whoever takes octets may end the hop.
            while at < end and type(self._state) is not Ended:
                left = self._left
                if left:
                    stop = min(at + left, end)
                    self._octets(view[at:stop], now, pieces)
                    self._left -= stop - at
                    at = stop
                    continue
                if type(self._state) is ExpectOpen:
                    if end - at < OPEN_SIZE:
                        break
                    self._step(Called(bytes(view[at : at + OPEN_SIZE])), self._now(now))
                    at += OPEN_SIZE
                    break
                if end - at < HEADER_SIZE:
                    break
                if not frames:
                    self.crowded = True
                    break
                frames -= 1
                kind, length = decode_header(view, at)
                if kind is FrameKind.DATA:
                    self._check_data(length)
                    self._left = length
                    at += HEADER_SIZE
                    continue
                size = HEADER_SIZE + length
                if end - at < size:
                    break
                place = view[at : at + size]
                if kind is FrameKind.PROOF:
                    opened = self._proof(place, now, pieces)
                    at += size
                    if opened:
                        break
                    continue
                self._answer(kind, bytes(place), now)
                at += size
                break
        except (Malformed, PeerMisbehaved, AuthenticationFailed) as error:
            self._fail(error)
        return at

    def _octets(self, octets: memoryview, now: float, pieces: Pieces) -> None:
        self.arriving.cover(octets, now)
        if type(self._state) is Carrying:
            pieces.payload(octets, now)
        else:
            self.held += octets

    def _check_data(self, length: int) -> None:
        state = type(self._state)
        if state is ExpectFirstProof:
            if self.arriving.carried + length > MOST_HELD:
                raise PeerMisbehaved(Code.PROTOCOL_ERROR, f"more than {MOST_HELD} octets before the first PROOF")
        elif state is not Carrying:
            raise PeerMisbehaved(Code.PROTOCOL_ERROR, "DATA before ACCEPT")

    def _proof(self, place: memoryview, now: float, pieces: Pieces) -> bool:
        """Take a PROOF; tell whether it opens the hop."""
        state = type(self._state)
        if state is not Carrying and state is not ExpectFirstProof:
            raise PeerMisbehaved(Code.PROTOCOL_ERROR, "a PROOF before ACCEPT")
        self.arriving.verify(place, self.leaving)
        if state is ExpectFirstProof:
            self._step(Proved(), self._now(now))
            return True
        pieces.proof(place, now)
        return False

    def _answer(self, kind: FrameKind, octets: bytes, now: float) -> None:
        state = type(self._state)
        if not self.calls:
            raise PeerMisbehaved(Code.PROTOCOL_ERROR, f"{kind.name} from a caller")
        if kind is FrameKind.REFUSE:
            self._step(Refused(octets), self._now(now))
        elif state is ExpectAccept:
            self._step(Accepted(octets), self._now(now))
        else:
            raise PeerMisbehaved(Code.PROTOCOL_ERROR, "a second ACCEPT")

    def ended_by_peer(self) -> bool:
        """Take note of the end of what comes; tell whether it is orderly: all is proved, and no frame under way."""
        if self.ending is None:
            arriving = self.arriving
            if not self.is_open or self._left or self._unused or arriving.carried != arriving.proved:
                self.lost("the connection ended before all was said and proved")
                return False
            self.heard_all = True
        return self.heard_all

    # The rest of what the edge tells.

    def tick(self, now: float) -> None:
        """Do what is due: a PROOF is owed, or the time that the other end has is over."""
        if self.ending is not None:
            return
        if not self.is_open:
            if now >= self._deadline:
                awaited = "OPEN" if type(self._state) is ExpectOpen else "ACCEPT" if self.calls else "the first PROOF"
                self.stop(Ending(End.TIMED_OUT, Code.AGENT_TIMEOUT, f"{awaited} did not come in {OPEN_WITHIN:.0f} s"))
        elif self.arriving.overdue(now):
            self.stop(Ending(End.VIOLATED, Code.PROTOCOL_ERROR, "octets were not proved in time"))
        elif self._taker is not None and self.leaving.due(now):
            # Without a taker this is an agent's, which has nothing to prove but what was proved to it.
            self._sending.owed = True

    def finished(self) -> None:
        """End the hop in an orderly way: both directions have ended."""
        self.stop(Ending(End.FINISHED))

    def refuse(self, code: int, why: str = "") -> None:
        """End the hop with a REFUSE, if this is a callee that has accepted and no DATA of its own is under way."""
        established = self._established
        if self.ending is None:
            if established is not None and not self.calls:
                self._sending.refuse(established.refusal(code))
            self.stop(Ending(End.CLOSED, code, why))

    def lost(self, why: str) -> None:
        """Take note that the connection is gone."""
        self.stop(Ending(End.LOST, why=why))

    def stop(self, ending: Ending) -> None:
        """End the hop; nothing happens if it has ended."""
        if self.ending is None:
            self._step(Stopped(ending), self._now(0.0))

    def _fail(self, error: Malformed | PeerMisbehaved | AuthenticationFailed) -> None:
        end = next(end for fault, end in _FAULTS.items() if isinstance(error, fault))
        self.stop(Ending(end, Code.PROTOCOL_ERROR, str(error)))

    def _now(self, monotonic: float) -> Now:
        return Now(monotonic, monotonic + self._wall_ahead)

    def _step(self, event: Called | Accepted | Refused | Proved | Stopped, now: Now) -> None:
        step = advance(TRANSITIONS, self._state, event, now)
        before, state = self._state, step.state
        self._state = state
        for action in step.actions:
            if isinstance(action, Deliver):
                self._sending.say(action.result)
        if isinstance(state, ExpectFirstProof):
            self.admitted = state.admitted
            self._deadline = now.monotonic + OPEN_WITHIN
            self._establish(state.established)
        elif isinstance(state, Carrying):
            if isinstance(before, ExpectAccept):
                self._establish(state.established)
                self._sending.owed = True
            self._sending.may_carry = self._sending.proves = True
        elif isinstance(state, Ended):
            self._sending.stop()

    def _establish(self, established: Established) -> None:
        self._established = established
        keys = established.keys
        mine, other = (keys.caller, keys.callee) if self.calls else (keys.callee, keys.caller)
        self.leaving.begin(mine)
        self.arriving.begin(other)
