"""How an association is put into lines for people."""

from __future__ import annotations

from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from seckex.cli.status_view import status_tables
from seckex.cli.wording import association_lines


class VouchedTests(SynchronousTestCase):
    def told(self, authority: str) -> str:
        [line] = [line for line in association_lines({"authority": authority}) if line.startswith("authenticated")]
        return line.partition(" by ")[2]

    def test_a_chain_of_certificates_is_told_by_its_fingerprint_only(self) -> None:
        self.assertEqual(self.told("certificate ecbb087c2e301d92 AQHUMIIB0DCCAXeg"), "certificate ecbb087c2e301d92")

    def test_a_key_is_told_without_its_check_value(self) -> None:
        self.assertEqual(self.told("key0 0xc3cb3095 kvno 1 check 0889cc99"), "key0 0xc3cb3095 kvno 1")

    def test_the_table_of_status_tells_the_same(self) -> None:
        answer = {"daemon": {}, "associations": [{"peer": "p", "authority": "certificate ecbb087c2e301d92 AQHUMIIB"}]}
        console = Console(width=500)
        with console.capture() as captured:
            console.print(*status_tables(answer, boxed=False), sep="\n")
        self.assertIn("certificate ecbb087c2e301d92", captured.get())
        self.assertNotIn("AQHUMIIB", captured.get())
