"""When a node registers: renewals, other agents, restarts, what an operator asks for."""

from __future__ import annotations

import json
from ipaddress import ip_address

from attrs import evolve

from seckex.errors import Unfeasible
from seckex.events import NegotiationFailed
from seckex.events.mobile_node import (
    AgentLost,
    AgentRefused,
    AgentRestarted,
    Deregistered,
    NotProvisioned,
    ProvisionTaken,
    Registered,
    RegistrationEnded,
    RegistrationSent,
)
from seckex.machine import Now, Path, Send
from seckex.net.metrics.health import of_roles
from seckex.roles.faces import RoleAction
from seckex.roles.mobile_node.keeping import Keeping
from seckex.roles.mobile_node.plan import Plan
from seckex.wire.advertisement import AdvertisementFlag, encode_advertisement
from seckex.wire.extensions import Cookie
from seckex.wire.general import Header, encode_message
from seckex.wire.mobileip import NodeRequest
from seckex.wire.numbers import Code, Kind
from tests.link import lose, on
from tests.roles.mobile_node.scripted import Agent, accept, says, silence, turns_away
from tests.roles.mobile_node.world import World

TWO = (("192.0.2.2", 4434), ("192.0.2.3", 4434))


class KeepingCase(World):
    @property
    def keeping(self) -> Keeping:
        return self.node.keeping

    def ask(self, what: str) -> None:
        """Have the operator ask for something."""
        keeping = self.keeping
        self.host.ask(self.node, lambda: getattr(keeping, what)(self.host.now()))

    def second(self, nai: str = "fa2@visited.example", **said: object) -> Agent:
        """Add another agent."""
        self.add_agent("second", "192.0.2.3", nai=nai, **said)
        return self.agents["second"]

    def plan_for(self, **plan: object) -> None:
        """Begin again with another plan, and two agents that are asked."""
        self.anew(**plan)
        self.replan(solicit=TWO)


class RenewalTests(KeepingCase):
    def test_a_registration_is_renewed_before_it_is_over(self) -> None:
        self.start()
        self.registered()
        self.registered(2, within=1800)
        first, second = (at for at, _, _ in self.agent.requests)
        self.assertTrue(0.8 * 1800 <= second - first <= 0.9 * 1800 + 5)

    def test_the_one_before_is_replaced_and_its_record_gone(self) -> None:
        self.start()
        self.registered()
        self.registered(2, within=1800)
        (_, none), (new, replaced) = self.host.replaced
        self.assertEqual((none, len(replaced)), ((), 1))
        self.assertEqual(list(self.host.store.associations), [new])

    def test_what_lives_shorter_than_the_registration_is_renewed_for_its_own_sake(self) -> None:
        self.anew(lifetime=28800)
        self.start()
        self.registered()
        self.registered(2, within=3600)
        self.assertEqual(self.told(Registered)[0].lifetime, 28800)

    def test_a_shorter_lifetime_is_what_the_home_agent_grants(self) -> None:
        self.home.lifetime = 300
        self.start()
        self.registered()
        self.registered(3, within=600)

    def test_an_agent_that_passes_on_no_longer_registrations_is_asked_for_less(self) -> None:
        self.agent.longest = 1000
        self.start()
        self.registered()
        self.assertEqual(self.agent.requests[0][1].header.lifetime, 900)

    def test_after_a_restart_it_goes_on_with_what_it_has(self) -> None:
        self.start()
        self.registered()
        self.host.restart()
        self.network.run(60)
        self.assertEqual(len(self.agent.requests), 1)
        self.assertEqual(self.node.status(self.host.now())["state"], "registered")
        self.registered(2, within=1800)

    def test_a_registration_that_cannot_be_renewed_ends(self) -> None:
        self.start()
        self.registered()
        self.agent.quiet = True
        self.network.run(1900)
        self.assertEqual(len(self.told(RegistrationEnded)), 1)
        self.agent.quiet = False
        self.registered(2)

    def test_a_clock_that_was_set_back_does_not_put_renewal_off(self) -> None:
        self.start()
        self.registered()
        self.host.skew = -100_000
        self.host.restart()
        self.registered(2, within=1800)


class AgentTests(KeepingCase):
    def test_an_agent_that_says_nothing_is_left_for_another(self) -> None:
        self.plan_for()
        second = self.second()
        self.agent.moves = [silence] * 10
        self.start()
        self.registered()
        self.assertEqual(len(second.requests), 1)
        one, other = self.agent.requests[0][1], second.requests[0][1]
        self.assertNotEqual((one.spi, one.x), (other.spi, other.x))
        self.assertNotEqual(one.header.identification, other.header.identification)

    def test_an_agent_that_refuses_is_left_for_another_after_a_moment(self) -> None:
        self.plan_for()
        second = self.second()
        self.agent.moves = [turns_away(66, "full")] * 10
        self.start()
        self.registered()
        self.assertEqual((len(self.agent.requests), len(second.requests)), (1, 1))
        self.assertEqual([event.code for event in self.told(AgentRefused)], [66])

    def test_a_refusal_that_came_before_the_reply_does_not_undo_it(self) -> None:
        def both(agent: Agent, request: NodeRequest, path: Path, now: Now) -> list[RoleAction]:
            return [*turns_away(65)(agent, request, path, now), *accept(agent, request, path, now)]

        self.agent.moves = [both]
        self.start()
        self.registered()
        self.assertEqual(len(self.agent.requests), 1)

    def test_a_busy_agent_is_avoided_and_goes_on_serving_whom_it_has(self) -> None:
        self.plan_for()
        second = self.second(flags=AdvertisementFlag.BUSY)
        self.start()
        self.registered()
        self.assertEqual(second.requests, [])
        second.flags = AdvertisementFlag(0)
        self.agent.flags |= AdvertisementFlag.BUSY
        self.network.run(200)
        self.assertEqual(second.requests, [])

    def test_an_agent_in_use_that_is_lost_is_left(self) -> None:
        self.plan_for()
        second = self.second()
        self.start()
        self.registered()
        self.agent_host.stop()
        self.registered(2)
        self.assertEqual([(event.agent, event.in_use) for event in self.told(AgentLost)], [(self.agent.nai, True)])
        self.assertEqual(len(second.requests), 1)

    def test_an_agent_that_restarts_is_registered_with_again(self) -> None:
        self.agent.sequence = 500
        self.start()
        self.registered()
        self.agent.sequence = 0
        self.registered(2)
        self.assertEqual([event.in_use for event in self.told(AgentRestarted)], [True])

    def test_an_agent_that_restarts_all_the_time_does_not_keep_the_node_busy(self) -> None:
        self.start()
        self.registered()

        def restart() -> None:
            self.agent.challenge = bytes((self.agent.challenge[0] + 1, *bytes(15)))
            self.network.at(1.0, restart)

        restart()
        self.network.run(100)
        self.assertLessEqual(len(self.agent.requests), 6)
        self.assertGreaterEqual(len(self.agent.requests), 3)

    def test_sequences_go_around_without_a_restart(self) -> None:
        self.agent.sequence = 65535
        self.start()
        self.registered()
        self.agent.sequence, self.agent.challenge = 256, bytes(15) + b"\1"
        self.network.run(60)
        self.assertEqual(self.told(AgentRestarted), [])

    def test_a_preferred_agent_is_changed_to_when_it_stays(self) -> None:
        self.plan_for(agents=("fa2@visited.example", "*@visited.example"))
        self.start()
        self.registered()
        second = self.second()
        self.registered(2)
        self.assertEqual(len(second.requests), 1)
        self.network.run(300)
        self.assertEqual(len(self.agent.requests), 1)

    def test_equals_are_not_changed_for_each_other(self) -> None:
        self.plan_for()
        self.start()
        self.registered()
        second = self.second(nai="a@visited.example")
        self.network.run(300)
        self.assertEqual(second.requests, [])

    def test_only_agents_of_the_configuration_are_registered_by(self) -> None:
        self.anew(agents=("*@elsewhere.example",))
        self.start()
        self.network.run(10)
        self.assertEqual(self.agent.requests, [])
        (event,) = self.told(NegotiationFailed)
        self.assertIn("registration.agents does not have it", " ".join(event.causes))

    def test_while_nobody_answers_it_asks_less_and_less_often(self) -> None:
        self.agent.quiet = True
        self.start()
        self.network.run(300)
        asked = [each for each in self.network.sent if each.label == "SOLICITATION"]
        self.assertTrue(10 <= len(asked) <= 20, len(asked))

    def test_advertisements_that_nobody_asked_for_are_taken_only_where_they_are_listened_for(self) -> None:
        for groups, heard in ((), 0), ((("239.255.67.34", 4434),), 1):
            with self.subTest(groups=groups):
                self.anew(groups=groups)
                self.replan(solicit=())
                self.agent.quiet = True
                self.start()
                octets = encode_advertisement(0, self.agent.said())
                self.host.receive(octets, Path("192.0.2.2", 4434, 0))
                self.assertEqual(len(self.keeping.agents), heard)

    def test_a_stale_challenge_leads_to_a_new_question(self) -> None:
        self.agent.moves = [turns_away(Code.STALE_CHALLENGE)]
        self.start()
        self.network.run(1.0)
        self.agent.challenge, self.agent.sequence = bytes(15) + b"\7", 1
        self.registered()
        self.assertEqual(self.agent.requests[1][1].challenge, bytes(15) + b"\7")
        self.assertLess(self.agent.requests[1][0], 3.0)

    def test_a_cookie_that_is_asked_for_comes_behind_the_same_octets(self) -> None:
        def ask(_agent: Agent, request: NodeRequest, path: Path, _now: Now) -> list[RoleAction]:
            header = Header(Kind.COOKIE, True, request.header.identification, 0)
            return [Send(encode_message(header, (Cookie(b"crumbs"),)), path)]

        self.agent.moves = [ask]
        self.start()
        self.registered()
        (_, first, _), (at, second, _) = self.agent.requests
        self.assertEqual((first.cookie, second.cookie), (None, b"crumbs"))
        self.assertEqual(first.octets, second.octets)
        self.assertLess(at, 0.5)

    def test_whoever_asks_for_cookies_all_the_time_is_not_obliged(self) -> None:
        def ask(agent: Agent, request: NodeRequest, path: Path, _now: Now) -> list[RoleAction]:
            header = Header(Kind.COOKIE, True, request.header.identification, 0)
            return [Send(encode_message(header, (Cookie(bytes((len(agent.requests),))),)), path)]

        self.agent.moves = [ask] * 100
        self.start()
        self.network.run(14.0)
        self.assertLessEqual(len(self.agent.requests), 10)

    def test_a_table_full_of_agents_keeps_the_one_in_use(self) -> None:
        self.anew(groups=(("239.255.67.34", 4434),))
        self.start()
        self.registered()
        said = self.agent.said()
        for number in range(300):
            octets = encode_advertisement(0, evolve(said, nai=f"fa{number}@flood.example"))
            self.host.receive(octets, Path("192.0.2.66", 4434, 0))
        self.assertEqual(len(self.keeping.agents), 64)
        self.assertIsNotNone(self.keeping.agents.used)


class OperatorTests(KeepingCase):
    def test_down_deregisters_and_up_registers_again(self) -> None:
        self.start()
        self.registered()
        self.ask("down")
        self.network.run(2.0)
        self.assertEqual(self.agent.requests[-1][1].header.lifetime, 0)
        self.assertEqual([event.told for event in self.told(Deregistered)], [True])
        self.assertEqual((self.host.adopted, self.host.store.associations), ({}, {}))
        self.assertNotIn("mn.registration", {kind for kind, _ in self.host.store.records})
        self.network.run(300)
        self.assertEqual(len(self.agent.requests), 2)
        self.ask("up")
        self.registered(2)

    def test_down_lets_go_of_what_was_replaced_a_moment_ago(self) -> None:
        self.start()
        self.registered()
        self.ask("again")
        self.registered(2)
        self.ask("down")
        self.network.run(2.0)
        self.assertEqual(len(self.host.released), 2)

    def test_down_without_anybody_to_tell_ends_here(self) -> None:
        self.start()
        self.registered()
        self.agent.moves = [silence] * 10
        self.ask("down")
        self.network.run(30.0)
        self.assertEqual([event.told for event in self.told(Deregistered)], [False])
        self.assertEqual((self.host.adopted, self.host.store.associations), ({}, {}))

    def test_down_while_registering_lets_it_go(self) -> None:
        self.agent.moves = [silence] * 10
        self.start()
        self.network.run(2.0)
        self.ask("down")
        self.network.run(60.0)
        self.assertEqual(self.told(Registered), [])
        self.assertEqual(self.node.status(self.host.now())["state"], "not wanted")

    def test_what_is_under_way_is_not_begun_twice(self) -> None:
        self.agent.moves = [silence] * 10
        self.start()
        self.network.run(2.0)
        with self.assertRaises(Unfeasible):
            self.keeping.again(self.host.now())

    def test_a_link_that_is_told_that_its_association_is_gone_has_the_node_register_again(self) -> None:
        self.start()
        self.registered()
        registration = self.keeping.registration
        assert registration is not None
        self.host.ask(self.node, lambda: self.keeping.doubted(registration.spi_in, self.host.now(), proved=True))
        self.registered(2)

    def test_who_is_refused_what_it_is_registered_as_says_so_until_it_is_served_or_registered_anew(self) -> None:
        self.start()
        self.registered()
        registration = self.keeping.registration
        assert registration is not None

        def said() -> tuple[str, str, str]:
            now = self.host.now()
            (check,) = of_roles({"mobile-node": self.node}, now)
            return self.node.state(now), self.node.status(now)["state"], check.why

        served = ("registered", "registered", "")
        self.assertEqual(said(), served)
        moves = self.keeping.moves
        moves.refused(registration.spi_in ^ 64)
        self.assertEqual(said(), served)
        moves.refused(registration.spi_in)
        self.assertEqual(said()[:2], ("registered in vain",) * 2)
        self.assertIn("does not know the registration", said()[2])
        moves.served(registration.spi_in)
        self.assertEqual(said(), served)
        self.agent.moves = [silence]
        spi, code = registration.spi_in, Code.UNKNOWN_ASSOCIATION
        self.host.ask(self.node, lambda: moves.turned_away(spi, code, self.host.now()))
        self.assertEqual(self.node.state(self.host.now()), "registered in vain")
        self.registered(2)
        self.assertEqual(said(), served)

    def test_a_home_address_that_would_be_any_is_shown_as_none(self) -> None:
        self.start()
        self.registered()
        registration = self.keeping.registration
        assert registration is not None
        shown = []
        for address in registration.home_address, ip_address("0.0.0.0"), ip_address("::"):  # not bound to
            self.keeping.registration = evolve(registration, home_address=address)
            shown.append(self.node.status(self.host.now())["registration"]["home-address"])
        self.assertEqual(shown, [str(registration.home_address), None, None])

    def test_nothing_is_asked_for_before_it_is_provisioned(self) -> None:
        self.host.start()
        self.network.run(60)
        self.assertEqual(self.network.sent, [])
        self.assertEqual(len(self.told(NotProvisioned)), 1)
        with self.assertRaises(Unfeasible):
            self.keeping.up(self.host.now())

    def test_provisioning_while_it_runs(self) -> None:
        self.host.start()
        said: list[str] = []
        self.host.ask(self.node, lambda: self.keeping.provision(self.shared(), said.append))
        self.registered()
        self.assertEqual(said, [""])
        self.assertEqual([event.kvno for event in self.told(ProvisionTaken)], [1])

    def test_only_a_newer_version_takes_the_place_of_what_is_known(self) -> None:
        self.start()
        self.registered()
        for kvno in 0, 1:
            with self.assertRaises(Unfeasible):
                self.keeping.provision(self.shared(kvno), lambda _why: None)
        said: list[str] = []
        self.host.ask(self.node, lambda: self.keeping.provision(self.shared(2), said.append))
        self.network.run(2.0)
        self.assertEqual(said, [""])
        home = self.keeping.home
        self.assertEqual((2, 1), (home and home.kvno, home and home.chain.index))

    def test_another_plan_is_gone_by_at_once(self) -> None:
        self.start()
        self.registered()
        plan = Plan("node@example.org", "home@example.org", self.plan.policy, lifetime=900, solicit=self.plan.solicit)
        self.host.ask(self.node, lambda: self.keeping.reconfigure(plan, self.host.now()))
        self.registered(2)
        self.assertEqual(self.agent.requests[-1][1].header.lifetime, 900)


class TroubleTests(KeepingCase):
    def test_a_home_agent_that_refuses_is_asked_less_and_less_often(self) -> None:
        self.agent.moves = [says(code=Code.DISABLED_NODE)] * 100
        self.start()
        self.network.run(600)
        self.assertTrue(8 <= len(self.agent.requests) <= 20, len(self.agent.requests))

    def test_an_index_that_cannot_be_stored_is_not_sent(self) -> None:
        self.host.commit_faults = dict.fromkeys(range(1, 4), "disk full")
        self.start()
        self.registered()
        self.assertEqual([opened.block.index for opened in self.home.opened], [0])

    def test_what_is_lost_on_the_way_is_sent_again(self) -> None:
        self.network.faults = [on("REQUEST", lose, 2), on("REPLY", lose, 1), on("SOLICITATION", lose, 1)]
        self.start()
        self.network.run(30)
        # The scripted agent has no memory of replies: what was lost there is a replay to the home agent.
        self.assertGreaterEqual(len(self.told(RegistrationSent)), 2)
        self.registered()
        self.assertEqual(len(self.told(NegotiationFailed)), 1)

    def test_the_status_is_without_secrets_and_can_be_written_as_json(self) -> None:
        self.start()
        self.registered()
        text = json.dumps(self.node.status(self.host.now()))
        home = self.keeping.home
        assert home is not None
        self.assertNotIn(home.root.octets.hex(), text)
        self.assertIn("fa1@visited.example", text)
