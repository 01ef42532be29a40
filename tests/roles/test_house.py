"""Several roles in one process: who hears what, and whose outcome is whose."""

# ruff: noqa: ARG002  # a scripted role looks at little of what it is given

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.trial.unittest import SynchronousTestCase

from seckex.errors import ApiMisuse
from seckex.machine import Now, Path, Send
from seckex.node.actions import Commit, Work
from seckex.roles.faces import Relay, RoleAction
from seckex.roles.house import MOST_TURNS, House, is_roaming
from seckex.sa.store import Outcome, Snapshot
from seckex.wire.general import Header, encode_header
from seckex.wire.numbers import REGISTRATION_REPLY, REGISTRATION_REQUEST, Kind

NOW = Now(10.0, 1000.0)
PATH = Path("192.0.2.1", 4434)


def message(kind: Kind, identification: int = 7, *, answer: bool = False) -> bytes:
    return encode_header(Header(kind, answer, identification, 0))


@define(slots=False)
class Scripted:
    """A role that takes ``kinds`` and answers what is heard as ``answers`` says."""

    kinds: frozenset[int] = frozenset()
    answers: Callable[[bytes], list[RoleAction]] = lambda _: []
    awaited: set[int] = field(factory=set)
    told: list[tuple[Any, ...]] = field(factory=list)
    deadline: float | None = None
    counters: dict[str, int] = field(factory=dict)

    def status(self, now: Now) -> dict[str, Any]:
        return {"at": now.wall}

    def start(self, snapshot: Snapshot, now: Now) -> list[RoleAction]:
        return self._note("start")

    def received(self, octets: bytes, path: Path, now: Now) -> list[RoleAction]:
        self._note("received", octets, path)
        return self.answers(octets)

    def heard(self, neighbour: str, octets: bytes, now: Now) -> list[RoleAction]:
        self._note("heard", neighbour, octets)
        return self.answers(octets)

    def awaits(self, identification: int) -> bool:
        return identification in self.awaited

    def unreachable(self, neighbour: str, identification: int, why: str, code: int, now: Now) -> list[RoleAction]:
        return self._note("unreachable", neighbour, identification, why, code)

    def failed(self, path: Path, why: str, now: Now) -> list[RoleAction]:
        return self._note("failed", path, why)

    def committed(self, token: int, outcome: Outcome | str, now: Now) -> list[RoleAction]:
        return self._note("committed", token, outcome)

    def worked(self, token: int, result: object, now: Now) -> list[RoleAction]:
        return self._note("worked", token, result)

    def tick(self, now: Now) -> list[RoleAction]:
        return self._note("tick")

    def next_deadline(self, now: Now) -> float | None:
        return self.deadline

    def _note(self, *what: Any) -> list[RoleAction]:
        self.told.append(what)
        return []


class HouseTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.agent = Scripted(frozenset((REGISTRATION_REQUEST, Kind.SOLICITATION)))
        self.center = Scripted(frozenset((Kind.KEYS,)))
        self.house = House("home@example.org", {"agent": self.agent, "kdc": self.center})

    def test_requests_go_to_the_role_that_takes_their_kind(self) -> None:
        request = bytes((REGISTRATION_REQUEST,)) + bytes(23)
        self.house.received(request, PATH, NOW)
        self.house.received(message(Kind.SOLICITATION), PATH, NOW)
        self.house.heard("home@example.org", message(Kind.KEYS), NOW)
        self.assertEqual(self.agent.told, [("received", request, PATH), ("received", message(Kind.SOLICITATION), PATH)])
        self.assertEqual(self.center.told, [("heard", "home@example.org", message(Kind.KEYS))])

    def test_what_nobody_takes_is_counted(self) -> None:
        self.house.received(bytes((REGISTRATION_REPLY,)) + bytes(19), PATH, NOW)
        self.house.received(b"", PATH, NOW)
        self.house.received(message(Kind.OFFER), PATH, NOW)
        self.house.heard("x@example.org", message(Kind.RELAY), NOW)
        self.house.heard("x@example.org", message(Kind.RELAYED, answer=True), NOW)
        self.house.heard("x@example.org", b"\xff", NOW)
        self.assertEqual(self.house.counters["strays"], 6)

    def test_a_kind_for_hops_is_not_taken_from_a_hop_by_the_type_of_a_registration_message(self) -> None:
        self.house.heard("x@example.org", bytes((REGISTRATION_REQUEST,)) + bytes(23), NOW)
        self.assertEqual(self.agent.told, [])

    def test_answers_go_to_the_role_that_awaits_them(self) -> None:
        self.center.awaited.add(9)
        self.house.heard("x@example.org", message(Kind.ISSUED, 9, answer=True), NOW)
        self.house.unreachable("x@example.org", message(Kind.KEYS, 9), "no route", 280, NOW)
        self.assertEqual([told[0] for told in self.center.told], ["heard", "unreachable"])
        self.assertEqual(self.center.told[1], ("unreachable", "x@example.org", 9, "no route", 280))

    def test_outcomes_go_to_whoever_asked_for_them_under_its_own_token(self) -> None:
        self.agent.answers = lambda _: [Commit(1, ())]
        self.center.answers = lambda _: [Commit(1, ()), Work(2, int)]
        (first,) = self.house.received(message(Kind.SOLICITATION), PATH, NOW)
        second, work = self.house.heard("x@example.org", message(Kind.KEYS), NOW)
        assert isinstance(first, Commit)
        assert isinstance(second, Commit)
        assert isinstance(work, Work)
        self.assertEqual(len({first.token, second.token, work.token}), 3)
        self.house.committed(second.token, Outcome.STORED, NOW)
        self.house.worked(work.token, 0, NOW)
        self.house.committed(first.token, "disk full", NOW)
        self.assertEqual(self.agent.told[-1], ("committed", 1, "disk full"))
        self.assertEqual(self.center.told[-2:], [("committed", 1, Outcome.STORED), ("worked", 2, 0)])
        self.assertRaises(ApiMisuse, self.house.committed, first.token, Outcome.STORED, NOW)

    def test_what_is_said_to_our_own_name_is_heard_here_in_order(self) -> None:
        self.agent.awaited.add(7)
        keys, issued = message(Kind.KEYS), message(Kind.ISSUED, answer=True)
        self.center.answers = lambda _: [Relay("home@example.org", issued)]
        asked: list[RoleAction] = [Relay("home@example.org", keys), Send(b"after", PATH)]
        self.agent.answers = lambda octets: asked if octets == message(Kind.SOLICITATION) else [Send(b"inside", PATH)]
        outside = self.house.received(message(Kind.SOLICITATION), PATH, NOW)
        self.assertEqual(outside, [Send(b"inside", PATH), Send(b"after", PATH)])
        self.assertEqual(self.center.told, [("heard", "home@example.org", keys)])

    def test_roles_that_do_not_stop_talking_are_stopped(self) -> None:
        self.center.answers = lambda _: [Relay("home@example.org", message(Kind.KEYS))]
        self.assertRaises(ApiMisuse, self.house.heard, "x@example.org", message(Kind.KEYS), NOW)
        self.assertEqual(len(self.center.told), MOST_TURNS + 1)

    def test_only_roles_that_are_due_tick(self) -> None:
        self.agent.deadline, self.center.deadline = 10.0, 11.0
        self.assertEqual(self.house.next_deadline(NOW), 10.0)
        self.house.tick(NOW)
        self.assertEqual((self.agent.told, self.center.told), ([("tick",)], []))

    def test_a_role_that_fails_costs_what_it_was_given_and_no_more(self) -> None:
        faults: list[str] = []
        self.house.fault = lambda role, error: faults.append(f"{role}: {error}")
        self.agent.kinds = self.center.kinds = frozenset((Kind.CHANGED,))

        def broken(*_arguments: object) -> list[RoleAction]:
            raise ZeroDivisionError("by the test")

        for name in ("start", "received", "heard", "failed", "tick"):
            setattr(self.agent, name, broken)
        self.center.answers = lambda _: [Relay("y@example.org", b"said")]
        self.house.start(Snapshot((), ()), NOW)
        self.assertEqual(
            self.house.heard("x@example.org", message(Kind.CHANGED), NOW)[0], Relay("y@example.org", b"said")
        )
        self.house.failed(PATH, "why", NOW)
        self.assertEqual([told[0] for told in self.center.told], ["start", "heard", "failed"])
        self.assertEqual(self.house.received(message(Kind.CHANGED), PATH, NOW), [])
        self.assertEqual(faults, ["agent: by the test"] * 4)

    def test_a_role_whose_tick_fails_does_not_keep_the_others_from_theirs_nor_the_processor_busy(self) -> None:
        faults: list[str] = []
        self.house.fault = lambda role, _error: faults.append(role)

        def broken(_now: Now) -> list[RoleAction]:
            raise ZeroDivisionError("by the test")

        self.agent.__dict__["tick"] = broken
        self.agent.deadline = self.center.deadline = 10.0
        self.house.tick(NOW)
        self.assertEqual((faults, self.center.told), (["agent"], [("tick",)]))
        self.center.deadline = None
        self.assertEqual(self.house.next_deadline(NOW), 11.0)
        del self.agent.__dict__["tick"]
        self.house.tick(Now(11.0, 1001.0))
        self.assertEqual(self.agent.told, [("tick",)])
        self.assertEqual(self.house.next_deadline(NOW), 10.0)

    def test_counters_and_status_are_told_by_role(self) -> None:
        self.agent.counters["visitors"] = 2
        self.assertEqual(self.house.counters, {"agent.visitors": 2, "strays": 0})
        self.assertEqual(self.house.status(NOW), {"agent": {"at": 1000.0}, "kdc": {"at": 1000.0}})


class RoamingTests(SynchronousTestCase):
    def test_what_is_for_roles_is_told_by_its_first_octets(self) -> None:
        self.assertTrue(is_roaming(bytes((REGISTRATION_REQUEST, 0, 0, 0))))
        self.assertTrue(is_roaming(bytes((REGISTRATION_REPLY, 0, 0, 0))))
        self.assertTrue(is_roaming(message(Kind.ADVERTISEMENT, answer=True)))
        self.assertFalse(is_roaming(message(Kind.OFFER)))
        self.assertFalse(is_roaming(message(Kind.COOKIE, answer=True)))
        self.assertFalse(is_roaming(b"\xff"))
