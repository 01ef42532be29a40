"""Records of nodes as they are written and read, those of an older version too."""

from __future__ import annotations

from attrs import evolve

from seckex.errors import StoreFailed
from seckex.roles.home_agent.nodes import KnownNode
from seckex.roles.home_agent.records import node_record, read_node
from tests.roles.home_agent.parts import HOME, NODE, PORT, Table


class NodeRecordTests(Table):
    def registered(self) -> KnownNode:
        self.start()
        self.relay(self.agent.relay(self.request().octets).octets)
        node = self.home.home.nodes.get(NODE)
        assert node is not None
        return node

    def test_where_the_agent_is_comes_back(self) -> None:
        node = self.registered()
        (binding,) = node.bindings
        self.assertEqual((binding.address, binding.port), (self.agent.address, PORT))
        read = read_node(node_record(node), HOME)
        self.assertEqual(read.bindings, node.bindings)

    def test_of_a_record_without_ports_the_bindings_are_left_out(self) -> None:
        node = self.registered()
        (binding,) = node.bindings
        octets = node_record(node).octets
        grace = 14 + 144
        port = octets.index(binding.address.packed, octets.index(binding.care_of.packed) + 4) + 4
        self.assertEqual(octets[port : port + 2], PORT.to_bytes(2, "big"))
        spi = port + 36
        self.assertEqual(octets[spi : spi + 4], binding.spi_of_node.to_bytes(4, "big"))
        link = octets.rindex(binding.link.to_bytes(4, "big"))
        before = (
            b"\1"
            + octets[1:grace]
            + octets[grace + 8 : port]
            + octets[port + 2 : spi]
            + octets[spi + 4 : link]
            + octets[link + 4 :]
        )
        read = read_node(evolve(node_record(node), octets=before), HOME)
        self.assertEqual((read.bindings, read.association), ((), node.association))

    def test_who_was_revoked_comes_back_without_anything(self) -> None:
        node = KnownNode(NODE, 7, False, None)
        self.assertEqual(read_node(node_record(node), HOME), node)

    def test_for_how_long_the_former_key_is_taken_comes_back(self) -> None:
        node = self.registered()
        node = evolve(node, former=node.current, grace=1e9)
        self.assertEqual(read_node(node_record(node), HOME).grace, 1e9)

    def test_a_version_that_there_is_not_is_refused(self) -> None:
        record = node_record(self.registered())
        for version in (b"\0", b"\3"):
            wrong = evolve(record, octets=version + record.octets[1:])
            self.assertRaises(StoreFailed, read_node, wrong, HOME)
