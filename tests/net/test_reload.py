"""What another configuration changes, and what a daemon keeps of the keys that it has read."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.trial.unittest import SynchronousTestCase, TestCase

from seckex.config.initiator import InitiatorSettings
from seckex.config.load import load
from seckex.config.responder import ResponderSettings
from seckex.net.inprocess import initiator_of
from seckex.net.reload import Outcome, differences, possible
from tests.config.written import INITIATOR, RESPONDER, write_all

reactor: Any = installed


class DifferenceTests(SynchronousTestCase):
    def read(self, text: str, cls: Any) -> Any:
        return load(write_all(Path(self.mktemp()).absolute(), text), cls).settings

    def changed(self, before: Any, after: Any) -> list[str]:
        return [path for path in differences(before, after) if not path.startswith("state")]

    def test_each_setting_is_named_by_its_place_in_the_file(self) -> None:
        before = self.read(RESPONDER, ResponderSettings)
        after = evolve(
            before,
            log=evolve(before.log, level="warn"),
            limits=evolve(before.limits, half_open=7),
            peers=tuple(evolve(peer, services=()) for peer in before.peers),
            services={"other": next(iter(before.services.values()))},
        )
        paths = ["log.level", 'peers."node@example.net".services', "services.web", "services.other", "limits.half-open"]
        self.assertCountEqual(self.changed(before, after), paths)
        self.assertEqual(self.changed(before, before), [])

    def test_a_peer_that_comes_and_one_that_goes(self) -> None:
        before = self.read(INITIATOR, InitiatorSettings)
        [peer] = before.peers
        after = evolve(before, peers=(evolve(peer, nai="other@example.org"),))
        self.assertCountEqual(self.changed(before, after), ['peers."home@example.org"', 'peers."other@example.org"'])

    def test_what_only_a_restart_changes_stays(self) -> None:
        before = self.read(RESPONDER, ResponderSettings)
        after = evolve(before, state=evolve(before.state, worker=3), log=evolve(before.log, level="warn"))
        settings, restart = possible(before, after)
        self.assertEqual((settings.state, settings.log.level), (before.state, "warn"))
        self.assertEqual(restart, ("state.worker",))
        self.assertEqual(Outcome(restart=restart).answer()["kept"], ["state.worker: only a restart changes it"])


class KeyTests(TestCase):
    @inlineCallbacks
    def test_the_octets_of_key_0_are_not_kept(self) -> Any:
        folder = Path(tempfile.mkdtemp(prefix="seckex-test-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        text = INITIATOR.replace("tcp:8080:interface=127.0.0.1", "tcp:0:interface=127.0.0.1")
        text = text.replace("/run/seckex.sock", "control.sock")
        file = write_all(folder, text)
        daemon = initiator_of(reactor, file)
        self.assertEqual(len(daemon.loaded.keys), 1)
        daemon.privilegedStartService()
        daemon.startService()
        self.assertEqual(daemon.loaded.keys, {})
        self.assertEqual(daemon.reload()["problems"], [])
        self.assertEqual(daemon.loaded.keys, {})
        stopped: Deferred[None] = daemon.stopService()
        yield stopped
