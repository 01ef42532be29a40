"""A center that serves: all its nodes go away sealed and come into another one, and it goes on from a backup."""

from __future__ import annotations

import shutil
from typing import Any

from click.testing import CliRunner, Result
from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from seckex.cli.main import main
from seckex.config.devicekey import render_private, render_public
from seckex.config.files import create_private
from seckex.config.kdc import KdcSettings
from seckex.config.load import load
from seckex.crypto.provisioning import public_of
from seckex.crypto.secrets import Secret
from seckex.net.kdc import KdcDaemon
from seckex.wire import hop
from seckex.wire.keying import NodeQuery
from tests.net.test_kdc import HOME, KDC, NODE, REQUEST, DaemonCase

reactor: Any = installed
PRIVATE = Secret(bytes(range(32)))


class ArchiveTests(DaemonCase):
    """All nodes of a center that serves."""

    async def test_there_and_into_another_that_serves(self) -> None:
        file = self.write("kdc", self.kdc_toml())
        daemon = KdcDaemon(reactor, load(file, KdcSettings))
        self.start(daemon)
        hops = self.home_agent((KDC, self.port))
        for name in (NODE, "later@example.org", "stays@example.org"):
            await self.add(name)
        public, private = self.directory / "k.pub", self.directory / "k"
        public.write_bytes(render_public(public_of(PRIVATE)))
        create_private(private, render_private(PRIVATE))
        archive = self.directory / "all.archive"

        def seckex(*arguments: str) -> Deferred[Result]:
            return deferToThread(CliRunner().invoke, main, ["kdc", *arguments, "--config", str(file)])

        result = await seckex("dump", str(archive), "--to", str(public))
        self.assertEqual(result.exit_code, 0, result.output)
        entries = await self.asked(hops, KDC, hop.Nodes(2, NodeQuery(0, 64), ()))
        assert isinstance(entries, hop.Entries)
        await seckex("delete", "later@example.org")
        await self.add("newer@example.org")
        result = await seckex("load", str(archive), "--key", str(private), "--replace")
        self.assertEqual(result.exit_code, 0, result.output)
        # The home agent is told, and asks for what is new to it: everything.
        await self.until(lambda: any(isinstance(one, hop.Changed) for one in self.heard))
        after = await self.asked(hops, KDC, hop.Nodes(3, NodeQuery(entries.entries.serial, 64), ()))
        assert isinstance(after, hop.Entries)
        told = {entry.node: (entry.enabled, entry.deleted) for entry in after.entries.entries}
        self.assertEqual(told[NODE], (True, False))
        self.assertEqual(told["newer@example.org"], (False, True))
        self.assertEqual(told["later@example.org"], (False, True))
        self.assertIsInstance(await self.asked(hops, KDC, hop.Keys(1, REQUEST)), hop.Issued)
        status = await self.command({"command": "status"}, "seckex.status/1")
        self.assertEqual(status["roles"]["kdc"]["principals"], 2)
        await daemon.stopService()
        self.start(KdcDaemon(reactor, load(file, KdcSettings)))
        for name, said in ((NODE, HOME), ("stays@example.org", HOME)):
            self.assertIn(said, (await seckex("show", name)).stdout)
        self.assertEqual((await seckex("audit", "verify")).exit_code, 0)


class BackupTests(DaemonCase):
    """A center that goes on from a backup."""

    async def test_it_serves_with_other_keys_for_a_request_and_later_serials(self) -> None:
        file = self.write("kdc", self.kdc_toml())
        daemon = KdcDaemon(reactor, load(file, KdcSettings))
        self.start(daemon)
        await self.add()
        hops = self.home_agent((KDC, self.port))
        before = await self.asked(hops, KDC, hop.Keys(1, REQUEST))
        target = self.directory / "copy"
        result = await deferToThread(
            CliRunner().invoke, main, ["backup", str(target), "--with-key", "--config", str(file)]
        )
        self.assertEqual(result.exit_code, 0, result.output)
        await self.add("since@example.org")
        entries = await self.asked(hops, KDC, hop.Nodes(2, NodeQuery(0, 64), ()))
        assert isinstance(entries, hop.Entries)
        await daemon.stopService()
        shutil.move(self.directory / "kdc", self.directory / "lost")
        shutil.copytree(target, self.directory / "kdc")
        self.start(KdcDaemon(reactor, load(file, KdcSettings)))
        hops = self.home_agent((KDC, self.port))
        self.heard.clear()
        again = await self.asked(hops, KDC, hop.Keys(3, REQUEST))
        assert isinstance(before, hop.Issued)
        assert isinstance(again, hop.Issued)
        self.assertEqual(set(before.material.keys) & set(again.material.keys), set())
        # A home agent that knows more is told of what comes now.
        await self.add("after@example.org")
        after = await self.asked(hops, KDC, hop.Nodes(4, NodeQuery(entries.entries.serial, 64), ()))
        assert isinstance(after, hop.Entries)
        self.assertEqual([entry.node for entry in after.entries.entries], ["after@example.org"])
