"""Both machines by their tables: every state with every event, and rubbish in each."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, Final

from attrs import evolve, frozen
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.authority import Key0
from seckex.crypto.secrets import Secret
from seckex.crypto.suites import SHA256
from seckex.errors import ApiMisuse, SeckexError, StoreFailed
from seckex.exchange import initiator, responder
from seckex.exchange.attempt import (
    FORGOTTEN_AFTER,
    GIVE_UP,
    Answer,
    CookieAsked,
    OtherVersions,
    TcpAsked,
    Unknown,
    Unreachable,
)
from seckex.exchange.messages import Received
from seckex.exchange.terms import Terms
from seckex.exchange.transcript import Transcript
from seckex.machine import (
    Now,
    Path,
    Persist,
    PersistConflict,
    Persisted,
    PersistFailed,
    Send,
    State,
    Step,
    Tick,
    Transitions,
    Work,
    Worked,
    advance,
)
from seckex.sa.policy import Policy
from seckex.wire.general import decode_message
from seckex.wire.numbers import MAX_DATAGRAM, Kind
from tests.conversation import AES, CHACHA, HOME, NODE, policy, proposal
from tests.exchange.test_faults import NOTHING, TWO_ROUNDS
from tests.groups import HEAVY, naming, using
from tests.link import flipped
from tests.pump import KEY, KEY0_SPI, WALL

NOW: Final = Now(100.0, WALL)
PATH: Final = Path("192.0.2.7", 4434)
BOTH: Final = {"initiator": initiator.TRANSITIONS, "responder": responder.TRANSITIONS}
#: Two rounds in a group whose every step is done aside.
HEAVY_ROUNDS: Final = policy(
    proposal(using(HEAVY, "chacha20-poly1305")),
    proposal(using(HEAVY)),
    open_with=1,
    groups={HEAVY.fingerprint: HEAVY},
)
HINTS: Final = (
    OtherVersions((7,), str(PATH)),
    CookieAsked(bytes(21)),
    TcpAsked(bytes(32)),
    Unknown(str(PATH)),
    Unreachable("the name does not resolve"),
)
STORE_EVENTS: Final = (Persisted(), PersistConflict(), PersistFailed("disk full"))


class Talk:
    """One conversation without a node: the state of both machines before each event, and what was said."""

    def __init__(self, ours: Policy = AES, theirs: Policy = AES, seed: int = 1) -> None:
        entropy = random.Random(seed).randbytes  # noqa: S311  # has to repeat itself
        key0 = Key0(Secret(KEY), KEY0_SPI, 1, (NODE, HOME))
        self.ours, self.theirs = Terms(NODE, HOME, key0, ours, entropy), Terms(HOME, NODE, key0, theirs, entropy)
        self.first = responder.ExpectOffer(self.theirs, Transcript.between(NODE, HOME))
        self.seen: dict[str, set[tuple[type, type, type]]] = {"initiator": set(), "responder": set()}
        self.states: dict[str, list[State]] = {"initiator": [], "responder": [self.first]}
        self.said: dict[Kind, Received] = {}

    def drive(self, role: str, state: State, event: object, now: Now = NOW) -> Step:
        """Advance, and take note of the transition and of what was said."""
        step = advance(BOTH[role], state, event, now)
        self.seen[role].add((type(state), type(event), type(step.state)))
        self.states[role].append(step.state)
        for action in step.actions:
            if isinstance(action, Send):
                received = Received(decode_message(action.octets), action.octets)
                self.said[received.header.kind] = received
        return step

    def offered(self) -> responder.Offered:
        """Return the event of the last offer."""
        received = self.said[Kind.OFFER]
        path = PATH._replace(tcp=len(received.octets) > MAX_DATAGRAM)
        return responder.Offered(received, path, SHA256.digest(received.octets))

    def offered_first(self) -> responder.Offered:
        """Make the first offer and return the event of it."""
        self.begin()
        return self.offered()

    def begin(self) -> State:
        """Make the first offer."""
        step = initiator.begin(self.ours, PATH, NOW)
        for action in step.actions:
            if isinstance(action, Send):
                self.said[Kind.OFFER] = Received(decode_message(action.octets), action.octets)
        self.states["initiator"].append(step.state)
        return self.worked("initiator", step)

    def worked(self, role: str, step: Step) -> State:
        """Do the work that a step asks for, if any, and return the state after it."""
        for action in step.actions:
            if isinstance(action, Work):
                return self.drive(role, step.state, Worked(action.call())).state
        return step.state

    def answered(self, ours: State, theirs: State, kind: Kind) -> tuple[State, State]:
        """Have the last offer answered with a message of ``kind``, and the answer taken."""
        theirs = self.worked("responder", self.drive("responder", theirs, self.offered()))
        theirs = self.drive("responder", theirs, Persisted()).state
        return self.worked("initiator", self.drive("initiator", ours, Answer(self.said[kind]))), theirs

    def whole(self) -> None:
        """Have it go its usual way to an association that both know of."""
        ours, theirs = self.begin(), self.first
        if self.ours.policy.open_with:
            ours, theirs = self.answered(ours, theirs, Kind.COUNTER)  # type: ignore[assignment]  # states differ in class
        ours, theirs = self.answered(ours, theirs, Kind.CHOICE)  # type: ignore[assignment]  # states differ in class
        ours = self.drive("initiator", ours, Persisted()).state
        theirs = self.drive("responder", theirs, responder.Confirmed(self.said[Kind.CONFIRM], PATH)).state  # type: ignore[assignment]  # the same
        self.drive("responder", theirs, Persisted())
        ours = self.drive("initiator", ours, Answer(self.said[Kind.CONFIRMED])).state
        self.drive("initiator", ours, Persisted())


@frozen
class Stranger:
    """An event of no machine."""


def states() -> dict[str, dict[type, State]]:
    """Return a state of each class of both machines, out of one conversation."""
    talk, heavy = Talk(), Talk(HEAVY_ROUNDS, naming(HEAVY))
    talk.whole()
    heavy.whole()
    return {
        role: {type(state): state for state in reversed((*found, *heavy.states[role]))}
        for role, found in talk.states.items()
    }


def messages() -> list[Received]:
    """Return a message of each kind, from other conversations than that of `states`."""
    found: list[Received] = []
    for seed, (ours, theirs) in enumerate(((AES, AES), (TWO_ROUNDS, AES)), start=2):
        talk = Talk(ours, theirs, seed)
        talk.whole()
        found += talk.said.values()
    for ours, theirs, kind in ((AES, NOTHING, Kind.REFUSAL), (CHACHA, AES, Kind.COUNTER)):
        talk = Talk(ours, theirs, 9)
        talk.answered(talk.begin(), talk.first, kind)
        found += talk.said.values()
    return found


def events_of(received: Received) -> Iterator[object]:
    """Yield a message as each event that carries one."""
    yield Answer(received)
    yield responder.Offered(received, PATH, SHA256.digest(received.octets))
    yield responder.Offered(received, PATH, SHA256.digest(received.octets), full="the table of everything is")
    yield responder.Abandoned(received)
    yield responder.Confirmed(received, PATH)


def all_events() -> list[object]:
    """Return every event there is, those with messages once for each kind of message."""
    carried = [event for received in messages() for event in events_of(received)]
    return [*carried, *HINTS, Tick(), Worked(None), *STORE_EVENTS, responder.Proved(), Stranger()]


class TableTests(SynchronousTestCase):
    def test_each_state_of_the_tables_occurs(self) -> None:
        for role, table in BOTH.items():
            self.assertEqual(set(states()[role]), set(table))

    def test_an_event_that_the_table_does_not_have_is_a_misuse(self) -> None:
        tried = 0
        for role, table in BOTH.items():
            for kind, state in states()[role].items():
                for event in all_events():
                    if type(event) not in table[kind]:
                        self.assertRaises(ApiMisuse, advance, table, state, event, NOW)
                        tried += 1
        self.assertGreater(tried, 300)

    def test_messages_of_other_conversations_leave_each_state_as_it_is(self) -> None:
        for role, table in BOTH.items():
            for kind, state in states()[role].items():
                for received in messages():
                    for event in events_of(received):
                        # A first offer is good for whoever awaits one; that is what it is for.
                        fresh = isinstance(event, responder.Offered) and received.header.kind is Kind.OFFER
                        if type(event) in table[kind] and not fresh:
                            self.stays(table, state, event)

    def test_messages_of_the_conversation_are_taken_for_nothing_else(self) -> None:
        talk = Talk(TWO_ROUNDS, AES)
        talk.whole()
        right = {
            (initiator.ExpectAnswer, Kind.COUNTER), (initiator.ExpectAnswer, Kind.CHOICE),
            (initiator.ExpectConfirmed, Kind.CONFIRMED),
            (responder.ExpectOffer, Kind.OFFER), (responder.ExpectConfirm, Kind.CONFIRM),
        }  # fmt: skip
        for role, table in BOTH.items():
            for state in talk.states[role]:
                for kind, received in talk.said.items():
                    for event in events_of(received):
                        if type(event) in table[type(state)] and (type(state), kind) not in right:
                            self.stays(table, state, event)

    def test_messages_of_the_conversation_that_are_damaged_leave_each_state_as_it_is(self) -> None:
        talk = Talk()
        talk.whole()
        for role, table in BOTH.items():
            for state in talk.states[role]:
                for received in talk.said.values():
                    for bit in range(8 * 16, 8 * len(received.octets), 61):
                        octets = flipped(received.octets, bit)
                        try:
                            damaged = Received(decode_message(octets), octets)
                        except SeckexError:
                            continue
                        for event in events_of(damaged):
                            if type(event) in table[type(state)]:
                                self.stays(table, state, event)

    def stays(self, table: Transitions, state: State, event: object) -> None:
        """Check that an event either raises what is raised on purpose or has the state stay, with nothing done."""
        before = repr(state)
        try:
            step = advance(table, state, event, NOW)
        except ApiMisuse:
            raise
        except SeckexError:
            pass
        else:
            self.assertIs(step.state, state, (state, event))
            self.assertEqual(step.actions, ())
        self.assertEqual(repr(state), before)

    def test_a_step_to_a_state_that_the_table_does_not_have_is_a_misuse(self) -> None:
        class Rogue:
            def receive(self, _event: object, _now: Now) -> Step:
                return Step(initiator.Finished())

        table: Transitions = {Rogue: {Tick: frozenset({Rogue})}}
        self.assertRaises(ApiMisuse, advance, table, Rogue(), Tick(), NOW)
        self.assertRaises(ApiMisuse, advance, {}, Rogue(), Tick(), NOW)


class TransitionTests(SynchronousTestCase):
    """Each transition of the tables happens: none of them is there for nothing."""

    def expected(self, role: str) -> set[tuple[type, type, type]]:
        return {
            (state, event, after)
            for state, events in BOTH[role].items()
            for event, nexts in events.items()
            for after in nexts
        }

    def test_initiator(self) -> None:
        talk = Talk(TWO_ROUNDS, AES)
        talk.whole()
        refused = Talk(AES, NOTHING)
        refused.answered(refused.begin(), refused.first, Kind.REFUSAL)
        found = {type(state): state for state in reversed(talk.states["initiator"])}
        late = Now(NOW.monotonic + GIVE_UP, NOW.wall)
        talk.drive("initiator", found[initiator.ExpectAnswer], Tick(), late)
        talk.drive("initiator", found[initiator.ExpectConfirmed], Tick(), late)
        renewing: Any = found[initiator.ExpectAnswer]
        attempt = renewing.attempt
        renewing = evolve(renewing, attempt=evolve(attempt, terms=evolve(attempt.terms, replaces=0x5678)))
        talk.drive("initiator", renewing, Unknown(str(PATH)))
        for state, there in found.items():
            for event in (*STORE_EVENTS, *HINTS, Tick()):
                if type(event) in initiator.TRANSITIONS[state]:
                    talk.drive("initiator", there, event)
            if state.__name__ in ("ExpectStored", "ExpectMarked", "Finished"):
                talk.drive("initiator", there, Answer(talk.said[Kind.CHOICE]))
        heavy = self.heavy()
        seen = talk.seen["initiator"] | refused.seen["initiator"] | heavy.seen["initiator"]
        self.assertEqual(self.expected("initiator"), seen)

    def heavy(self) -> Talk:
        """Return a conversation whose initiator has been through all that takes work."""
        talk = Talk(HEAVY_ROUNDS, naming(HEAVY))
        talk.whole()
        found = {type(state): state for state in talk.states["initiator"]}
        failed = Worked(StoreFailed("no memory"))
        for kind in (initiator.ExpectShares, initiator.ExpectSecret):
            talk.drive("initiator", found[kind], failed)
        talk.drive("initiator", found[initiator.ExpectStored], PersistConflict())
        # A responder that has forgotten the exchange: it is begun anew.
        ours = found[initiator.ExpectAnswer]
        for _ in range(FORGOTTEN_AFTER):
            ours = talk.drive("initiator", ours, Tick()).state
        # One that chooses what this initiator does not allow.
        short = naming(HEAVY)
        theirs = evolve(short, proposals=tuple(evolve(p, lifetime=600) for p in short.proposals))
        strict = Talk(evolve(short, shortest_lifetime=3000), theirs)
        strict.answered(strict.begin(), strict.first, Kind.CHOICE)
        talk.seen["initiator"] |= strict.seen["initiator"]
        return talk

    def test_responder(self) -> None:
        talk = Talk(TWO_ROUNDS, AES)
        talk.whole()
        found = {type(state): state for state in reversed(talk.states["responder"])}
        full = evolve(Talk().offered_first(), full="the table of everything is")
        talk.drive("responder", talk.first, full)
        for state, there in found.items():
            for event in (*STORE_EVENTS, Tick(), responder.Proved()):
                if type(event) in responder.TRANSITIONS[state]:
                    talk.drive("responder", there, event)
        refused = Talk(AES, NOTHING)
        refused.answered(refused.begin(), refused.first, Kind.REFUSAL)
        abandoned = Talk(CHACHA, AES)
        _, theirs = abandoned.answered(abandoned.begin(), abandoned.first, Kind.COUNTER)
        abandoned.drive("responder", theirs, responder.Abandoned(abandoned.said[Kind.ABANDON]))
        heavy = Talk(HEAVY_ROUNDS, naming(HEAVY))
        heavy.whole()
        seen = (
            heavy.seen["responder"] | talk.seen["responder"] | refused.seen["responder"] | abandoned.seen["responder"]
        )
        self.assertEqual(self.expected("responder"), seen)


class LateTests(SynchronousTestCase):
    def test_what_a_finished_conversation_is_told_does_not_matter(self) -> None:
        for finished in (initiator.Finished(), responder.Finished()):
            event: Any = Tick()
            self.assertEqual(finished.receive(event, NOW), Step(finished))

    def test_each_step_that_must_last_says_so(self) -> None:
        talk = Talk()
        ours = talk.begin()
        step = talk.drive("responder", talk.first, talk.offered())
        self.assertEqual([type(action) for action in step.actions], [Persist])
        talk.drive("responder", step.state, Persisted())
        step = talk.drive("initiator", ours, Answer(talk.said[Kind.CHOICE]))
        self.assertEqual([type(action) for action in step.actions], [Persist])
