"""The chapter in which the node moves: to another agent, home and back, while a program fetches a file.

The keys of each place are read before the node leaves it, and looked for afterwards in all
that all processes hold.
"""

from __future__ import annotations

from functools import partial

from seckex.cli.demo.processes import DemoFailed
from seckex.cli.demo.roaming.keys import Held, keys_at
from seckex.cli.demo.roaming.scene import Fetching, Scene, forms
from seckex.cli.demo.roaming.settings import let_roam
from seckex.cli.demo.roaming.world import AGENT, HOME, NODE, OTHER


def move(scene: Scene, fetching: Fetching) -> None:
    """Move three times, and see that the keys of the places before are nowhere."""
    story, world = scene.story, scene.world
    story.chapter(
        "On the move",
        f"The client fetches the file once more, slowly. Meanwhile the node moves: to {world.nai(OTHER)}, home, and "
        "back again. Each time it registers anew while the old place still carries, builds a new link through the new "
        "agent and takes the download over; then the keys of the old place have to go.",
    )
    let_roam(world)
    scene.run("reload", "--config", f"{NODE}.toml")
    for role in (AGENT, OTHER, HOME):
        scene.until(f"{world.nai(role)} to be heard", partial(scene.hears, world.nai(role)))
    left: dict[str, Held] = {}
    pauses: list[float] = []
    fetching.start()
    scene.until("octets", lambda: fetching.has_begun)
    here = AGENT
    for there in (OTHER, HOME, AGENT):
        left |= {f"{key} of {world.nai(here)}": held for key, held in keys_at(world, here).items()}
        scene.run("move", world.nai(there), "--config", f"{NODE}.toml", lines=4)
        moved = scene.last(NODE, "Moved")
        if not moved["dialogs"] or not fetching.is_going_on:
            raise DemoFailed("nothing was carried while the node moved")
        pauses.append(moved["pause"])
        here = there
    fetching.end()
    story.good(f"three moves, one download, octet for octet; it stood still for {1000 * max(pauses):.1f} ms at most")
    scene.gone(forms(left), scene.pids)
    story.good(f"the {len(left)} keys of the places that were left are in no memory, no file and no log any more")
