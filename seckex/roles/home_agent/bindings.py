"""Where a node is: a binding for each agent that it is registered through, and the key with that agent."""

from __future__ import annotations

from attrs import field, frozen

from seckex.crypto.schedule import AgreedKeys
from seckex.passage.faces import Admitted, Party
from seckex.wire.frames import Address
from seckex.wire.info import Layer2Extension
from seckex.wire.numbers import Hop


@frozen
class Binding:
    """A node at an ``agent``, ``until`` then (wall-clock seconds).

    ``address`` and ``port`` are the agent's own; ``pseudonym`` is what the agent calls the node, as long as this lasts.
    ``spi_in`` and ``spi_out`` are the SPIs of the association with the agent, here and there, ``spi_of_node`` is the
    node's of the one that it has with the agent. ``choice`` is the SA payload that says what was chosen for KEY 2,
    ``keys``. ``link`` is the SPI here of the KEY 1 that came of the same registration.
    """

    agent: str
    care_of: Address
    address: Address
    port: int
    lifetime: int
    until: float
    pseudonym: bytes
    spi_in: int
    spi_out: int
    spi_of_node: int
    choice: bytes = field(repr=False)
    keys: AgreedKeys = field(repr=False)
    link: int
    layer2: Layer2Extension | None = None

    def admitted(self, node: str) -> Admitted:
        """Return what the traffic of ``node`` by way of this agent comes under."""
        who = Party(self.agent.partition("@")[2], self.pseudonym, node, self.agent)
        return Admitted(Hop.FA_HA, self.spi_in, self.until, who, self.keys, link=self.link)
