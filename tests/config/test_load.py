"""Whole files: tiny ones work, and everything wrong with a file is said at once."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from seckex.config.files import Owner
from seckex.config.initiator import Forward, InitiatorLimits, InitiatorSettings
from seckex.config.listen import Listen
from seckex.config.load import MAX_SETTINGS_FILE, load, load_any, prepare_state, read_settings
from seckex.config.policy import PolicySettings
from seckex.config.problems import ConfigInvalid
from seckex.config.responder import ResponderLimits, ResponderSettings, Service
from tests.config.written import INITIATOR, KEY, RESPONDER, STATE, key0_text, write_all, write_private

WANTED = 'one of "initiator", "responder", "agent", "kdc"'


class LoadCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()

    def write(self, text: str) -> Path:
        return write_all(self.directory, text)

    def problems(self, text: str) -> list[str]:
        with self.assertRaises(ConfigInvalid) as caught:
            load_any(self.write(text))
        self.assertEqual(caught.exception.file, str(self.directory / "seckex.toml"))
        return [str(problem) for problem in caught.exception.problems]


class MinimalTests(LoadCase):
    def test_a_responder(self) -> None:
        loaded = load(self.write(RESPONDER), ResponderSettings)
        settings = loaded.settings
        self.assertEqual(settings.identity.nai, "home@example.org")
        self.assertEqual(settings.listen, Listen(addresses=("127.0.0.1", "::1"), port=4434))
        self.assertEqual(settings.peers[0].services, ("web",))
        self.assertEqual(settings.services, {"web": Service(connect="tcp:127.0.0.1:8000")})
        self.assertEqual((settings.policy, settings.limits), (PolicySettings(), ResponderLimits()))
        self.assertEqual(settings.limits.clock_window, 300)
        self.assertEqual(loaded.keys["node@example.net"].key.octets.hex(), KEY)

    def test_an_initiator(self) -> None:
        loaded = load(self.write(INITIATOR), InitiatorSettings)
        [peer] = loaded.settings.peers
        self.assertEqual((peer.address, peer.port), ("192.0.2.1", 4434))
        forward = Forward(listen="tcp:8080:interface=127.0.0.1", peer="home@example.org", service="web")
        self.assertEqual(loaded.settings.forwards, (forward,))
        self.assertEqual(loaded.settings.limits, InitiatorLimits())
        self.assertEqual(list(loaded.keys), ["home@example.org"])

    def test_paths_start_at_the_file(self) -> None:
        more = 'master-key = "../m"\n[log]\nfile = "a.log"\n[[peers]]'
        settings = load(self.write(RESPONDER.replace("[[peers]]", more)), ResponderSettings).settings
        self.assertEqual(settings.state.directory, self.directory / "state")
        self.assertEqual(settings.state.master_key, self.directory / "../m")
        self.assertEqual(settings.log.file, self.directory / "a.log")
        self.assertEqual(settings.peers[0].key0, self.directory / "key0.toml")

    def test_the_standard_error_is_a_dash(self) -> None:
        self.assertIsNone(load(self.write(RESPONDER + '[log]\nfile = "-"'), ResponderSettings).settings.log.file)

    def test_state_has_a_place_by_default(self) -> None:
        text = RESPONDER.replace('directory = "state"', "")
        self.patch(os, "environ", {"HOME": "/home/op", "XDG_STATE_HOME": "/var/state"})
        self.assertEqual(read_settings(self.write(text)).state.directory, Path("/var/state/seckex/responder"))
        self.patch(os, "environ", {"HOME": "/home/op", "XDG_STATE_HOME": "relative"})
        self.assertEqual(
            read_settings(self.write(text)).state.directory, Path("/home/op/.local/state/seckex/responder")
        )

    def test_a_home_is_found(self) -> None:
        self.patch(os, "environ", {"HOME": "/home/op"})
        text = RESPONDER.replace('"state"', '"~/s"').replace('control = "/run/seckex.sock"', "")
        state = read_settings(self.write(text)).state
        self.assertEqual(state.control, Path("/home/op/s/control.sock"))
        self.assertEqual(state.master_key, Path("/home/op/s/master.key"))
        self.assertIn(
            "state.directory: must be a path whose ~ stands for a home directory",
            self.problems(RESPONDER.replace('"state"', '"~nobody-of-that-name/s"'))[0],
        )

    def test_settings_alone_need_no_keys(self) -> None:
        file = self.write(RESPONDER)
        (self.directory / "key0.toml").unlink()
        self.assertEqual(read_settings(file).state.worker, 0)
        self.assertRaises(ConfigInvalid, load_any, file)


class RoleTests(LoadCase):
    def test_the_other_daemons_file_is_refused(self) -> None:
        with self.assertRaises(ConfigInvalid) as caught:
            load(self.write(RESPONDER), InitiatorSettings)
        self.assertIn('role: must be "initiator" for this daemon, not "responder"', str(caught.exception))

    def test_a_role_is_required(self) -> None:
        for text, why in {
            "": f"role: is required: {WANTED}",
            'role = "responer"': f'role: must be {WANTED}, not "responer": did you mean "responder"?',
            "role = 1": f"role: must be {WANTED}, not 1",
        }.items():
            self.assertEqual(self.problems(text), [why])
            self.assertRaises(ConfigInvalid, load, self.directory / "seckex.toml", ResponderSettings)

    def test_a_role_that_is_no_text(self) -> None:
        for text in ("role = []", "role = {}"):
            with self.assertRaises(ConfigInvalid) as caught:
                load(self.write(text), InitiatorSettings)
            self.assertIn(f"role: must be {WANTED}, not ", str(caught.exception))


class UnreadableTests(LoadCase):
    def test_files_that_are_none(self) -> None:
        for text, why in {
            "role = ": "is not TOML: Invalid value (at end of document)",
            "a = 1\na = 2": "is not TOML: Cannot overwrite a value",
            "a = " + "[" * 100_000: "is nested too deeply",
            "a = " + "9" * 5000: "is not TOML",
            "#" * (MAX_SETTINGS_FILE + 1): "is longer than 1048576 octets",
        }.items():
            [problem] = self.problems(text)
            self.assertIn(why, problem)
        file = self.write("")
        file.write_bytes(b"role = '\xff'")
        self.assertRaisesRegex(ConfigInvalid, "is not UTF-8 text \\(at octet 8\\)", load_any, file)
        self.assertRaisesRegex(ConfigInvalid, "cannot be read: No such file", load_any, self.directory / "none")
        self.assertRaisesRegex(ConfigInvalid, "cannot be read: Is a directory", load_any, self.directory)


class CollectedTests(LoadCase):
    def test_all_mistakes_of_a_file_are_told_together(self) -> None:
        problems = self.problems(
            """
            role = "responder"
            colour = "red"
            [identity]
            nia = "home@example.org"
            [listen]
            addresses = ["127.0.0.1", "localhost"]
            port = "4434"
            [[peers]]
            nai = "node"
            key0 = ""
            services = ["web"]
            [services.web]
            connect = "tcp:127.0.0.1"
            [services."a\\tb"]
            [state]
            control = "/run/seckex.sock"
            worker = 64
            [policy]
            [[policy.proposals]]
            encryption = ["des"]
            [limits]
            half_open = 1
            clock-window = "1d"
            [log]
            format = "xml"
            """
        )
        self.assertEqual(
            [problem.split(": ")[0] for problem in problems],
            [
                "identity.nai",
                "identity.nia",
                "state.worker",
                "policy.proposals[0].encryption[0]",
                "log.format",
                "listen.addresses[1]",
                "listen.port",
                "peers[0].nai",
                "peers[0].key0",
                "services",
                "limits.clock-window",
                "limits.half_open",
                "colour",
            ],
        )
        self.assertIn('identity.nia: is not a setting; did you mean "nai"?', problems)
        self.assertIn('limits.half_open: is not a setting; did you mean "half-open"?', problems)
        self.assertIn('listen.port: must be a whole number from 1 to 65535, not "4434"', problems)

    def test_contradictions_of_sections_that_are_right_join_the_mistakes_of_others(self) -> None:
        text = RESPONDER.replace('services = ["web"]', 'services = ["web", "wep"]') + "[limits]\nlinks = 0\n"
        self.assertEqual(
            [problem.split(": ")[0] for problem in self.problems(text)], ["limits.links", "peers[0].services[1]"]
        )

    def test_wrong_shapes(self) -> None:
        for text, path in {
            RESPONDER.replace("[services.web]", "[[services]]"): "services",
            RESPONDER.replace("[[peers]]", "[peers]"): "peers",
            RESPONDER + "[limits.links]": "limits.links",
            RESPONDER.replace(STATE, "").replace("[identity]", "state = 1\n[identity]"): "state",
        }.items():
            self.assertIn(path, [problem.split(":")[0] for problem in self.problems(text)])

    def test_a_missing_section(self) -> None:
        self.assertEqual(
            self.problems('role = "initiator"\n[identity]\nnai = "a@b"'),
            ["peers: is required: a list of 1 to 4096, unless there is messages"],
        )


class PeerTests(LoadCase):
    def second(self, nai: str = "other@example.net", key0: str = "other.toml", services: str = "") -> str:
        return f'[[peers]]\nnai = "{nai}"\nkey0 = "{key0}"\n{services}\n'

    def with_second(self, settings: str, key0: str) -> list[str]:
        self.directory.mkdir()
        write_private(self.directory / "other.toml", key0)
        return self.problems(settings)

    def test_peers_differ_from_each_other_and_from_us(self) -> None:
        problems = self.problems(
            RESPONDER + self.second("node@example.net", "key0.toml") + self.second("home@example.org", "k")
        )
        self.assertEqual(problems[0], 'peers[1].nai: must differ from peers[0].nai: both are "node@example.net"')
        self.assertEqual(problems[1], "peers[2].nai: must be somebody else: this is identity.nai")
        self.assertIn("peers[1].key0", problems[2])
        self.assertIn(f"has the SPI of peers[0].key0, {4097}", problems[2])
        self.assertIn("cannot be read", problems[3])

    def test_a_key_is_for_the_two_that_it_names(self) -> None:
        text = key0_text(spi=5000, initiator="other@example.net", responder="third@example.org")
        [problem] = self.with_second(RESPONDER + self.second(), text)
        self.assertIn("is between other@example.net and third@example.org, not between", problem)
        self.assertIn("home@example.org and other@example.net", problem)

    def test_either_of_the_two_may_initiate(self) -> None:
        self.directory.mkdir()
        write_private(
            self.directory / "other.toml",
            key0_text(spi=5000, initiator="home@example.org", responder="other@example.net"),
        )
        loaded = load_any(self.write(RESPONDER + self.second()))
        self.assertEqual(loaded.keys["other@example.net"].spi, 5000)

    def test_two_keys_with_one_spi(self) -> None:
        [problem] = self.with_second(RESPONDER + self.second(), key0_text(initiator="other@example.net"))
        self.assertTrue(problem.startswith("peers[1].key0: "))
        self.assertIn("has the SPI of peers[0].key0, 4097: each needs its own", problem)

    def test_a_bad_key_file_is_named_and_not_repeated(self) -> None:
        [problem] = self.with_second(RESPONDER + self.second(), key0_text(key="zz", spi=1))
        self.assertTrue(problem.startswith(f"peers[1].key0: {self.directory / 'other.toml'}: spi: must be"))
        self.assertIn("; key: must be 64 hexadecimal digits", problem)

    def test_a_key_in_place_of_its_file_is_not_repeated(self) -> None:
        [problem] = self.problems(RESPONDER + self.second(key0=KEY))
        self.assertEqual(problem, "peers[1].key0: must be the path of a key file, not a key")


class ServiceTests(LoadCase):
    def test_peers_use_services_that_exist(self) -> None:
        self.assertEqual(
            self.problems(RESPONDER.replace('["web"]', '["wbe", "mail"]')),
            [
                'peers[0].services[0]: must be one of services, not "wbe"; did you mean "web"?',
                'peers[0].services[1]: must be one of services, not "mail"; add it as a table of services',
            ],
        )

    def test_addresses_differ(self) -> None:
        text = RESPONDER + '[listen]\naddresses = ["::1", "::1"]'
        self.assertEqual(
            self.problems(text), ['listen.addresses[1]: must differ from listen.addresses[0]: both are "::1"']
        )

    def test_forwards_lead_to_peers(self) -> None:
        more = """
        [[forwards]]
        listen = "tcp:8080:interface=127.0.0.1"
        peer = "hom@example.org"
        service = "web"
        [[forwards]]
        listen = "tcp:0:interface=127.0.0.1"
        peer = "home@example.org"
        service = "web"
        [[forwards]]
        listen = "tcp:0:interface=127.0.0.1"
        peer = "home@example.org"
        service = "mail"
        """
        self.assertEqual(
            self.problems(INITIATOR + more),
            [
                'forwards[1].listen: must differ from forwards[0].listen: both are "tcp:8080:interface=127.0.0.1"',
                'forwards[1].peer: must be one of peers, not "hom@example.org"; did you mean "home@example.org"?',
            ],
        )


class StateTests(LoadCase):
    def test_a_directory_that_others_can_enter_is_refused(self) -> None:
        file = self.write(RESPONDER)
        state = self.directory / "state"
        state.mkdir()
        for mode in (0o710, 0o701, 0o755):
            state.chmod(mode)
            self.assertRaisesRegex(ConfigInvalid, "state.directory: .* run chmod 0700", load_any, file)
            self.assertRaisesRegex(ConfigInvalid, "run chmod 0700", prepare_state, file, read_settings(file).state)
        state.chmod(0o700)
        load_any(file)

    def test_a_directory_of_somebody_else_is_refused(self) -> None:
        file = self.write(RESPONDER)
        (self.directory / "state").mkdir(mode=0o700)
        self.patch(os, "geteuid", lambda: os.getuid() + 1)
        self.assertRaisesRegex(
            ConfigInvalid, f"state.directory: .* belongs to user {os.getuid()}, not to", load_any, file
        )

    def test_a_directory_behind_a_file_is_refused(self) -> None:
        file = self.write(RESPONDER.replace('"state"', '"key0.toml/state"'))
        self.assertRaisesRegex(ConfigInvalid, "state.directory: .* cannot be entered: Not a directory", load_any, file)

    def test_it_is_made_when_the_daemon_starts(self) -> None:
        file = self.write(RESPONDER)
        state = load_any(file).settings.state
        self.assertFalse(state.directory.exists())
        prepare_state(file, state)
        self.assertEqual(state.directory.stat().st_mode & 0o777, 0o700)
        prepare_state(file, state)

    def test_the_owner_may_be_somebody_else_than_who_reads(self) -> None:
        """Root reads for the user that the daemon is about to become."""
        file = self.write(RESPONDER)
        directory = self.directory / "state"
        other = Owner(os.getuid() + 1, os.getgid() + 1)
        given: list[object] = []
        self.patch(os, "chown", lambda path, uid, gid, **_: given.append((path, Owner(uid, gid))))
        self.assertRaisesRegex(ConfigInvalid, "belongs to user", prepare_state, file, read_settings(file).state, other)
        # What was made was given away, had that been more than a trial; what is there belongs to the wrong one.
        self.assertEqual(given, [(directory, other)])
        self.assertRaisesRegex(ConfigInvalid, f"not to user {other.uid} who runs", load, file, ResponderSettings, other)

    def test_what_is_no_directory(self) -> None:
        file = self.write(RESPONDER)
        (self.directory / "state").write_text("")
        self.assertRaisesRegex(ConfigInvalid, "state.directory: .* is not a directory", load_any, file)
        self.assertRaisesRegex(
            ConfigInvalid, "state.directory: .* is not a directory", prepare_state, file, read_settings(file).state
        )

    def test_a_socket_needs_a_short_path(self) -> None:
        text = RESPONDER.replace("/run/seckex.sock", f"/{'x' * 107}")
        [problem] = self.problems(text)
        self.assertIn("state.control: must be a path of at most 107 octets", problem)


class PartTests(LoadCase):
    """What can be read of a list is judged, whatever else is wrong with it."""

    SECOND = '[[peers]]\nnai = "second@example.org"\nkey0 = "none.toml"\n'

    def test_the_other_peers_keys_are_read_all_the_same(self) -> None:
        first, second = self.problems(RESPONDER + '[[peers]]\nnai = 5\nkey0 = "key0.toml"\n' + self.SECOND)
        self.assertTrue(first.startswith("peers[1].nai: must be "), first)
        self.assertTrue(second.startswith("peers[2].key0: "), second)

    def test_names_of_tables_that_cannot_be_read_are_known(self) -> None:
        text = INITIATOR.replace('address = "192.0.2.1"', "address = 5")
        (problem,) = self.problems(text)
        self.assertTrue(problem.startswith("peers[0].address: "), problem)
        _, problem = self.problems(text.replace('peer = "home', 'peer = "hme'))
        self.assertTrue(problem.startswith("forwards[0].peer: must be one of peers"), problem)

    def test_a_name_that_cannot_be_read_may_be_the_one_that_is_meant(self) -> None:
        (problem,) = self.problems(INITIATOR.replace('nai = "home@example.org"', "nai = 5"))
        self.assertTrue(problem.startswith("peers[0].nai: "), problem)

    def test_names_are_compared_with_those_of_tables_that_cannot_be_read(self) -> None:
        more = '[[peers]]\nnai = "node@example.net"\nservices = "web"\n'
        problems = self.problems(RESPONDER + more)
        self.assertEqual(
            [problem.split(": ")[0] for problem in problems], ["peers[1].services", "peers[1].nai", "peers[1].key0"]
        )

    def test_services_that_cannot_be_read_are_known(self) -> None:
        text = RESPONDER.replace('services = ["web"]', 'services = ["web", "wbe"]').replace('"tcp:127.0.0.1:8000"', "5")
        problems = self.problems(text)
        self.assertEqual(
            [problem.split(": ")[0] for problem in problems], ["services.web.connect", "peers[0].services[1]"]
        )

    def test_what_is_no_table_at_all(self) -> None:
        for text in ('peers = [5, "x"]', "peers = 5", "peers = {}"):
            start, _, rest = RESPONDER.partition("[[peers]]")
            _, _, end = rest.partition("[services.web]")
            problems = self.problems(text + "\n" + start + "[services.web]" + end)
            self.assertTrue(all(problem.startswith("peers") for problem in problems), problems)


class WorkerTests(LoadCase):
    def test_each_worker_has_a_control_socket_of_its_own(self) -> None:
        for worker, name in ((0, "control.sock"), (1, "control-1.sock"), (63, "control-63.sock")):
            text = RESPONDER.replace('control = "/run/seckex.sock"', f"worker = {worker}")
            text = text.replace('directory = "state"', 'directory = "/s"')
            self.assertEqual(read_settings(self.write(text)).state.control, Path("/s") / name)
