"""The settings of messages: who may send, and what contradicts itself."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from seckex.config.initiator import InitiatorSettings
from seckex.config.load import load_any
from seckex.config.messages import LARGEST, Messages, stands_for
from seckex.config.problems import ConfigInvalid
from seckex.config.responder import ResponderSettings
from seckex.delivery.faces import LARGEST_MESSAGE
from tests.config.written import INITIATOR, RESPONDER, write_all, write_credentials

CERTIFIED = """
role = "{role}"
[identity]
nai = "home@example.org"
certificate = "home.pem"
private-key = "home.key"
trust = ["ca/ca.pem"]
[state]
directory = "state"
control = "/run/seckex.sock"
"""
NODE = '[[messages.peers]]\nnai = "node@example.net"\n'


class PatternTests(SynchronousTestCase):
    def test_a_pattern_stands_for_one_or_for_a_realm(self) -> None:
        self.assertTrue(stands_for("a@example.org", "a@example.org"))
        self.assertTrue(stands_for("*@example.org", "a@example.org"))
        self.assertFalse(stands_for("a@example.org", "b@example.org"))
        self.assertFalse(stands_for("*@example.org", "a@sub.example.org"))
        self.assertFalse(stands_for("*@example.org", "a@evil-example.org"))

    def test_the_longest_message_is_that_of_the_format(self) -> None:
        self.assertEqual(LARGEST, LARGEST_MESSAGE)


class MessagesCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.patch(os, "environ", {"HOME": "/home/op"})
        write_credentials(self.folder, "home", "home@example.org")

    def read(self, text: str) -> Messages:
        settings = load_any(write_all(self.folder, text)).settings
        assert isinstance(settings, InitiatorSettings | ResponderSettings)
        assert settings.messages is not None
        return settings.messages

    def problems(self, text: str) -> list[str]:
        with self.assertRaises(ConfigInvalid) as caught:
            self.read(text)
        return list(map(str, caught.exception.problems))

    def responder(self, text: str) -> str:
        return CERTIFIED.format(role="responder") + text


class SendersTests(MessagesCase):
    def test_either_the_service_or_the_sender_says_so(self) -> None:
        messages = self.read(
            self.responder(
                '[messages.services.orders]\nfrom = ["*@example.com"]\n[messages.services.other]\n'
                f'{NODE}services = ["orders"]\n'
            )
        )
        for nai, service, may in (
            ("node@example.net", "orders", True),
            ("node@example.net", "other", False),
            ("any@example.com", "orders", True),
            ("any@example.net", "orders", False),
            ("any@example.com", "unheard-of", False),
        ):
            self.assertEqual(messages.may_send(nai, service), may, (nai, service))


class ContradictionTests(MessagesCase):
    def test_a_daemon_of_messages_needs_no_other_peers(self) -> None:
        self.assertEqual(self.read(self.responder("[messages]")), Messages())

    def test_without_messages_it_does(self) -> None:
        self.assertEqual(
            self.problems(self.responder("")), ["peers: is required: a list of 1 to 4096, unless there is messages"]
        )

    def test_certificates_are_needed(self) -> None:
        problems = self.problems(RESPONDER + NODE)
        self.assertEqual(
            [each.partition(":")[0] for each in problems],
            ["identity.certificate", "identity.private-key", "identity.trust"],
        )
        self.assertIn('node@example.net whose keys are "auto"', problems[0])

    def test_unless_all_goes_under_associations(self) -> None:
        text = RESPONDER + NODE + 'keys = "association"\n[messages.services.orders]\n'
        self.read(text + 'from = ["node@example.net"]')
        for others in ('from = ["*@example.net"]', 'anonymous = "taken"'):
            self.assertIn("orders", self.problems(text + others)[0])

    def test_who_has_keys_by_an_association_is_a_peer(self) -> None:
        text = RESPONDER + '[[messages.peers]]\nnai = "other@example.net"\nkeys = "association"'
        self.assertEqual(
            self.problems(text),
            ['messages.peers[0].keys: must be another than "association": other@example.net is none of peers'],
        )

    def test_an_initiator_calls(self) -> None:
        text = INITIATOR + '[[messages.peers]]\nnai = "home@example.org"\nkeys = "association"\n'
        self.assertEqual(
            self.problems(text), ["messages.peers[0].address: is required, or via: an initiator cannot be called"]
        )
        self.assertEqual(self.read(text + 'address = "192.0.2.1"').peers[0].port, 4434)

    def test_relays_are_peers_that_are_called(self) -> None:
        def one(name: str, more: str) -> str:
            return f'[[messages.peers]]\nnai = "{name}@example.net"\n{more}\n'

        relay = one("relay", 'address = "192.0.2.7"')
        self.read(self.responder(one("a", 'via = "relay@example.net"') + relay))
        for text, why in (
            (one("a", 'via = "a@example.net"'), "another one of messages.peers"),
            (one("a", 'via = "rely@example.net"') + relay, "another one of messages.peers"),
            (
                one("a", 'via = "b@example.net"') + one("b", 'via = "relay@example.net"') + relay,
                "must be called itself",
            ),
            (one("a", 'via = "relay@example.net"\naddress = "192.0.2.8"') + relay, "must go"),
        ):
            [problem] = self.problems(self.responder(text))
            self.assertIn(why, problem)

    def test_only_prekeys_keep_a_name_back(self) -> None:
        text = self.responder(f'{NODE}identity = "withheld"\nkeys = ')
        self.assertIn('must be "prekey"', self.problems(text + '"auto"')[0])
        self.read(text + '"prekey"')

    def test_services_of_senders_exist(self) -> None:
        [problem] = self.problems(self.responder(f'[messages.services.orders]\n{NODE}services = ["oders"]'))
        self.assertEqual(
            problem,
            'messages.peers[0].services[0]: must be one of messages.services, not "oders"; did you mean "orders"?',
        )

    def test_peers_are_others_and_single(self) -> None:
        me = '[[messages.peers]]\nnai = "home@example.org"\n'
        everybody = '[[messages.peers]]\nnai = "*@example.net"\n'
        [own, twice, realm] = self.problems(self.responder(me + NODE + NODE + everybody))
        self.assertIn("this is identity.nai", twice + own)
        self.assertIn("must differ", own + twice)
        self.assertIn("must be one principal", realm)

    def test_programs_of_this_machine_and_who_knows_the_token(self) -> None:
        [address, token] = self.problems(self.responder('[messages.http]\nlisten = ["192.0.2.1:80"]'))
        self.assertIn("must be an address of this machine alone", address)
        self.assertIn("messages.http.token-file: is required", token)

    def test_there_is_always_a_prekey(self) -> None:
        [problem] = self.problems(self.responder('[messages]\nprekeys-every = "2d"\nprekey-lifetime = "1d"'))
        self.assertIn("messages.prekeys-every: must be at most", problem)
