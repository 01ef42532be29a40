"""How the demo speaks: chapters, who said what and why, commands and what they print, a bar while octets move.

On a terminal with colours; into a pipe, or when asked for plain text, one line
each and the progress at every quarter. Told in brief, only what turned out as it
should or not is left, and tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

_COLOURS: Final = {
    "node": "cyan",
    "agent": "yellow",
    "aaa-f": "blue",
    "aaa-h": "blue",
    "home": "green",
    "center": "magenta",
    "shop": "blue",
    "guest": "magenta",
}
_WIDTH: Final = 6


class Story:
    """Tells the demo on a console."""

    def __init__(self, *, plain: bool, brief: bool = False) -> None:
        self.console = Console(highlight=False, no_color=plain, force_terminal=False if plain else None)
        self._brief = brief
        self._chapter = 0

    def title(self, title: str) -> None:
        """Begin a story, of several."""
        self._chapter = 0
        self.console.print()
        self.console.rule(f"[bold]{escape(title)}[/bold]", align="left")

    def chapter(self, title: str, text: str) -> None:
        """Begin a chapter."""
        self._chapter += 1
        if not self._brief:
            self.console.print()
            self.console.rule(f"[bold]{self._chapter}  {escape(title)}[/bold]", align="left")
            self.console.print(escape(text), soft_wrap=True)

    def says(self, who: str, text: str, why: str = "") -> None:
        """Let one of the processes say something."""
        if self._brief:
            return
        colour = _COLOURS.get(who, "white")
        self.console.print(f"  [{colour}]{who:>{_WIDTH}}[/{colour}]  {escape(text)}", soft_wrap=True)
        if why:
            self.console.print(f"  {'':>{_WIDTH}}  [dim]because {escape(why)}[/dim]", soft_wrap=True)

    def runs(self, command: str) -> None:
        """Show a command that is run."""
        if not self._brief:
            self.console.print(f"  {'$':>{_WIDTH}}  [bold]{escape(command)}[/bold]", soft_wrap=True)

    def note(self, text: str) -> None:
        """Say something about what was seen."""
        if not self._brief:
            self.console.print(f"  {'':>{_WIDTH}}  {escape(text)}", soft_wrap=True)

    def draw(self, lines: Sequence[str]) -> None:
        """Show a drawing."""
        if not self._brief:
            for line in lines:
                self.console.print(f"  {escape(line)}", soft_wrap=True)

    def good(self, text: str) -> None:
        """Say that something turned out as it should."""
        self.console.print(f"  [bold green]{'ok':>{_WIDTH}}[/bold green]  {escape(text)}", soft_wrap=True)

    def bad(self, text: str) -> None:
        """Say that something did not."""
        self.console.print(f"  [bold red]{'FAIL':>{_WIDTH}}[/bold red]  {escape(text)}", soft_wrap=True)

    def table(self, rows: Sequence[Sequence[str]], heads: Sequence[str], *, always: bool = True) -> None:
        """Show what several hold, side by side; what is not for ``always`` is left out in brief."""
        if self._brief and not always:
            return
        table = Table(box=None, padding=(0, 2), show_header=True, header_style="bold")
        for head in heads:
            table.add_column(escape(head))
        for row in rows:
            table.add_row(*map(escape, row))
        self.console.print(table)

    @contextmanager
    def progress(self, total: int) -> Iterator[Callable[[int], None]]:
        """Show how far something of ``total`` octets is; yields what to call with the octets so far."""
        if self._brief:
            yield lambda _done: None
            return
        if not self.console.is_terminal:
            yield self._quarters(total)
            return
        columns: tuple[Any, ...] = (
            TextColumn(" " * _WIDTH + "  "),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as bar:
            task = bar.add_task("octets", total=total)
            yield lambda done: bar.update(task, completed=done)

    def _quarters(self, total: int) -> Callable[[int], None]:
        told = 0

        def report(done: int) -> None:
            nonlocal told
            while told < 4 and done >= total * (told + 1) // 4:
                told += 1
                self.note(f"{told * 25} % of {total} octets")

        return report
