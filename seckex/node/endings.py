"""How associations end before their time: forgotten here, made durable, told to the peer.

An association that is gone is deleted from the store and its links are
closed; the peer is told by DELETE where it can be reached, for 10 s, so that it
does not go on with what nobody answers (docs/protocol.md, section 9).
"""

from __future__ import annotations

from collections.abc import Mapping

from seckex.events import AssociationEnded
from seckex.exchange import upkeep
from seckex.machine import Now, Path, Report, Send
from seckex.node.actions import Gone, NodeAction
from seckex.node.asking import Asking
from seckex.node.associations import AssociationTable
from seckex.node.conversation import Conversation, Driver
from seckex.node.limits import Peer
from seckex.node.renewals import Renewals
from seckex.sa.association import Association
from seckex.sa.store import DeleteAssociation


class Endings:
    """See the module; ``paths`` has, by peer, where it asked from last."""

    def __init__(
        self,
        peers: Mapping[str, Peer],
        driver: Driver,
        associations: AssociationTable,
        asking: Asking,
        paths: Mapping[str, Path],
    ) -> None:
        self._peers = peers
        self._driver = driver
        self._associations = associations
        self._asking = asking
        self._paths = paths
        self.renewals = Renewals()

    def forget(self, association: Association, why: str, actions: list[NodeAction], then: Send | None = None) -> None:
        """Forget an association, durably, and have its links closed.

        ``then``, the answer to a peer that has asked for that, leaves when it is durable.
        """
        if self._associations.remove(association.spi_in) is None:
            return
        waits = None
        if then is not None:
            waits = Conversation(upkeep.ExpectForgotten(then), upkeep.TRANSITIONS, self, association.peer)
        self._driver.commit(waits, (DeleteAssociation(association.spi_in),), actions)
        actions.append(Report(AssociationEnded(association.peer, association.spi_in, why)))
        actions.append(Gone(association, why, by_peer=then is not None))

    def end(self, association: Association, code: int, why: str, now: Now, actions: list[NodeAction]) -> None:
        """Forget an association and tell the peer, if there is a way to reach it."""
        self.forget(association, why, actions)
        peer = self._peers.get(association.peer)
        if peer is None:
            return
        path = peer.path or self._paths.get(association.peer)
        if path is not None:
            step = upkeep.delete(peer.terms, path, association, code, why, now)
            conversation = Conversation(step.state, upkeep.TRANSITIONS, self, association.peer)
            self._driver.take(conversation, step.state, step.actions, now, actions)

    def moved(self, conversation: Conversation, _now: Now, _actions: list[NodeAction]) -> None:
        """Keep a DELETE where its answer and its timer will look for it."""
        self._asking.moved(conversation)

    def delivered(self, conversation: Conversation, result: object, now: Now, actions: list[NodeAction]) -> None:
        """Nothing: it was told, or could not be."""
