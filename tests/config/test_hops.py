"""The settings of hops and of AAA relays: what they may be, and what contradicts itself."""

from __future__ import annotations

from seckex.config.agent import AgentSettings
from seckex.config.hops import Hop
from seckex.config.load import load
from seckex.config.problems import ConfigInvalid
from tests.config.test_agent import HOP, AgentCase
from tests.config.written import KEY, key0_text, write_credentials, write_private

ASSOCIATED = HOP + 'security = "association"\nauthentication = "key0"\nkey0 = "hop.key0"\n'
RELAY = '[aaa]\nhome-agents = ["home@home.example"]\n'


class HopTests(AgentCase):
    def hops(self, text: str) -> tuple[Hop, ...]:
        return self.read(RELAY + text).hops

    def write_key(self, name: str = "hop.key0", **how: object) -> None:
        text = key0_text(**{"initiator": "agent@visited.example", "responder": "aaa@visited.example", **how})  # type: ignore[arg-type]  # as they are
        write_private(self.folder / name, text)

    def test_what_a_hop_is_unless_said_otherwise(self) -> None:
        (hop,) = self.hops(HOP)
        self.assertEqual((hop.security, hop.port, hop.authentication, hop.key0), ("tls", 4435, "certificate", None))
        settings = self.read(RELAY)
        self.assertEqual((settings.hops, settings.hops_listen.addresses, settings.hops_listen.port), ((), (), 4435))

    def test_under_an_association_the_port_is_that_of_negotiations(self) -> None:
        self.write_key()
        (hop,) = self.hops(ASSOCIATED)
        self.assertEqual((hop.port, hop.authentication), (4434, "key0"))
        self.assertEqual(self.hops(ASSOCIATED + "port = 77\n")[0].port, 77)

    def test_what_contradicts_itself(self) -> None:
        self.write_key()
        for text, problem in (
            (HOP + HOP, "hops[1].nai: must differ from hops[0].nai"),
            (HOP.replace("aaa@", "agent@"), "hops[0].nai: must be somebody else: this is identity.nai"),
            (HOP.replace("aaa@", "*@"), "hops[0].nai: must be one principal"),
            (HOP + 'security = "none"', 'hops[0].security: must be one of "tls", "association"'),
            (HOP + 'security = "tls"\nauthentication = "key0"', 'hops[0].authentication: must be "certificate"'),
            (HOP + 'key0 = "hop.key0"', 'hops[0].key0: must go: security is "tls"'),
            (HOP + 'security = "association"\nauthentication = "key0"', "hops[0].key0: is required"),
            (HOP + 'security = "association"\nkey0 = "hop.key0"', "hops[0].key0: must go, or authentication be"),
            (HOP + 'authentication = "registration"', 'hops[0].authentication: must be one of "key0", "certificate"'),
            ('[hops-listen]\naccept = ["a@b.example", "a@b.example"]', "hops-listen.accept[1]: must differ from"),
            ('[hops-listen]\naddresses = ["::", "0.0.0.0"]', 'hops-listen.addresses[1]: must go: "::" alone'),
            ('[hops-listen]\naccept = ["everybody"]', "hops-listen.accept[0]: must be a network access identifier"),
        ):
            found = self.problems(RELAY + text)
            self.assertTrue(any(each.startswith(problem) for each in found), (text, found))

    def test_one_port_is_not_for_two(self) -> None:
        for listen, hops in (
            ("127.0.0.1", "127.0.0.1"),
            ("0.0.0.0", "127.0.0.1"),  # a configuration
            ("::1", "::"),
            ("127.0.0.1", "::"),
        ):
            text = f'[listen]\naddresses = ["{listen}"]\n[hops-listen]\naddresses = ["{hops}"]\nport = 4434\n'
            found = self.problems(RELAY + text)
            self.assertEqual(found, ["hops-listen.port: must differ from listen.port, 4434: the addresses meet"])
        for listen, hops in (("127.0.0.1", "127.0.0.2"), ("::1", "0.0.0.0")):  # a configuration
            text = f'[listen]\naddresses = ["{listen}"]\n[hops-listen]\naddresses = ["{hops}"]\nport = 4434\n'
            self.assertEqual(self.read(RELAY + text).hops_listen.port, 4434)

    def test_the_key_of_a_hop(self) -> None:
        self.write_key(initiator="somebody@else.example")
        self.assertIn("is between", self.problems(RELAY + ASSOCIATED)[0])
        self.write_key(key="00")
        self.assertIn("64 hexadecimal digits", self.problems(RELAY + ASSOCIATED)[0])
        other = ASSOCIATED.replace("aaa@visited", "aaa@home").replace("hop.key0", "other.key0")
        self.write_key()
        self.write_key("other.key0", responder="aaa@home.example")
        self.assertIn("has the SPI of hops[0].key0", self.problems(RELAY + ASSOCIATED + other)[0])
        self.write_key("other.key0", responder="aaa@home.example", spi=5000, key=KEY[::-1])
        self.assertEqual(len(self.hops(ASSOCIATED + other)), 2)

    def test_who_needs_a_certificate(self) -> None:
        file = self.folder / "agent.toml"
        whole = self.folder / "whole.toml"
        self.write_key()
        for text, who in (
            (HOP, "the hop to aaa@visited.example needs it"),
            ("[hops-listen]\naddresses = ['::1']\n", "hops-listen needs it"),
        ):
            self.read(RELAY + text)
            whole.write_text(
                "\n".join(each for each in file.read_text().splitlines() if ".pem" not in each and '.key"' not in each)
            )
            found = self.problems_of(whole.read_text())
            self.assertIn(f"identity.certificate: is required: {who}", found)

    def problems_of(self, text: str) -> list[str]:
        (self.folder / "agent.toml").write_text(text)
        with self.assertRaises(ConfigInvalid) as caught:
            load(self.folder / "agent.toml", AgentSettings)
        return list(map(str, caught.exception.problems))


class RelayTests(AgentCase):
    def test_what_contradicts_itself(self) -> None:
        write_credentials(self.folder, "agent", "agent@visited.example")
        for text, problem in (
            ('[aaa]\nhome-agents = ["h@x.example", "h@x.example"]', "aaa.home-agents[1]: must differ from"),
            (
                '[[aaa.routes]]\nrealm = "x"\nnext = ["aaa@visited.exampel"]',
                "aaa.routes[0].next[0]: must be one of hops",
            ),
            (
                '[[aaa.routes]]\nrealm = "x"\nnext = ["agent@visited.example"]',
                "aaa.routes[0].next[0]: must be somebody else",
            ),
            ('[[aaa.routes]]\nrealm = "x"\nnext = []', "aaa.routes[0].next: must be a list of 1 to 8"),
            (
                '[[aaa.routes]]\nrealm = "a@b"\nnext = ["aaa@visited.example"]',
                "aaa.routes[0].realm: must be a realm such as",
            ),
            (
                '[[aaa.routes]]\nrealm = "x"\nnext = ["aaa@visited.example", "aaa@visited.example"]',
                "aaa.routes[0].next[1]: must differ from",
            ),
            (
                2 * '[[aaa.routes]]\nrealm = "x"\nnext = ["aaa@visited.example"]\n',
                "aaa.routes[1].realm: must differ from",
            ),
            ("[aaa]\npending = 0", "aaa.pending: must be a whole number from 1 to 65536"),
        ):
            found = self.problems(f"{text}\n{HOP}")
            self.assertTrue(any(each.startswith(problem) for each in found), (text, found))
