"""Two machines without an authority, each with its state directory, get to know each other."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import stat
import threading
import time
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from seckex.cli.main import main
from seckex.cli.pair import group, live
from seckex.config.load import load_any
from seckex.config.pairs import pair_file, read_pairs
from seckex.config.problems import ConfigInvalid
from seckex.crypto.hpke import seed_size
from seckex.crypto.identity import Identity
from seckex.crypto.issuing import issue_alone
from seckex.crypto.pairing import Acquaintance, make_card
from seckex.crypto.prekeys import make_prekey, sign_prekey
from seckex.errors import BadCertificate, SeckexError
from seckex.exchange.pairing import Pairing
from seckex.wire.numbers import Kem
from seckex.wire.pairing import Commit, armour, encode_pairing
from tests.config.written import STATE

NODE, HOME = "node@example.net", "home@example.org"
CODE = re.compile(r"^  code        (.*)$", re.MULTILINE)
SETTINGS = {
    NODE: 'role = "initiator"\n',
    HOME: 'role = "responder"\n',
}


class PairCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.node, self.home = self.machine(NODE, HOME), self.machine(HOME, NODE)

    def machine(self, nai: str, other: str) -> Path:
        """Make a certificate and a configuration, and return its file."""
        folder = self.directory / nai.partition("@")[0]
        folder.mkdir()
        self.done("init", "--nai", nai, "-o", str(folder / "own.pem"))
        config = folder / "seckex.toml"
        peer = 'address = "192.0.2.1"\n' if nai == NODE else ""
        config.write_text(
            f'{SETTINGS[nai]}[identity]\nnai = "{nai}"\ncertificate = "own.pem"\nprivate-key = "own.key"\n'
            f'{STATE}[[peers]]\nnai = "{other}"\nauthentication = "certificate"\n{peer}'
        )
        return config

    def pair(self, *arguments: str, said: str | None = None) -> Result:
        return CliRunner().invoke(main, ["pair", *arguments], input=said)

    def done(self, *arguments: str, said: str | None = None) -> str:
        result = self.pair(*arguments, said=said)
        self.assertEqual(result.exit_code, 0, result.output)
        return result.stdout

    def card(self, config: Path, *more: str) -> Path:
        file = config.with_name("card")
        file.unlink(missing_ok=True)
        self.done("export", "--config", str(config), "-o", str(file), *more)
        return file

    def carried(self) -> None:
        for own, other in ((self.node, self.home), (self.home, self.node)):
            self.done("import", str(self.card(other)), "--config", str(own), said="y\n")

    def identity(self, config: Path) -> Identity:
        file = config.with_name("own.pem")
        return Identity.from_pem(file.read_bytes(), file.with_suffix(".key").read_bytes())

    def paired(self, config: Path) -> list[str]:
        return [each.nai for _, each in read_pairs(config.parent / "state")[0]]


class CarriedTests(PairCase):
    def test_each_imports_the_others_card_and_believes_it_from_then_on(self) -> None:
        self.assertIn("identity.trust: is required", str(self.assertRaises(ConfigInvalid, load_any, self.node)))
        self.carried()
        for own, other in ((self.node, self.home), (self.home, self.node)):
            credentials = load_any(own).credentials
            assert credentials is not None
            theirs = self.identity(other)
            self.assertEqual(credentials.trust.verify(theirs.chain, time.time()).nai, theirs.nai)
            alone = issue_alone(theirs.nai, time.time(), 10)
            false = Identity.from_pem(alone.certificate, alone.key.octets)
            self.assertRaises(BadCertificate, credentials.trust.verify, false.chain, time.time())

    def test_both_are_shown_the_same_code_then_and_later(self) -> None:
        shown = [
            self.done("import", str(self.card(other)), "--config", str(own), said="y\n")
            for own, other in ((self.node, self.home), (self.home, self.node))
        ]
        shown += [self.done("list", "--config", str(own)) for own in (self.node, self.home)]
        codes = {CODE.findall(text)[0] for text in shown}
        self.assertEqual(len(codes), 1)
        self.assertRegex(codes.pop(), r"^(\d{5} ){11}\d{5}$")
        self.assertIn(self.identity(self.home).fingerprint, shown[0])

    def test_who_says_no_stores_nothing(self) -> None:
        for said in ("n\n", "\n", ""):
            result = self.pair("import", str(self.card(self.home)), "--config", str(self.node), said=said)
            self.assertEqual(result.exit_code, 1)
        self.assertEqual(self.paired(self.node), [])

    def test_a_code_can_be_given_and_must_be_right(self) -> None:
        card = self.card(self.home)
        shown = self.pair("import", str(card), "--config", str(self.node), said="n\n").stdout
        code = CODE.findall(shown)[0]
        wrong = code[:-1] + ("0" if code[-1] != "0" else "1")
        result = self.pair("import", str(card), "--config", str(self.node), "--code", wrong)
        self.assertEqual((result.exit_code, self.paired(self.node)), (1, []))
        self.assertIn("another code", result.stderr)
        told = json.loads(
            self.done("import", str(card), "--config", str(self.node), "--code", code.replace(" ", ""), "--json")
        )
        self.assertEqual((told["nai"], self.paired(self.node)), (HOME, [HOME]))
        self.assertEqual(told["fingerprint"], self.identity(self.home).fingerprint)

    def test_with_json_nobody_is_asked(self) -> None:
        result = self.pair("import", str(self.card(self.home)), "--config", str(self.node), "--json", said="y\n")
        self.assertEqual((result.exit_code, self.paired(self.node)), (2, []))

    def test_files_are_private_and_complete(self) -> None:
        self.carried()
        folder = self.node.parent / "state" / "pairs"
        self.assertEqual([file.name for file in folder.iterdir()], ["home@example.org.pair"])
        self.assertEqual(stat.S_IMODE(folder.stat().st_mode), 0o700)
        self.assertEqual(stat.S_IMODE((folder / "home@example.org.pair").stat().st_mode), 0o600)

    def test_a_new_certificate_takes_the_place_of_the_old_one_and_that_is_said(self) -> None:
        self.carried()
        before = self.identity(self.home).fingerprint
        for name in ("own.pem", "own.key"):
            self.home.with_name(name).unlink()
        self.done("init", "--nai", HOME, "-o", str(self.home.with_name("own.pem")))
        shown = self.done("import", str(self.card(self.home)), "--config", str(self.node), said="y\n")
        self.assertIn("replaces the certificate", shown)
        self.assertIn(before, shown)
        found, _ = read_pairs(self.node.parent / "state")
        self.assertEqual([each.voucher.fingerprint for _, each in found], [self.identity(self.home).fingerprint])

    def test_an_address_becomes_lines_of_a_configuration(self) -> None:
        card = self.card(self.home, "--address", "[2001:db8::1]:4434")
        shown = self.done("import", str(card), "--config", str(self.node), said="y\n")
        self.assertIn('nai = "home@example.org"\n  address = "2001:db8::1"\n  port = 4434', shown)

    def test_what_is_no_card_of_somebody_else(self) -> None:
        for octets, why in (
            (b"hello", "nothing between"),
            (self.card(self.node).read_bytes(), "ourselves"),
            (self.card(self.home).read_bytes().replace(b"A", b"B"), ""),
        ):
            file = self.directory / "wrong"
            file.write_bytes(octets)
            result = self.pair("import", str(file), "--config", str(self.node), said="y\n")
            self.assertEqual((result.exit_code, self.paired(self.node)), (1, []), octets)
            self.assertIn(why, result.stderr)
            self.assertEqual(len(result.stderr.splitlines()), 1)

    def test_forgetting(self) -> None:
        self.carried()
        self.done("forget", HOME, "--config", str(self.node))
        self.assertEqual(self.paired(self.node), [])
        self.assertEqual(self.pair("forget", HOME, "--config", str(self.node)).exit_code, 1)

    def test_a_card_is_printed_unless_a_file_is_named_and_none_is_overwritten(self) -> None:
        self.assertIn("BEGIN SECKEX PAIR", self.done("export", "--config", str(self.node)))
        file = self.card(self.node)
        result = self.pair("export", "--config", str(self.node), "-o", str(file))
        self.assertEqual(result.exit_code, 1)
        told = json.loads(self.done("export", "--config", str(self.node), "--json"))
        self.assertEqual(told["fingerprint"], self.identity(self.node).fingerprint)

    def test_without_a_certificate_it_says_how_to_make_one(self) -> None:
        text = self.node.read_text().replace('certificate = "own.pem"\nprivate-key = "own.key"\n', "")
        self.node.write_text(text.replace('authentication = "certificate"', 'key0 = "key0.toml"'))
        result = self.pair("export", "--config", str(self.node))
        self.assertEqual(result.exit_code, 4)
        self.assertIn("seckex pair init", result.stderr)


class FilesTests(PairCase):
    def test_what_is_wrong_with_files_is_said_and_nothing_is_believed(self) -> None:
        self.carried()
        state = self.node.parent / "state"
        file = pair_file(state, HOME)
        right = file.read_bytes()
        for octets, name, mode, why in (
            (right[:100], HOME, 0o600, "nothing between"),
            (right, HOME, 0o644, "too open for a secret"),
            (right, "else@example.org", 0o600, "whose file has another name"),
            (armour(b"card").encode(), HOME, 0o600, "protocol version"),
        ):
            file.unlink()
            file = pair_file(state, name)
            file.write_bytes(octets)
            file.chmod(mode)
            error = self.assertRaises(ConfigInvalid, load_any, self.node)
            self.assertIn(why, str(error))
            result = self.pair("list", "--config", str(self.node))
            self.assertEqual((result.exit_code, result.stdout), (1, ""))
            self.assertIn(why, result.stderr)

    def test_names_that_are_no_names_of_files(self) -> None:
        state = self.directory
        for nai in ("../../x@example.org", "a/b@example.org", ".@example.org"):
            self.assertEqual(pair_file(state, nai).parent, state / "pairs")
        self.assertEqual(len({pair_file(state, nai) for nai in ("a/b@c", "a_b@c", "a%2Fb@c")}), 3)
        self.assertRaises(ConfigInvalid, pair_file, state, "x" * 250 + "@c")


class LiveTests(PairCase):
    """One side is the command, the other a thread with the same protocol."""

    def setUp(self) -> None:
        super().setUp()
        self.codes: list[str] = []
        self.ended: list[Acquaintance | SeckexError] = []

    def other(self, connection: socket.socket, own: Identity, *, calls: bool, equal: bool = True) -> None:
        pairing = Pairing(own, make_card(own, "192.0.2.9:4434"), b"r" * 32, calls=calls)

        def compare(code: str, _peer: Acquaintance) -> bool:
            self.codes.append(code)
            return equal

        try:
            self.ended.append(live.converse(connection, pairing, compare))
        except SeckexError as error:
            self.ended.append(error)
        finally:
            connection.close()

    def server(self) -> tuple[socket.socket, int]:
        waiting = socket.create_server(("127.0.0.1", 0))
        waiting.settimeout(10)
        self.addCleanup(waiting.close)
        return waiting, waiting.getsockname()[1]

    def start(self, function: Any, **how: Any) -> None:
        thread = threading.Thread(target=function, kwargs=how, daemon=True)
        thread.start()
        self.addCleanup(thread.join, 10)
        self.thread = thread

    def call(self, said: str, *more: str, equal: bool = True) -> Result:
        """Run the command that calls, with somebody who listens."""
        waiting, port = self.server()

        def answer() -> None:
            connection, _ = waiting.accept()
            self.other(connection, self.identity(self.home), calls=False, equal=equal)

        self.start(answer)
        result = self.pair("with", f"127.0.0.1:{port}", "--config", str(self.node), *more, said=said)
        self.thread.join(10)
        return result

    def listen(self, said: str, *before: bytes) -> Result:
        """Run the command that listens; others call before the one that pairs."""
        waiting, port = self.server()
        self.patch(socket, "create_server", lambda *_args, **_how: waiting)

        def call() -> None:
            for octets in before:
                with (
                    contextlib.suppress(ConnectionError),
                    socket.create_connection(("127.0.0.1", port), 10) as stranger,
                ):
                    stranger.sendall(octets)
                    stranger.shutdown(socket.SHUT_WR)
                    while stranger.recv(65536):
                        pass
            self.other(socket.create_connection(("127.0.0.1", port), 30), self.identity(self.node), calls=True)

        self.start(call)
        result = self.pair("listen", "--config", str(self.home), said=said)
        self.thread.join(10)
        return result

    def test_who_calls_sees_the_code_of_who_listens(self) -> None:
        result = self.call("y\n")
        self.assertEqual(result.exit_code, 0, result.output)
        self.assertEqual(CODE.findall(result.stdout), self.codes)
        self.assertEqual(self.paired(self.node), [HOME])
        self.assertIn('address = "192.0.2.9"\n  port = 4434', result.stdout)

    def test_and_the_other_way_round(self) -> None:
        result = self.listen("y\n")
        self.assertEqual(result.exit_code, 0, result.output)
        self.assertEqual(CODE.findall(result.stdout), self.codes)
        self.assertEqual(self.paired(self.home), [NODE])

    def test_with_json_there_is_nothing_else_on_the_standard_output(self) -> None:
        result = self.call("y\n", "--json")
        told = json.loads(result.stdout)
        self.assertEqual((told["nai"], told["address"]), (HOME, "192.0.2.9:4434"))
        self.assertEqual(CODE.findall(result.stderr), self.codes)

    def test_where_either_says_no_nothing_is_stored(self) -> None:
        result = self.call("n\n")
        self.assertEqual((result.exit_code, self.paired(self.node)), (1, []))
        self.assertIn("not found equal", result.stderr)
        self.assertIn("refused", str(self.ended.pop()))
        result = self.call("y\n", equal=False)
        self.assertEqual((result.exit_code, self.paired(self.node)), (1, []))
        self.assertIn("refused", result.stderr)

    def test_a_listener_outlasts_strangers(self) -> None:
        commit = encode_pairing(Commit(bytes(32)))
        result = self.listen("y\n", b"GET / HTTP/1.1\r\n\r\n", b"\0\0", b"", commit, commit + commit)
        self.assertEqual(result.exit_code, 0, result.output)
        self.assertEqual(result.stderr.count("still waiting"), 5)
        self.assertEqual(self.paired(self.home), [NODE])

    def test_nobody_is_there(self) -> None:
        waiting, port = self.server()
        waiting.close()
        result = self.pair("with", f"127.0.0.1:{port}", "--config", str(self.node))
        self.assertEqual(result.exit_code, 1)
        self.assertIn("cannot be reached", result.stderr)

    def test_places(self) -> None:
        place = live._Place()
        for text, found in (
            ("host", ("host", 4436)),
            ("host:1", ("host", 1)),
            ("[2001:db8::1]:7", ("2001:db8::1", 7)),
            ("2001:db8::1", ("2001:db8::1", 4436)),
        ):
            self.assertEqual(place.convert(text, None, None), found)
        for text in ("host:port", "host:65536", ":1", "host:", "host:999999"):
            self.assertEqual(self.pair("with", text, "--config", str(self.node)).exit_code, 2, text)


class PrekeyTests(PairCase):
    """A daemon that runs tells its prekeys, which go on the card."""

    def test_they_come_to_the_other_machine(self) -> None:
        own = self.identity(self.home)
        keys = [sign_prekey(make_prekey(kem, bytes(seed_size(kem)), time.time(), own.not_after), own) for kem in Kem]
        answer = {"schema": "seckex.prekeys/1", "prekeys": [each.hex() for each in keys]}
        self.patch(group, "ask", lambda *_args: answer)
        self.assertIn(
            "prekeys     2", self.done("import", str(self.card(self.home)), "--config", str(self.node), said="y\n")
        )
        self.assertEqual(load_any(self.node).prekeys, {HOME: tuple(keys)})

    def test_what_is_no_answer_leaves_them_out(self) -> None:
        for answer in ({}, {"prekeys": 7}, {"prekeys": ["xy"]}, {"prekeys": [7]}):
            self.patch(group, "ask", lambda *_args, answer=answer: answer)
            shown = self.pair("import", str(self.card(self.home)), "--config", str(self.node), said="n\n")
            self.assertNotIn("prekeys", shown.stdout)

    def test_what_is_no_prekey_is_said_not_to_fit_on_a_card(self) -> None:
        self.patch(group, "ask", lambda *_args: {"prekeys": ["00" * 20_000]})
        result = self.pair("export", "--config", str(self.node))
        self.assertEqual((result.exit_code, result.stdout), (1, ""))
