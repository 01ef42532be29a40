"""A home agent that goes on from a backup: nothing that was said before is heard again, and nodes go on."""

from __future__ import annotations

import math

from attrs import evolve

from seckex.wire import hop
from seckex.wire.mobileip import decode_home_reply
from seckex.wire.numbers import Code
from tests.roles.home_agent.parts import Relayed, Request, Table, read


class RestoredTests(Table):
    def setUp(self) -> None:
        super().setUp()
        self.start()
        self.backup = evolve(self.store, records=dict(self.store.records), associations=dict(self.store.associations))

    def recorded(self, **changes: object) -> tuple[Request, Relayed]:
        """Have a node register since the backup, as somebody records it."""
        request = self.request(**changes)
        relayed = self.agent.relay(request.octets)
        self.answered(hop.Relayed, self.relay(relayed.octets))
        return request, relayed

    def restore(self, *, marked: bool = True) -> None:
        """Lose the store, and begin with the backup."""
        self.store = evolve(
            self.backup,
            records=dict(self.backup.records),
            associations=dict(self.backup.associations),
            restored=self.now().wall if marked else 0.0,
        )
        self.start()

    def test_what_was_recorded_since_the_backup_is_refused(self) -> None:
        for ahead in (0, 290):
            request, relayed = self.recorded(identification=(int(self.now().wall) + ahead) << 32 | 7)
            self.later(5)
            self.restore()
            # The static keys are those of the backup, and so the request is authentic; its time is over.
            adopted = len(self.adopted)
            reply = decode_home_reply(self.answered(hop.Relayed, self.relay(relayed.octets)).message)
            found = read(request, reply, relayed.shares.data)
            self.code_of(found, Code.IDENTIFICATION_MISMATCH, "clocks are")
            self.assertEqual((len(self.adopted), self.store.associations), (adopted, self.backup.associations))
            self.setUp()

    def test_a_copy_that_nobody_marked_would_hear_it(self) -> None:
        _, relayed = self.recorded()
        self.later(5)
        adopted = len(self.adopted)
        self.restore(marked=False)
        self.relay(relayed.octets)
        self.assertEqual(len(self.adopted), adopted + 1)

    def test_a_node_that_has_not_registered_since_sets_its_clock_and_goes_on(self) -> None:
        self.later(5)
        self.restore()
        request = self.request()
        relayed = self.agent.relay(request.octets)
        reply = decode_home_reply(self.answered(hop.Relayed, self.relay(relayed.octets)).message)
        found = read(request, reply, relayed.shares.data)
        self.code_of(found, Code.IDENTIFICATION_MISMATCH)
        self.assertGreater(found.answer.clock, self.now().wall + 300)
        _, found = self.register(identification=found.answer.clock << 32 | 9)
        self.assertEqual(found.answer.code, 0)

    def test_the_clock_comes_back_to_that_of_the_wall(self) -> None:
        self.restore()
        self.assertGreater(self.home.home.clock(self.now()), self.now().wall + 600)
        self.later(1300)
        self.assertLessEqual(math.fabs(self.home.home.clock(self.now()) - self.now().wall), 1)
        _, found = self.register()
        self.assertEqual(found.answer.code, 0)

    def test_another_restart_changes_nothing(self) -> None:
        _, relayed = self.recorded()
        self.restore()
        self.later(20)
        self.start()
        adopted = len(self.adopted)
        self.relay(relayed.octets)
        self.assertEqual(len(self.adopted), adopted)
