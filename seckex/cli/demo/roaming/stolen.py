"""The last chapter: the device is stolen, and revoked at its center while it carries a download."""

from __future__ import annotations

import time
from functools import partial
from typing import Final

from seckex.cli.demo.processes import DemoFailed
from seckex.cli.demo.roaming.holders import KEY0
from seckex.cli.demo.roaming.keys import Held, key0, keys_at
from seckex.cli.demo.roaming.scene import Fetching, Scene, forms
from seckex.cli.demo.roaming.world import AGENT, CENTER, HOME, NODE

#: Far less than the download would last, and the registration.
_WITHIN: Final = 60.0


def revoke(scene: Scene, fetching: Fetching) -> None:
    """Revoke the node, and see that its download stops and that nobody at home or at the agent has a key of it."""
    story, world, nai = scene.story, scene.world, scene.world.identity.nai
    story.chapter(
        "Stolen",
        "The node is enabled again, registers, and a download runs. Then the device is gone: `seckex kdc revoke` at "
        "the center destroys its KEY 0, and whatever it has anywhere has to end.",
    )
    enabled = time.time()
    scene.run("kdc", "enable", nai, "--config", f"{CENTER}.toml")
    scene.until("home to hear of it", partial(scene.said_since, HOME, "NodesTaken", enabled))
    scene.run("up", world.nai(HOME), "--config", f"{NODE}.toml", "--wait", "60")
    keys = keys_at(world, scene.world.role_of(scene.last(NODE, "Registered")["agent"]))
    keys |= {KEY0: Held(0, key0(world))}
    fetching.start()
    scene.until("octets", lambda: fetching.has_begun)
    began = time.time()
    scene.run("kdc", "revoke", nai, "--config", f"{CENTER}.toml")
    scene.until("the download to stop", lambda: not fetching.is_going_on)
    scene.until("its agent to hear of it", lambda: scene.said_since(AGENT, "VisitorRevoked", began))
    revoked, told = scene.last(CENTER, "PrincipalRevoked")["time"], scene.last(AGENT, "VisitorRevoked")["time"]
    stopped = fetching.over_at
    if not fetching.failure:
        raise DemoFailed("the download came to its end although the node was revoked")
    for what, at in (("the download stopped", stopped), ("the agent had forgotten its visitor", told)):
        if at - revoked > _WITHIN:
            raise DemoFailed(f"{what} {at - revoked:.1f} s after the node was revoked")
    story.note(fetching.failure)
    scene.gone(forms(keys), [role for role in scene.pids if role != NODE])
    story.good(
        f"the download stopped {1000 * (stopped - revoked):.0f} ms after the center had revoked the node, the agent "
        f"had forgotten its visitor after {1000 * (told - revoked):.0f} ms; nobody has a key of it, nor has the center"
    )
