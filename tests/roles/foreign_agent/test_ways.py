"""Ways to the home network: several servers in turn, refusals on the hop, silence."""

from __future__ import annotations

from seckex.events.foreign_agent import HomeNetworkRefused, NoReply, RelayFailed, ReplyUnbelievable, VisitorRegistered
from seckex.roles.foreign_agent.relaying import GIVE_UP_AFTER, NEXT_AFTER
from seckex.wire import hop
from seckex.wire.mobileip import NodeReply, decode_node_reply
from seckex.wire.numbers import Code
from tests.roles.foreign_agent.parts import HOME, NODE_PATH, OTHER_SERVER, SERVER, AgentCase, not_relayed


class DirectTests(AgentCase):
    def test_a_home_agent_that_cannot_be_reached(self) -> None:
        relay = self.relayed(self.request())
        before = len(self.actions)
        self.run_all(
            self.agent.unreachable(HOME, relay.identification, "no route", Code.NEXT_HOP_UNREACHABLE, self.now)
        )
        self.assertRefused(self.answered(before), Code.HOME_AGENT_UNREACHABLE, "cannot be reached")
        self.assertEqual(self.told(RelayFailed)[0].reason, "no route")

    def test_a_hop_that_cannot_be_secured(self) -> None:
        relay = self.relayed(self.request())
        before = len(self.actions)
        self.run_all(self.agent.unreachable(HOME, relay.identification, "no key", Code.NO_SECURE_HOP, self.now))
        self.assertRefused(self.answered(before), Code.HOME_NETWORK_UNREACHABLE, "no way")

    def test_silence(self) -> None:
        self.relayed(self.request())
        self.assertEqual(self.pass_time(GIVE_UP_AFTER - 0.1), b"")
        self.assertRefused(self.pass_time(0.2), Code.AGENT_TIMEOUT, "nothing came")
        self.assertEqual(len(self.told(NoReply)), 1)

    def test_what_the_home_network_decides_is_final_and_is_told_where_somebody_can_act_on_it(self) -> None:
        for code, hint in (
            (Code.AGENT_FAILED_AUTHENTICATION, Code.AGENT_PROHIBITED),
            (Code.UNKNOWN_DOMAIN, Code.AGENT_PROHIBITED),
            (Code.AGENT_NOT_ALLOWED, Code.AGENT_PROHIBITED),
            (Code.UNKNOWN_HOME_AGENT, Code.HOME_AGENT_UNREACHABLE),
            (Code.NOTHING_ACCEPTABLE, Code.AGENT_PROHIBITED),
            (Code.FAILED_AUTHENTICATION, Code.AGENT_UNSPECIFIED),
            (Code.REPLAYED, Code.AGENT_UNSPECIFIED),
            (Code.BEGIN_ANEW, Code.AGENT_UNSPECIFIED),
        ):
            relay = self.relayed(self.request())
            said = self.hear(not_relayed(relay, code, "because", HOME))
            detail = self.refusal(said)
            self.assertEqual(Code(detail.code), hint)
            self.assertNotIn("because", detail.text)
            event = self.told(HomeNetworkRefused)[-1]
            self.assertEqual((event.by, event.code, event.reason), (HOME, code, "because"))

    def test_what_strangers_bring_about_does_not_fill_the_log(self) -> None:
        for _ in range(30):
            relay = self.relayed(self.request(home_agent="nobody@example.org"))
            self.hear(not_relayed(relay, Code.FAILED_AUTHENTICATION, "", HOME), "nobody@example.org")
        self.assertEqual(len(self.told(HomeNetworkRefused)), 10)
        self.pass_time(6)
        relay = self.relayed(self.request())
        self.hear(not_relayed(relay, Code.FAILED_AUTHENTICATION, "", HOME))
        self.assertEqual(self.told(HomeNetworkRefused)[-1].suppressed, 20)

    def test_the_same_refusal_again_for_the_same_request(self) -> None:
        request = self.request()
        relay = self.relayed(request)
        said = self.hear(not_relayed(relay, Code.BEGIN_ANEW, "", HOME))
        self.assertEqual(self.say(request.octets), said)


class ServersTests(AgentCase):
    servers = (SERVER, OTHER_SERVER)

    def test_the_first_server_is_asked_first(self) -> None:
        self.registered(self.request())
        self.assertEqual([neighbour for neighbour, _ in self.relays], [SERVER])

    def test_the_next_one_where_the_first_cannot_be_reached(self) -> None:
        relay = self.relayed(self.request())
        self.run_all(self.agent.unreachable(SERVER, relay.identification, "down", Code.NEXT_HOP_UNREACHABLE, self.now))
        self.passes_by_the_other(relay)
        self.assertEqual(self.told(RelayFailed)[0].then, OTHER_SERVER)

    def test_the_next_one_where_the_first_does_not_go_on(self) -> None:
        for code in (
            Code.NO_SECURE_HOP,
            Code.NEXT_HOP_UNREACHABLE,
            Code.KDC_UNREACHABLE,
            Code.ROUTING_LOOP,
            Code.UNKNOWN_REALM,
        ):
            self.setUp()
            relay = self.relayed(self.request())
            self.assertEqual(self.hear(not_relayed(relay, code, "", SERVER), SERVER), b"")
            self.passes_by_the_other(relay)

    def test_the_next_one_where_the_first_says_nothing(self) -> None:
        relay = self.relayed(self.request())
        self.assertEqual(self.pass_time(NEXT_AFTER + 0.1), b"")
        self.passes_by_the_other(relay)

    def test_the_next_one_where_the_first_makes_something_up(self) -> None:
        relay = self.relayed(self.request())
        forged = self.home.reply(relay.message).octets[:-1] + b"\0"
        self.assertEqual(self.hear(hop.Relayed(relay.identification, forged), SERVER), b"")
        self.assertEqual(self.told(ReplyUnbelievable)[0].neighbour, SERVER)
        self.passes_by_the_other(relay)

    def passes_by_the_other(self, first: hop.Relay) -> None:
        """Insist that the same octets have gone to the other server, and that its reply is taken."""
        neighbour, relay = self.relays[-1]
        self.assertEqual((neighbour, relay.message, len(self.relays)), (OTHER_SERVER, first.message, 2))
        replied = self.home.reply(relay.message)
        said = self.hear(hop.Relayed(relay.identification, replied.octets), OTHER_SERVER)
        self.assertIsInstance(decode_node_reply(said), NodeReply)
        self.assertEqual(len(self.told(VisitorRegistered)), 1)

    def test_a_late_reply_of_the_first_is_as_good(self) -> None:
        relay = self.relayed(self.request())
        self.pass_time(NEXT_AFTER + 0.1)
        replied = self.home.reply(relay.message)
        self.assertNotEqual(self.hear(hop.Relayed(relay.identification, replied.octets), SERVER), b"")
        self.assertEqual(self.hear(hop.Relayed(relay.identification, replied.octets), OTHER_SERVER), b"")
        self.assertEqual(self.agent.counters["answers-unexpected"], 1)

    def test_a_late_refusal_of_the_first_is_none(self) -> None:
        relay = self.relayed(self.request())
        self.pass_time(NEXT_AFTER + 0.1)
        self.assertEqual(self.hear(not_relayed(relay, Code.NEXT_HOP_UNREACHABLE, "", SERVER), SERVER), b"")
        self.assertEqual(self.hear(not_relayed(relay, Code.AGENT_NOT_ALLOWED, "", SERVER), SERVER), b"")
        self.passes_by_the_other(relay)

    def test_a_late_lie_of_the_first_is_told_and_changes_nothing(self) -> None:
        relay = self.relayed(self.request())
        self.pass_time(NEXT_AFTER + 0.1)
        self.assertEqual(self.hear(hop.Relayed(relay.identification, b"\x03"), SERVER), b"")
        self.assertEqual(self.told(ReplyUnbelievable)[0].neighbour, SERVER)
        self.passes_by_the_other(relay)

    def test_an_answer_that_does_not_leave_is_counted_and_the_node_asks_again(self) -> None:
        request = self.request()
        _, reply = self.registered(request)
        self.assertEqual(self.agent.failed(NODE_PATH, "the connection is gone", self.now), [])
        self.assertEqual(self.agent.counters["unsent"], 1)
        self.assertEqual(self.say(request.octets), reply.octets)

    def test_when_there_is_nobody_left(self) -> None:
        relay = self.relayed(self.request())
        self.assertEqual(self.hear(not_relayed(relay, Code.UNKNOWN_REALM, "", SERVER), SERVER), b"")
        said = self.hear(not_relayed(relay, Code.UNKNOWN_REALM, "", OTHER_SERVER), OTHER_SERVER)
        self.assertRefused(said, Code.HOME_NETWORK_UNREACHABLE, "no way to the home network")

    def test_silence_of_all(self) -> None:
        self.relayed(self.request())
        self.assertEqual(self.pass_time(GIVE_UP_AFTER - 0.1), b"")
        self.assertRefused(self.pass_time(0.2), Code.AGENT_TIMEOUT, "nothing came")
        self.assertEqual(len(self.relays), 2)
