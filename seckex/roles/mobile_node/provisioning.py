"""Taking over what came of another KEY 0, while the node runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from seckex.errors import Unfeasible
from seckex.events.mobile_node import ProvisionTaken
from seckex.machine import Now, Report
from seckex.roles.faces import RoleAction
from seckex.roles.mobile_node.records import Home, objection_to
from seckex.roles.mobile_node.registering import ExpectStored
from seckex.sa.store import Outcome, PutRecord

if TYPE_CHECKING:
    from seckex.roles.mobile_node.keeping import Keeping


def take_over(node: Keeping, home: Home, done: Callable[[str], None]) -> list[RoleAction]:
    """Have ``node`` use ``home`` in place of what it shares; ``done`` is called with why it was not stored, or nothing.

    Raises `Unfeasible` where it is not newer than what is known, or not for us.
    """
    objection = objection_to(home, node.plan.local, node.plan.home_agent, node.home)
    if not objection and isinstance(node.course.state, ExpectStored):
        objection = "a registration is just being stored: try again in a moment"
    if objection:
        raise Unfeasible(objection)
    actions: list[RoleAction] = []
    node.let_go(actions)

    def stored(outcome: Outcome | str, now: Now, actions: list[RoleAction]) -> None:
        node.provisioning = False
        if outcome is not Outcome.STORED:
            done(f"the store cannot be written: {outcome}")
            node.schedule.failed(now)
            return
        node.home = home
        actions.append(Report(ProvisionTaken(home.home_agent, home.kvno)))
        node.schedule.soon(now)
        done("")

    node.schedule.never()
    node.provisioning = True
    node.course.commit((PutRecord(home.record()),), stored, actions)
    return actions
