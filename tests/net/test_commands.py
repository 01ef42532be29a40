"""What the control socket's commands answer: what was begun, what came of it, and what is wrong with a request."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock as Reactor

from seckex.crypto.secrets import Secret
from seckex.errors import Unfeasible
from seckex.events import Event, KeysExported, LinkClosed, NegotiationRefused, OperatorAsked
from seckex.net.commands import ControlCommands
from seckex.net.control import Declined
from seckex.net.log import EventLog
from seckex.net.principal import Clock
from seckex.net.status import StatusReport
from seckex.net.usage import Traffic
from seckex.net.watching import Watcher
from seckex.sa.association import Association
from tests.conversation import AES, CHACHA, HOME, NODE, ConversationCase
from tests.pump import WALL, Host


class OverHost:
    """An operator's hand on a host of the network on a table; its reports go into ``log``."""

    def __init__(self, host: Host, addressed: bool) -> None:
        self._host = host
        self._addressed = addressed

    @property
    def local(self) -> str:
        return self._host.nai

    def known(self) -> Iterable[str]:
        return self._host.peers

    def knows(self, peer: str) -> bool:
        return peer in self._host.peers

    def has_address(self, _peer: str) -> bool:
        return self._addressed

    def associations(self, peer: str) -> list[Association]:
        return [one for one in self._host.node.associations if one.peer == peer]

    def up(self, peer: str) -> None:
        self._host._run(self._host.node.want(peer, self._host.now()))

    def rekey(self, peer: str) -> None:
        self._host._run(self._host.node.rekey(peer, self._host.now()))

    def down(self, peer: str) -> None:
        self._host._run(self._host.node.down(peer, self._host.now()))

    def export(self, peer: str, label: bytes, context: bytes, length: int) -> tuple[Association, Secret]:
        key = self._host.node.export(peer, label, context, length)
        return self.associations(peer)[-1], key


class CommandCase(ConversationCase):
    def desk(self, host: Host, *, addressed: bool = True) -> ControlCommands:
        """Return the commands of a host; what it reports from now on is told to them."""
        self.log = EventLog("error", lambda: 7.0)
        self.reactor = Reactor()
        report = StatusReport(
            role="initiator" if addressed else "responder",
            worker=0,
            node=host.node,
            traffic=Traffic(host.node.associations),
            log=self.log,
            clock=Clock(lambda: self.network.monotonic, lambda: WALL + self.network.monotonic),
            listening=list,
            extras=dict,
            counters=dict,
        )

        class Reports(list[Event]):
            def append(reports, event: Event) -> None:  # noqa: N805  # the other self is the test's
                super().append(event)
                self.log.report(event)

        host.reports = Reports()
        return ControlCommands(OverHost(host, addressed), report, self.log, self.reactor)

    def ask(self, desk: ControlCommands, command: str, **more: Any) -> Any:
        answer = desk.commands()[command]({"command": command} | more)
        if not isinstance(answer, Deferred):
            return answer
        fired: list[Any] = []
        answer.addBoth(fired.append)
        self.fired = fired
        return None

    def declined(self, desk: ControlCommands, command: str, **more: Any) -> tuple[str, str]:
        with self.assertRaises(Declined) as caught:
            self.ask(desk, command, **more)
        return caught.exception.word, str(caught.exception)


class UpTests(CommandCase):
    def test_up_waits_for_the_association_and_tells_of_it(self) -> None:
        node, _ = self.pair()
        desk = self.desk(node)
        self.assertIsNone(self.ask(desk, "up", peer=HOME))
        self.network.run_until(lambda: self.fired)
        (answer,) = self.fired
        self.assertEqual((answer["schema"], answer["peer"], answer["done"]), ("seckex.up/1", HOME, True))
        self.assertEqual(answer["association"]["transforms"]["encryption"], "aes-256-gcm")
        self.assertIn("offering to home@example.org", answer["events"][0])
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual([event for event in node.reports if isinstance(event, OperatorAsked)], [])
        self.assertIn(OperatorAsked("up", HOME), [event for _, event in self.log.recent])

    def test_up_where_there_is_one_is_answered_at_once(self) -> None:
        node, home = self.pair()
        ours = self.established(node, home)
        answer = self.ask(self.desk(node), "up", peer=HOME)
        self.assertEqual((answer["done"], answer["already"]), (True, True))
        self.assertEqual(answer["association"]["spi_in"], ours.spi_in)

    def test_up_tells_who_refused_and_what_would_have_been_acceptable(self) -> None:
        node, _ = self.pair(AES, CHACHA)
        self.ask(self.desk(node), "up", peer=HOME)
        self.network.run_until(lambda: self.fired)
        (answer,) = self.fired
        failure = answer["failure"]
        self.assertEqual((answer["done"], failure["by"], failure["label"]), (False, NODE, "nothing-acceptable"))
        offers = {side["side"]: side["offers"] for side in failure["acceptable"]}
        self.assertIn("chacha20-poly1305", offers[HOME])
        self.assertIn("aes-256-gcm", offers[NODE])

    def test_when_the_time_is_over_it_says_that_nothing_is_settled(self) -> None:
        node, home = self.pair()
        home.stop()
        self.ask(self.desk(node), "up", peer=HOME, seconds=5)
        self.network.run(5)
        self.reactor.advance(5)
        (answer,) = self.fired
        self.assertEqual((answer["done"], answer["failure"]), (False, None))
        self.assertIn("nothing is settled after 5 s", answer["pending"])
        self.network.run(60)  # what comes later is told to nobody
        self.assertEqual(len(self.fired), 1)

    def test_silence_to_the_end(self) -> None:
        node, home = self.pair()
        home.stop()
        self.ask(self.desk(node), "up", peer=HOME)
        self.network.run_until(lambda: self.fired)
        self.assertEqual(self.fired[0]["failure"]["how"], "no-answer")
        self.assertTrue(self.fired[0]["failure"]["causes"])

    def test_a_responder_cannot_call(self) -> None:
        _, home = self.pair()
        word, why = self.declined(self.desk(home, addressed=False), "up", peer=NODE)
        self.assertEqual(word, "no-address")
        self.assertIn("a responder waits for its peers to begin", why)

    def test_who_goes_away_is_not_waited_for(self) -> None:
        node, home = self.pair()
        home.stop()
        desk = self.desk(node)
        answer = desk.commands()["up"]({"peer": HOME})
        if not isinstance(answer, Deferred):
            self.fail("it did not wait")
        answer.addErrback(lambda _: None)
        answer.cancel()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.network.run(60)

    def test_of_other_peers_nothing_is_waited_for(self) -> None:
        node, _ = self.pair()
        self.ask(self.desk(node), "up", peer=HOME)
        self.log.report(NegotiationRefused("other@example.net", NODE, 256, "no", (), ""))
        self.assertEqual(self.fired, [])


class RekeyTests(CommandCase):
    def test_another_association_takes_the_place(self) -> None:
        node, home = self.pair()
        before = self.established(node, home)
        self.ask(self.desk(node), "rekey", peer=HOME)
        self.network.run_until(lambda: self.fired)
        (answer,) = self.fired
        self.assertTrue(answer["done"], answer)
        self.assertNotEqual(answer["association"]["spi_in"], before.spi_in)

    def test_without_one_there_is_nothing_to_replace(self) -> None:
        node, _ = self.pair()
        self.assertEqual(self.declined(self.desk(node), "rekey", peer=HOME)[0], "none")

    def test_from_the_responders_end_as_well(self) -> None:
        node, home = self.pair()
        before = self.established(node, home)
        self.ask(self.desk(home, addressed=False), "rekey", peer=NODE)
        self.network.run_until(lambda: self.fired)
        (answer,) = self.fired
        self.assertEqual((answer["done"], answer["association"]["replaces"]), (True, before.spi_out))

    def test_what_cannot_be_done_now(self) -> None:
        node, home = self.pair()
        self.established(node, home)
        desk = self.desk(node)
        self.ask(desk, "rekey", peer=HOME)
        with self.assertRaises(Unfeasible) as caught:
            self.ask(desk, "rekey", peer=HOME)
        self.assertIn("under way already", str(caught.exception))
        self.assertEqual(len(self.reactor.getDelayedCalls()), 1)


class DownTests(CommandCase):
    def test_both_ends_have_none_and_up_makes_another(self) -> None:
        node, home = self.pair()
        ours = self.established(node, home)
        desk = self.desk(node)
        answer = self.ask(desk, "down", peer=HOME)
        self.assertEqual((answer["schema"], answer["done"], answer["already"]), ("seckex.down/1", True, False))
        self.assertEqual(answer["ended"], [ours.spi_in])
        self.network.run(5)
        self.assertEqual((len(node.node.associations), len(home.node.associations)), (0, 0))
        self.assertTrue(self.ask(desk, "down", peer=HOME)["already"])
        self.ask(desk, "up", peer=HOME)
        self.network.run_until(lambda: self.fired)
        self.assertTrue(self.fired[0]["done"])

    def test_up_where_there_is_one_at_a_responder(self) -> None:
        node, home = self.pair()
        self.established(node, home)
        self.assertTrue(self.ask(self.desk(home, addressed=False), "up", peer=NODE)["already"])


class ExportTests(CommandCase):
    def test_both_ends_export_the_same_and_the_log_has_no_key(self) -> None:
        node, home = self.pair()
        self.established(node, home)
        request = {"label": "ipsec psk", "context": "c0ffee", "length": 48}
        ours = self.ask(self.desk(node), "export", peer=HOME, **request)
        told = [event for _, event in self.log.recent if isinstance(event, KeysExported)]
        self.assertEqual(told, [KeysExported(HOME, ours["spi_in"], "ipsec psk", 48)])
        theirs = self.ask(self.desk(home, addressed=False), "export", peer=NODE, **request)
        self.assertEqual(len(ours["key"]), 96)
        self.assertEqual(ours["key"], theirs["key"])
        self.assertEqual((ours["spi_in"], ours["spi_out"]), (theirs["spi_out"], theirs["spi_in"]))
        self.assertNotIn(ours["key"], json.dumps([str(event) for event in told]))
        other = self.ask(self.desk(node), "export", peer=HOME, **(request | {"context": ""}))
        self.assertNotEqual(other["key"], ours["key"])

    def test_what_cannot_be_exported(self) -> None:
        node, home = self.pair()
        self.established(node, home)
        desk = self.desk(node)
        for more in (
            {},
            {"label": ""},
            {"label": "x" * 256},
            {"label": "a\nb"},
            {"label": 1},
            {"label": "x", "length": 31},
            {"label": "x", "length": 8161},
            {"label": "x", "length": True},
            {"label": "x", "context": "0"},
            {"label": "x", "context": "00" * 1025},
            {"label": "x", "context": 7},
        ):
            self.assertEqual(self.declined(desk, "export", peer=HOME, **more)[0], "unfit", more)


class LookingTests(CommandCase):
    def test_explain_has_the_association_and_the_failures(self) -> None:
        node, home = self.pair(AES, CHACHA)
        desk = self.desk(node)
        node.want(home)
        self.network.run_until(lambda: node.told(NegotiationRefused))
        answer = self.ask(desk, "explain", peer=HOME)
        self.assertEqual((answer["local"], answer["peer"], answer["association"]), (NODE, HOME, None))
        self.assertEqual(answer["failures"][0]["code"], 256)

    def test_strangers(self) -> None:
        node, _ = self.pair()
        desk = self.desk(node)
        for command in ("explain", "up", "rekey", "down", "export"):
            word, why = self.declined(desk, command, peer="stranger@example.net")
            self.assertEqual((word, HOME in why), ("unknown-peer", True))
            self.assertEqual(self.declined(desk, command)[0], "unfit")

    def test_the_last_events(self) -> None:
        node, _ = self.pair()
        desk = self.desk(node)
        for number in range(300):
            self.log.report(LinkClosed(HOME, f"time {number}"))
        events = self.ask(desk, "events")["events"]
        self.assertEqual((len(events), events[-1]["how"], events[-1]["time"]), (256, "time 299", 7.0))

    def test_the_monitor_tells_what_happens_until_it_is_ended(self) -> None:
        node, _ = self.pair()
        desk = self.desk(node)
        lines: list[Any] = []
        end: Callable[[], None] = desk.streams()["monitor"]({}, Watcher(lambda line: lines.append(json.loads(line))))
        self.log.report(LinkClosed(HOME, "lost"))
        end()
        self.log.report(LinkClosed(HOME, "lost again"))
        self.assertEqual([line["schema"] for line in lines], ["seckex.monitor/1", "seckex.event/1"])
        self.assertEqual((lines[0]["daemon"]["nai"], lines[1]["event"], lines[1]["how"]), (NODE, "LinkClosed", "lost"))

    def test_a_subscriber_that_fails_harms_nobody_else(self) -> None:
        node, _ = self.pair()
        self.desk(node)
        self.log.subscribe(lambda _at, _event: 1 / 0)  # type: ignore[arg-type]  # it has no result
        heard: list[Event] = []
        self.log.subscribe(lambda _at, event: heard.append(event))
        self.log.report(LinkClosed(HOME, "lost"))
        self.assertEqual(len(heard), 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
