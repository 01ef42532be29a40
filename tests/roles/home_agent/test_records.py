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

    def test_a_record_without_ports_and_links_is_read(self) -> None:
        node = self.registered()
        (binding,) = node.bindings
        octets = node_record(node).octets
        port = octets.index(binding.address.packed, octets.index(binding.care_of.packed) + 4) + 4
        self.assertEqual(octets[port : port + 2], PORT.to_bytes(2, "big"))
        link = octets.rindex(binding.link.to_bytes(4, "big"))
        old = b"\1" + octets[1:port] + octets[port + 2 : link] + octets[link + 4 :]
        read = read_node(evolve(node_record(node), octets=old), HOME)
        self.assertEqual(read.bindings, (evolve(binding, port=4434),))

    def test_a_version_that_there_is_not_is_refused(self) -> None:
        record = node_record(self.registered())
        for version in (b"\0", b"\3"):
            wrong = evolve(record, octets=version + record.octets[1:])
            self.assertRaises(StoreFailed, read_node, wrong, HOME)
