"""``seckex kdc enrol``, ``rotate``, ``revoke``, ``delete``, ``list`` and ``audit``, off line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from seckex.cli.kdc import changing, enrol
from seckex.config.devicekey import render_public
from seckex.crypto.provisioning import public_of
from seckex.crypto.secrets import Secret
from seckex.errors import StoreFailed
from seckex.storage.sqlite import SqliteStore
from tests.cli.test_kdc import HOME, NODE, KdcCase

HEAD = "nai,home_agent,home_address,layer2\n"


class FleetCase(KdcCase):
    def setUp(self) -> None:
        super().setUp()
        self.init()

    def table(self, text: str, name: str = "fleet.csv") -> str:
        """Write a table, and return its path."""
        (self.directory / name).write_text(text)
        return str(self.directory / name)

    def fleet(self, count: int) -> str:
        return self.table(HEAD + "".join(f"n{n}@example.org,{HOME},,\n" for n in range(count)))

    def listed(self, *options: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.kdc("list", "--json", *options).stdout.splitlines()]

    def key(self) -> str:
        """Make the public key of a device, and return its file."""
        file = self.directory / "device.pub"
        file.write_bytes(render_public(public_of(Secret(bytes(range(32))))))
        return str(file)


class TableTests(FleetCase):
    def test_a_fleet_is_enrolled(self) -> None:
        text = f"{HEAD}a@example.org,{HOME},10.0.0.1,02:00:00:00:00:01\n\n b@example.org , {HOME} ,,\n"
        said = self.kdc("enrol", self.table(text)).stdout
        self.assertIn("2 node(s) added, 0 were there already", said)
        [first, second] = self.listed()
        self.assertEqual((first["home_address"], first["layer2"]), ("10.0.0.1", "02:00:00:00:00:01"))
        self.assertEqual((second["principal"], second["home_address"]), ("b@example.org", None))

    def test_columns_may_stand_in_any_order_and_be_left_out(self) -> None:
        self.kdc("enrol", self.table(f"\ufeffHome-Agent,NAI\n{HOME},{NODE}\n"))
        self.assertEqual([one["principal"] for one in self.listed()], [NODE])

    def test_every_fault_is_named_and_nothing_is_stored(self) -> None:
        text = (
            f"{HEAD}good@example.org,{HOME},,\nbad,{HOME},,\nx@example.org,{HOME},10,02:00\n"
            f"good@example.org,{HOME},,\nshort@example.org\n{HOME},{HOME},,\n,{HOME},,\n"
        )
        said = self.kdc("enrol", self.table(text), code=1).stderr
        for fault in (
            "row 3, column nai: must be a network access identifier",
            "row 4, column home_address: must be an IP address",
            "row 4, column layer2: must be an Ethernet address",
            "row 5, column nai: good@example.org is in row 2 already",
            "row 6 has 1 cells, and the first row 4",
            f"row 7, column home_agent: {HOME} cannot be its own home agent",
            "row 8, column nai: must be",
            "7 fault(s), and nothing was stored",
        ):
            self.assertIn(fault, said)
        self.assertEqual(self.listed(), [])

    def test_a_row_that_contradicts_what_is_there(self) -> None:
        self.add()
        said = self.kdc(
            "enrol", self.table(f"{HEAD}new@example.org,{HOME},,\n{NODE},{HOME},10.0.0.1,\n"), code=1
        ).stderr
        self.assertIn(f"row 3: {NODE} is there already", said)
        self.assertEqual(len(self.listed()), 1)

    def test_headers_that_will_not_do(self) -> None:
        for head, why in (
            ("name,home_agent\n", "'name' is none"),
            ("nai\n", "home_agent is missing"),
            ("nai,home_agent,nai\n", "one is there twice"),
            ("", "nai, home_agent is missing"),
            (HEAD, "has no rows below the first"),
        ):
            self.assertIn(why, self.kdc("enrol", self.table(head), code=1).stderr)
        (self.directory / "latin.csv").write_bytes(b"nai,home_agent\n\xff,x\n")
        self.assertIn("is not UTF-8", self.kdc("enrol", str(self.directory / "latin.csv"), code=1).stderr)
        self.assertIn("cannot be read", self.kdc("enrol", str(self.directory / "none.csv"), code=1).stderr)

    def test_it_may_be_run_again(self) -> None:
        self.kdc("enrol", self.fleet(3))
        told = json.loads(self.kdc("enrol", self.fleet(5), "--json").stdout)
        self.assertEqual(
            (told["schema"], told["rows"], told["added"], told["there"]), ("seckex.kdc-enrolled/1", 5, 2, 3)
        )
        self.assertEqual({one["kvno"] for one in self.listed()}, {1})

    def test_one_that_is_stopped_goes_on_where_it_was(self) -> None:
        self.patch(enrol, "AT_ONCE", 2)
        commit, left = SqliteStore.commit, [2]

        def failing(store: SqliteStore, units: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise StoreFailed("the disk is full")
            return commit(store, units)

        patch = self.patch(SqliteStore, "commit", failing)
        result = self.seckex("enrol", self.fleet(9), "--config", str(self.config))
        self.assertEqual(result.exit_code, 1)
        self.assertIn("rows 6 to 7: the disk is full; 4 node(s) are stored: run it again", result.stderr)
        patch.restore()
        self.assertEqual(len(self.listed()), 4)
        self.assertIn("5 node(s) added, 4 were there already", self.kdc("enrol", self.fleet(9)).stdout)
        self.assertIn("9 entries, each follows", self.kdc("audit", "verify").stdout)

    def test_files_are_made_and_those_that_are_there_left(self) -> None:
        out = self.directory / "out"
        arguments = ("--out", str(out), "--to", self.key())
        self.kdc("enrol", self.fleet(3), *arguments)
        before = (out / "n1@example.org.provision").read_text()
        os.unlink(out / "n2@example.org.provision")
        self.assertIn("2 provisioning file(s) made, 2 were", self.kdc("enrol", self.fleet(4), *arguments).stdout)
        self.assertEqual((out / "n1@example.org.provision").read_text(), before)
        self.assertEqual((out / "n2@example.org.provision").stat().st_mode & 0o777, 0o600)
        entries = [json.loads(line) for line in self.kdc("audit", "show", "--json").stdout.splitlines()]
        self.assertEqual(sum(one["entry"]["what"] == "exported" for one in entries), 5)

    def test_files_under_a_passphrase(self) -> None:
        out = self.directory / "out"
        passphrase = self.secret("passphrase", b"correct horse battery staple\n")
        self.kdc("enrol", self.fleet(1), "--out", str(out), "--passphrase-file", passphrase)
        self.assertEqual(self.opened(out / "n0@example.org.provision").nai, "n0@example.org")

    def test_options_that_contradict_each_other(self) -> None:
        for arguments in (("--to", "x"), ("--out", "x"), ("--out", "x", "--to", "y", "--passphrase-file", "z")):
            self.kdc("enrol", self.fleet(1), *arguments, code=2)


class ChangingTests(FleetCase):
    def setUp(self) -> None:
        super().setUp()
        self.add()

    def test_a_node_is_revoked_and_comes_back_with_another_key(self) -> None:
        self.assertEqual(self.kdc("revoke", NODE).stdout, f"{NODE} is revoked, and its KEY 0 destroyed\n")
        self.assertIn("KEY 0         destroyed", self.kdc("show", NODE).stdout)
        self.assertIn("only another KEY 0 undoes", self.kdc("enable", NODE, code=1).stderr)
        to = ("-o", str(self.directory / "x"), "--to", self.key())
        self.assertIn("rotate it first", self.kdc("export", NODE, *to, code=1).stderr)
        told = json.loads(self.kdc("rotate", NODE, "--json").stdout)
        self.assertEqual((told["kvno"], told["state"]), (2, "enabled"))

    def test_many_are_revoked(self) -> None:
        self.kdc("enrol", self.fleet(5))
        self.patch(changing, "AT_ONCE", 2)
        names = self.table("n0@example.org\n\n n1@example.org\nn2@example.org\nn0@example.org\n", "names")
        self.assertIn("3 of 3 revoked", self.kdc("revoke", "--file", names).stderr)
        told = [json.loads(line) for line in self.kdc("revoke", "--file", names, "--json").stdout.splitlines()]
        self.assertEqual([one["state"] for one in told], ["revoked"] * 3)
        self.assertEqual(len(self.listed("--state", "revoked")), 3)

    def test_names_that_are_wrong_change_nothing(self) -> None:
        for text, why in (
            (f"{NODE}\nx@example.org\n", "x@example.org is not known here"),
            (f"{NODE}\nnobody\n", "line 2: must be"),
            ("\n", "has no names"),
        ):
            self.assertIn(why, self.kdc("revoke", "--file", self.table(text, "names"), code=1).stderr)
        self.assertEqual(self.listed("--state", "revoked"), [])
        self.kdc("revoke", code=2)
        self.kdc("revoke", NODE, "--file", "x", code=2)
        self.kdc("revoke", "nobody", code=2)

    def test_a_node_is_deleted(self) -> None:
        self.assertIn("is deleted", self.kdc("delete", NODE).stdout)
        self.assertEqual(self.listed(), [])
        self.assertEqual([one["principal"] for one in self.listed("--state", "deleted")], [NODE])
        self.assertIn("key version 2", self.add().stdout)

    def test_until_when_the_former_key_is_taken(self) -> None:
        self.assertIn(
            "is taken up to 2100-01-31 12:00:00 UTC", self.kdc("rotate", NODE, "--until", "2100-01-31T12:00").stdout
        )
        self.assertIn("taken up to 2100-01-31 12:00:00 UTC", self.kdc("show", NODE).stdout)
        told = json.loads(self.kdc("rotate", NODE, "--until", "2d", "--json").stdout)
        self.assertEqual(told["kvno"], 3)
        self.assertIsInstance(told["until"], int)
        self.assertIn("is over already", self.kdc("rotate", NODE, "--until", "2000-01-01", code=1).stderr)
        self.kdc("rotate", NODE, "--until", "soon", code=2)


class ListTests(FleetCase):
    def test_what_fits(self) -> None:
        self.kdc("enrol", self.fleet(12))
        self.add("truck@example.org")
        self.kdc("disable", "n3@example.org")

        def names(*options: str) -> list[str]:
            return [one["principal"].partition("@")[0] for one in self.listed(*options)]

        self.assertEqual(names("--filter", "n1*"), ["n1", "n10", "n11"])
        self.assertEqual(names("--filter", "truck@*", "--home-agent", HOME), ["truck"])
        self.assertEqual(names("--home-agent", "other@example.org"), [])
        self.assertEqual(names("--state", "disabled"), ["n3"])
        first = self.listed("--limit", "2")
        self.assertEqual([one["principal"] for one in first], ["n0@example.org", "n1@example.org"])
        self.assertEqual(names("--limit", "1", "--after", str(first[-1]["serial"])), ["n2"])
        self.assertIn("There may be more: --after", self.kdc("list", "--limit", "2").stderr)
        self.kdc("list", "--home-agent", "nobody", code=2)


class AuditTests(FleetCase):
    def setUp(self) -> None:
        super().setUp()
        self.add()
        self.kdc("disable", NODE)
        self.kdc("show", "x@example.org", code=1)
        self.kdc("revoke", "x@example.org", code=1)

    def head(self) -> str:
        return self.kdc("audit", "verify").stdout.split()[-1]

    def exported(self) -> Path:
        file = self.directory / "log.json"
        self.assertIn("3 entries", self.kdc("audit", "export", "-o", str(file)).stdout)
        return file

    def test_what_was_done_is_shown(self) -> None:
        lines = self.kdc("audit", "show").stdout.splitlines()
        self.assertEqual(len(lines), 3)
        self.assertIn(f"added {NODE}  [uid {os.getuid()}, off line]  home agent {HOME}, kvno 1", lines[0])
        self.assertIn("refused x@example.org", lines[2])
        told = [
            json.loads(line) for line in self.kdc("audit", "show", "--principal", NODE, "--json").stdout.splitlines()
        ]
        self.assertEqual([one["entry"]["what"] for one in told], ["added", "disabled"])
        self.assertEqual({one["schema"] for one in told}, {"seckex.kdc-audit/1"})
        self.assertEqual(len(self.kdc("audit", "show", "--limit", "1").stdout.splitlines()), 1)
        self.assertIn("disabled", self.kdc("audit", "show", "--after", "1", "--limit", "1").stdout)

    def test_it_is_verified(self) -> None:
        head = self.head()
        self.assertTrue(head.startswith("3:"))
        self.kdc("enable", NODE)
        self.assertTrue(json.loads(self.kdc("audit", "verify", "--head", head, "--json").stdout)["good"])
        other = head[:-1] + ("0" if head[-1] != "0" else "1")
        self.assertIn("not the one that is known", self.kdc("audit", "verify", "--head", other, code=1).stdout)
        for wrong in ("3", "x:y", "0:" + 64 * "0", "3:00"):
            self.kdc("audit", "verify", "--head", wrong, code=2)

    def test_an_exported_log_is_verified_anywhere(self) -> None:
        head, file = self.head(), self.exported()
        self.assertEqual(self.seckex("audit", "verify", "--file", str(file), "--head", head).exit_code, 0)
        self.assertIn("exists and is left", self.kdc("audit", "export", "-o", str(file), code=1).stderr)
        whole = file.read_text()
        for altered, why in (
            (whole.replace("disabled", "enabled"), "entry 2 or its hash was altered"),
            ("".join(line for line in whole.splitlines(True) if '"seq": 2' not in line), "entry 2 is missing"),
            ("".join(whole.splitlines(True)[:2]), "entry 3 is not the one that is known"),
        ):
            file.write_text(altered)
            result = self.seckex("audit", "verify", "--file", str(file), "--head", head)
            self.assertEqual(result.exit_code, 1)
            self.assertIn(why, result.stdout)
        file.write_text("rubbish\n")
        self.assertIn("line 1: it is no entry", self.seckex("audit", "verify", "--file", str(file)).stderr)
        self.assertIn("cannot be read", self.seckex("audit", "verify", "--file", "/nowhere").stderr)

    def test_it_goes_to_the_standard_output_too(self) -> None:
        lines = [json.loads(line) for line in self.kdc("audit", "export", "--after", "1").stdout.splitlines()]
        self.assertEqual([line["seq"] for line in lines], [2, 3])
        self.assertEqual(set(lines[0]), {"log", "seq", "at", "hash", "text"})
