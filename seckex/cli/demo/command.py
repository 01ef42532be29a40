"""The command: which story is told, where its files lie, and how it ends."""

from __future__ import annotations

import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Final, Protocol

import click

from seckex.cli.demo.pair import PairPlay
from seckex.cli.demo.processes import Cast, DemoFailed
from seckex.cli.demo.roaming import KEYINGS, TOPOLOGIES, RoamingPlay, World
from seckex.cli.demo.story import Story
from seckex.config.problems import Unfit
from seckex.config.values import Octets

PAIR_SIZE: Final = 100_000_000
ROAMING_SIZE: Final = 20_000_000
_MOST: Final = 1 << 40


class Play(Protocol):
    """A story with its processes."""

    cast: Cast

    def perform(self) -> None:
        """Play all chapters; raise `DemoFailed` where one fails."""
        ...

    def hints(self) -> Sequence[str]:
        """Return what to try while everything is still running."""
        ...


def _size(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    try:
        return int(Octets(1, _MOST).read(int(value) if value.isdecimal() else value))
    except Unfit as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.option("--topology", type=click.Choice(TOPOLOGIES), help="Without AAA servers, or with two.  [default: direct]")
@click.option("--keying", type=click.Choice(KEYINGS), help="Where the keys come from.  [default: stateless]")
@click.option("--all", "every", is_flag=True, help="All topologies with all ways of keying, told in brief.")
@click.option("--pair", is_flag=True, help="Two daemons without a roaming network, and a refusal.")
@click.option("--size", callback=_size, help="How large a file to fetch.  [default: 20000000, with --pair 100000000]")
@click.option("--keep", is_flag=True, help="Leave everything running at the end and say how to look around.")
@click.option("--plain", is_flag=True, help="No colours, no progress bar.")
def demo(
    topology: str | None, keying: str | None, every: bool, pair: bool, size: int | None, keep: bool, plain: bool
) -> int:
    """Run a roaming network, have a mobile node register in it, and find out who could read what.

    All roles are processes on this machine: mobile node, foreign agent, AAA servers, home agent, key distribution
    center.
    """
    chosen = topology is not None or keying is not None
    if every + pair + chosen > 1:
        raise click.UsageError("give --all, or --pair, or a topology and a keying")
    if every and keep:
        raise click.UsageError("--keep is for one story, --all tells several")
    # Whoever ends the demo this way wants its processes gone, too.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    story = Story(plain=plain, brief=every)
    if pair:
        return _told(story, keep, lambda directory: PairPlay(story, directory, size or PAIR_SIZE))
    for one_topology, one_keying in product(TOPOLOGIES, KEYINGS) if every else [(topology, keying)]:
        world = (one_topology or TOPOLOGIES[0], one_keying or KEYINGS[0])
        story.title(f"A roaming network: {world[0]}, {world[1]}")
        status = _told(story, keep, partial(_roaming, story, world, size))
        if status:
            return status
    return 0


def _roaming(story: Story, world: tuple[str, str], size: int | None, directory: Path) -> RoamingPlay:
    return RoamingPlay(story, World(*world, directory), size or ROAMING_SIZE)


def _told(story: Story, keep: bool, play_in: Callable[[Path], Play]) -> int:
    """Play in a folder of its own; return the exit status."""
    directory = Path(tempfile.mkdtemp(prefix="seckex-demo-"))
    play = play_in(directory)
    status = 1
    try:
        play.perform()
        status = 0
    except DemoFailed as failure:
        play.cast.tell()
        story.bad(str(failure))
    except KeyboardInterrupt:
        story.bad("interrupted")
    finally:
        if keep and status == 0:
            _look_around(story, play)
        killed = play.cast.stop()
        if killed:
            status = 1
            story.bad(f"had to be killed: {', '.join(killed)}")
        if status:
            story.note(f"the logs are kept in {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
            story.good("all processes have ended, the temporary folder is gone")
    return status


def _look_around(story: Story, play: Play) -> None:
    story.chapter("Looking around", "Everything is still running; Ctrl-C ends it. In another terminal:")
    for hint in play.hints():
        story.note(hint)
    try:
        while True:
            for process in play.cast.processes:
                process.check()
            time.sleep(0.5)
    except KeyboardInterrupt:
        story.console.print()
    except DemoFailed as failure:
        story.bad(str(failure))
