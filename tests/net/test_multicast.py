"""Groups on a link: real sockets on the loopback interface, which carries IPv4 groups."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import SynchronousTestCase, TestCase

from seckex.cli.demo.processes import free_port
from seckex.net.multicast import Multicast, Place, family_of, is_group

GROUP = "239.255.67.34"
OTHER = "239.255.67.35"
HERE = Place("127.0.0.1")


class PlaceTests(SynchronousTestCase):
    def test_groups_are_told_from_other_addresses(self) -> None:
        for host in ("239.255.67.34", "224.0.0.1", "ff02::4434"):
            self.assertTrue(is_group(host))
        for host in ("127.0.0.1", "255.255.255.255", "::1", "agent.example", ""):
            self.assertFalse(is_group(host))
        self.assertEqual((family_of(GROUP), family_of("ff02::1")), (socket.AF_INET, socket.AF_INET6))

    def test_what_is_said_stays_on_the_link(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as each:
            HERE.aim(each)
            self.assertEqual(each.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL), 1)
        if not socket.has_ipv6:
            return
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as each:
            Place("::1").aim(each)
            self.assertEqual(each.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS), 1)
            lo = socket.if_nametoindex("lo")
            self.assertEqual(each.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF), lo)

    def test_an_interface_that_there_is_not(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as each:
            self.assertRaises(OSError, Place(interface="nowhere0").aim, each)


class SpeakingTests(TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.port = free_port(socket.SOCK_DGRAM)
        self.told: list[tuple[str, str]] = []

    def multicast(self) -> tuple[Multicast, list[tuple[Any, ...]], Deferred[None]]:
        """Return one, what it has heard, and what fires when it hears something."""
        heard: list[tuple[Any, ...]] = []
        fired: Deferred[None] = Deferred()

        def take(*what: Any) -> None:
            heard.append(what)
            if not fired.called:
                fired.callback(None)

        one = Multicast(reactor, take, lambda *what: self.told.append(what))
        self.addCleanup(lambda: gatherResults([each for each in one.leave() if each is not None]))
        return one, heard, fired

    def test_all_on_the_link_hear_it_and_from_where(self) -> Deferred[Any]:
        (speaking, _, _), (first, one, fired), (second, two, also) = (
            self.multicast(),
            self.multicast(),
            self.multicast(),
        )
        first.join(GROUP, self.port, HERE)
        second.join(GROUP, self.port, HERE)
        speaking.speak(GROUP, Place("127.0.0.2"))
        speaking.say(b"said", GROUP, self.port)

        def check(_: object) -> None:
            for heard in (one, two):
                ((octets, host, _port, place),) = heard
                self.assertEqual((octets, host, place), (b"said", "127.0.0.2", HERE))

        return gatherResults([fired, also]).addCallback(check)

    def test_what_is_said_to_other_groups_or_to_nobody_is_not_heard(self) -> Deferred[None]:
        (speaking, _, _), (hearing, heard, fired) = self.multicast(), self.multicast()
        hearing.join(GROUP, self.port, HERE)
        speaking.speak(GROUP, HERE)
        speaking.speak(OTHER, HERE)
        speaking.say(b"elsewhere", OTHER, self.port)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as each:
            each.sendto(b"to an address", ("127.0.0.1", self.port))
        speaking.say(b"here", GROUP, self.port)
        return fired.addCallback(lambda _: self.assertEqual([what[0] for what in heard], [b"here"]))

    def test_where_a_group_cannot_be_had_it_is_told_and_nothing_else_happens(self) -> None:
        one, _, _ = self.multicast()
        nowhere = Place(interface="nowhere0")
        one.join(GROUP, self.port, nowhere)
        one.speak(GROUP, nowhere)
        one.say(b"nobody hears this", GROUP, self.port)
        self.assertEqual([group for group, _ in self.told], [GROUP, GROUP])
        self.assertIn("it cannot be joined", self.told[0][1])

    def test_what_does_not_leave_is_told_once(self) -> None:
        one, _, _ = self.multicast()
        one.speak(GROUP, HERE)
        for _ in range(3):
            one.say(bytes(70_000), GROUP, self.port)
        self.assertEqual(len(self.told), 1)
        one.say(b"short enough", GROUP, self.port)
        one.say(bytes(70_000), GROUP, self.port)
        self.assertEqual(len(self.told), 2)

    def test_who_has_left_says_nothing(self) -> Deferred[Any]:
        one, heard, _ = self.multicast()
        one.join(GROUP, self.port, HERE)
        one.speak(GROUP, HERE)
        left = gatherResults([each for each in one.leave() if each is not None])
        one.say(b"too late", GROUP, self.port)
        return left.addCallback(lambda _: self.assertEqual(heard, []))
