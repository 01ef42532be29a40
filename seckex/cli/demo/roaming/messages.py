"""The chapter of messages: what their headers cost, and that none is lost or doubled whatever happens meanwhile.

The node sends to a shop at home, which is killed and started again, and both get other certificates. What is said of
sizes is what `seckex why` tells.
"""

from __future__ import annotations

import re
from typing import Any, Final

from seckex.cli.demo.ordering import AHEAD, SIZE, Sender, Taker
from seckex.cli.demo.processes import DemoFailed
from seckex.cli.demo.roaming.scene import Scene
from seckex.cli.demo.roaming.settings import ORDERS, certify
from seckex.cli.demo.roaming.world import NODE, SHOP
from seckex.cli.messages.client import Client

_WENT: Final = re.compile(r"went \(headers ([a-z ]+), overhead (\d+)\)")
#: So many are taken before something happens to them.
_SOME: Final = 20


def exchange(scene: Scene) -> None:
    """Send messages to the shop, and see that each is taken once and in order."""
    story, world = scene.story, scene.world
    story.chapter(
        "Messages",
        f"A program beside the node sends orders to one beside {world.nai(SHOP)}. They are durable: once the node has "
        "accepted an order it comes, once and in order. They go straight to the shop, which knows the node by its "
        "certificate; the first one's keys are sealed to a prekey of the shop.",
    )
    scene.start(SHOP)
    node, shop = Client(world.socket(NODE)), Client(world.socket(SHOP))
    taker = Taker(shop, ORDERS)
    taker.start()
    scene.until("the shop", lambda: taker.is_heard)
    sender = Sender(node, world.nai(SHOP), ORDERS, lambda: len(taker.taken))
    _compare_sizes(scene, node, sender)
    sender.start()
    _go_on(scene, sender, taker)
    _rotate(scene, node, sender, taker)
    _kill(scene, node, sender, taker)
    sender.end()
    scene.until("the last order to be taken", lambda: sender.waiting <= 0 and taker.is_over)
    _count(scene, node, shop, sender, taker)


def _compare_sizes(scene: Scene, node: Client, sender: Sender) -> None:
    first = sender.send("processed")
    dialog = first.partition(".")[0]
    scene.until("keys that are held at both ends", lambda: _shown(node, dialog)["keys"]["headers"] == "short")
    second = sender.send("processed")
    rows = []
    for name, which in ((first, "the first"), (second, "the second")):
        told = scene.run("why", name, "--config", f"{NODE}.toml", lines=0)
        [(headers, overhead)] = _WENT.findall(told)
        scene.story.note(next(line.strip() for line in told.splitlines() if _WENT.search(line)))
        rows.append((which, _HEADERS[headers], overhead))
    scene.story.table(rows, (f"order, {SIZE} octets", "headers", "octets beside the body"))
    whole, short = (int(row[-1]) for row in rows)
    if not short < 128 < whole:
        raise DemoFailed("the second envelope is not the shorter one")
    scene.story.good(f"what the shop holds already is left out: {short} octets in place of {whole}, sealed as well")


_HEADERS: Final = {
    "whole": "names, certificate, signature, sealed keys",
    "short": "cached",
}


def _rotate(scene: Scene, node: Client, sender: Sender, taker: Taker) -> None:
    dialog = sender.sent[0].partition(".")[0]
    before = _shown(node, dialog)["keys"]["kek"]
    scene.story.note("while orders go on, both get other certificates, and with them keys and prekeys:")
    for role in (NODE, SHOP):
        certify(scene.world, role)
        scene.run("reload", "--config", f"{role}.toml")
        _go_on(scene, sender, taker)
    scene.until("keys by the other certificate", lambda: _shown(node, dialog)["keys"]["kek"] != before)
    after = _shown(node, dialog)["keys"]["kek"]
    scene.story.good(f"certificates and keys are others now (KEK {before[:8]} has given way to {after[:8]})")


def _kill(scene: Scene, node: Client, sender: Sender, taker: Taker) -> None:
    dialog = sender.sent[0].partition(".")[0]
    before = _shown(node, dialog)["keys"]["kek"]
    scene.kill(SHOP)
    had = len(taker.taken)
    scene.story.note(f"the shop is killed (SIGKILL) when {had} orders were taken; the node goes on accepting them")
    scene.until("orders to wait", lambda: sender.waiting >= AHEAD)
    scene.story.note(f"{sender.waiting} orders wait at the node; the shop is started again")
    scene.start(SHOP)
    scene.until("what has waited to be taken", lambda: not taker.is_over and len(taker.taken) >= had + AHEAD)
    if _shown(node, dialog)["keys"]["kek"] == before:
        raise DemoFailed("the shop has been killed, and the node goes on under the same keys")
    _go_on(scene, sender, taker)


def _go_on(scene: Scene, sender: Sender, taker: Taker) -> None:
    """Wait until some more were taken."""
    wanted = len(taker.taken) + _SOME
    scene.until("orders", lambda: sender.waiting >= 0 and not taker.is_over and len(taker.taken) >= wanted)


def _count(scene: Scene, node: Client, shop: Client, sender: Sender, taker: Taker) -> None:
    sent, taken = sender.sent, list(taker.taken)
    if taken != sent:
        lost, more = set(sent) - set(taken), set(taken) - set(sent)
        raise DemoFailed(f"{len(sent)} orders were sent, {len(taken)} taken, {len(lost)} lost, {len(more)} never sent")
    said = [int(octets.split()[1].rstrip(b".")) for octets in taker.taken.values()]
    if said != list(range(len(sent))):
        raise DemoFailed("orders were not taken in the order in which they were sent")
    scene.until("the node to hear of it", lambda: not node.ask("GET", "/v1/outbox").told["messages"])
    dead = len(shop.ask("GET", "/v1/dead").told["messages"])
    if dead:
        raise DemoFailed(f"{dead} orders were put aside")
    if taker.again:
        scene.story.note(f"{taker.again} was given twice: its verdict died with the shop, its name tells")
    scene.story.good(f"{len(sent)} orders were sent, {len(taken)} taken, in order: none lost, none taken twice")


def _shown(node: Client, dialog: str) -> dict[str, Any]:
    """Return what the node tells of a dialog."""
    shown: dict[str, Any] = node.ask("GET", f"/v1/dialogs/{dialog}/why").told["dialog"]
    return shown
