"""Which of our addresses leads to those that matter, and when that is told."""

from __future__ import annotations

import socket

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from seckex.net.whereabouts import LOOK_EVERY, SETTLE, Changes, Whereabouts, own_address

AGENT, HOME = "198.51.100.1", "2001:db8::1"


class Reactor(Clock):
    """A clock that has readers."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[object] = []

    def addReader(self, reader: object) -> None:
        self.readers.append(reader)

    def removeReader(self, reader: object) -> None:
        self.readers.remove(reader)


class WhereaboutsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Reactor()
        self.hosts = [AGENT, HOME, "a.name.example"]
        self.own = {AGENT: "198.51.100.7", HOME: "2001:db8::7"}
        self.told: list[Changes] = []
        self.whereabouts = Whereabouts(self.reactor, lambda: self.hosts, self.told.append, self.own.__getitem__)
        self.whereabouts.startService()
        self.addCleanup(self.stop)

    def stop(self) -> None:
        if self.whereabouts.running:
            self.whereabouts.stopService()
        self.assertEqual((self.reactor.getDelayedCalls(), self.reactor.readers), ([], []))

    def test_nothing_is_told_while_nothing_changes(self) -> None:
        self.reactor.pump([LOOK_EVERY] * 5)
        self.assertEqual(self.told, [])

    def test_changes_that_come_together_are_told_together(self) -> None:
        self.whereabouts.stir()
        self.own[AGENT] = ""
        self.whereabouts.stir()
        self.own[AGENT], self.own[HOME] = "198.51.100.8", "2001:db8::8"
        self.assertEqual(self.told, [])
        self.reactor.advance(SETTLE)
        self.assertEqual(self.told, [{AGENT: ("198.51.100.7", "198.51.100.8"), HOME: ("2001:db8::7", "2001:db8::8")}])

    def test_what_the_kernel_does_not_tell_is_seen_all_the_same(self) -> None:
        self.own[AGENT] = ""
        self.reactor.advance(LOOK_EVERY)
        self.own[AGENT] = "198.51.100.7"
        self.reactor.advance(LOOK_EVERY)
        self.assertEqual(self.told, [{AGENT: ("198.51.100.7", "")}, {AGENT: ("", "198.51.100.7")}])

    def test_of_who_has_not_mattered_before_it_is_learnt_at_once(self) -> None:
        other = "198.51.100.2"
        self.hosts.append(other)
        self.own[other] = "198.51.100.7"
        self.whereabouts.learn()
        self.own[other] = "198.51.100.9"
        self.own[AGENT] = "198.51.100.9"
        # What was known is not learnt again: that would hide the change.
        self.whereabouts.learn()
        self.reactor.advance(LOOK_EVERY)
        self.assertEqual([set(changes) for changes in self.told], [{AGENT, other}])

    def test_stopped_it_looks_no_more(self) -> None:
        self.whereabouts.stir()
        self.whereabouts.stopService()
        self.own[AGENT] = ""
        self.reactor.advance(60)
        self.assertEqual(self.told, [])


class AddressTests(SynchronousTestCase):
    def test_towards_this_machine(self) -> None:
        self.assertEqual(own_address("127.0.0.9"), "127.0.0.1")

    def test_where_no_way_leads(self) -> None:
        def unreachable(*_: object) -> socket.socket:
            raise OSError("Network is unreachable")

        self.patch(socket, "socket", unreachable)
        self.assertEqual(own_address("192.0.2.1"), "")
