"""Files of the spool: read as they were written, whole or not there, sealed, and unreadable when they were dropped."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import skipIf

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from seckex.crypto.atrest import MasterKey
from seckex.crypto.secrets import Secret
from seckex.delivery.faces import FRAGMENT
from seckex.errors import ApiMisuse, StoreFailed
from seckex.storage import spool
from seckex.storage.spool import HEADER, PIECE, Spool, Swept, spool_directory
from tests.storage.samples import entropy, master

PIECES = (entropy(FRAGMENT), entropy(FRAGMENT), entropy(17))
FORMER = MasterKey(Secret(bytes(32)))
LATTER = MasterKey(Secret(bytes(31) + b"\1"), FORMER)


class SpoolCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.new_place()

    def new_place(self) -> None:
        memory = "/dev/shm"
        self.state = Path(tempfile.mkdtemp(prefix="seckex-", dir=memory if os.access(memory, os.W_OK) else None))
        self.addCleanup(shutil.rmtree, self.state, ignore_errors=True)
        self.spool = self.started()

    def started(self, key: MasterKey = master) -> Spool:
        """Return the spool as a process that starts has it."""
        return Spool(spool_directory(self.state, 3), key, entropy)

    def fill(self, name: str) -> None:
        for fragment, octets in enumerate(PIECES):
            self.spool.write(name, fragment, octets)
        self.spool.sync(name)

    def held(self, name: str) -> tuple[bytes, ...]:
        return tuple(self.spool.read(name, fragment) for fragment in range(len(PIECES)))

    def names(self) -> list[str]:
        return sorted(os.listdir(self.spool.directory))

    def refused(self, words: str, call: Callable[..., Any], *args: object) -> None:
        self.assertIn(words, str(self.assertRaises(StoreFailed, call, *args)))


class SpoolTests(SpoolCase):
    def test_pieces_come_back_in_any_order_also_after_a_restart(self) -> None:
        for fragment in (2, 0, 1):
            self.spool.write("a-1", fragment, PIECES[fragment])
        self.assertEqual(self.names(), ["a-1.part"])
        self.spool.sync("a-1")
        self.assertEqual(self.names(), ["a-1"])
        for of in (self.spool, self.started()):
            for fragment in (1, 0, 2):
                self.assertEqual(of.read("a-1", fragment), PIECES[fragment])

    def test_a_piece_may_be_written_again(self) -> None:
        self.spool.write("a", 0, b"first")
        self.spool.write("a", 0, b"again")
        self.spool.sync("a")
        self.assertEqual(self.spool.read("a", 0), b"again")

    def test_what_is_not_finished_is_not_read(self) -> None:
        self.spool.write("a", 0, b"x")
        self.refused("No such file", self.started().read, "a", 0)

    def test_finishing_again(self) -> None:
        self.fill("a")
        self.spool.sync("a")
        self.refused("No such file", self.spool.sync, "b")

    def test_a_file_takes_the_place_of_one_that_was_finished(self) -> None:
        self.fill("a.o1")
        self.assertEqual(self.held("a.o1"), PIECES)
        self.spool.write("a.o1", 0, b"another")
        self.assertEqual(self.spool.read("a.o1", 0), PIECES[0])
        self.assertEqual(self.names(), ["a.o1", "a.o1.part"])
        self.spool.sync("a.o1")
        for of in (self.spool, self.started()):
            self.assertEqual(of.read("a.o1", 0), b"another")
        self.spool.write("a.o1", 0, b"again")
        self.spool.drop("a.o1")
        self.assertEqual(self.names(), [])

    def test_how_much_there_is(self) -> None:
        self.fill("a")
        self.spool.write("b", 1, b"xyz")
        self.spool.write("c", 0, b"")
        (self.spool.directory / "d.part").write_bytes(b"torn")
        self.assertEqual(self.spool.sizes(), {"a": 2 * FRAGMENT + 17, "b": FRAGMENT + 3, "c": 0, "d": 0})

    def test_pieces_that_were_not_written_are_told(self) -> None:
        self.spool.write("a", 0, PIECES[0])
        self.spool.write("a", 2, b"x")
        self.spool.sync("a")
        for fragment in (1, 3, 60_000):
            self.refused(f"piece {fragment} is damaged or missing", self.spool.read, "a", fragment)

    def test_files_are_private_and_sealed(self) -> None:
        self.addCleanup(os.umask, os.umask(0))
        self.new_place()
        self.fill("a")
        (path,) = self.spool.directory.iterdir()
        self.assertEqual(path.stat().st_mode & 0o7777, 0o600)
        for directory in (path.parent, path.parent.parent):
            self.assertEqual(directory.stat().st_mode & 0o7777, 0o700)
        content = path.read_bytes()
        self.assertEqual(len(content), HEADER + 2 * PIECE + 28 + 17)
        for octets in PIECES:
            self.assertNotIn(octets[:16], content)

    def test_whatever_is_changed_is_found_out(self) -> None:
        self.fill("a")
        (path,) = self.spool.directory.iterdir()
        whole = path.read_bytes()
        for at in (0, 8, 40, 79, HEADER, HEADER + 12, HEADER + 5000, HEADER + PIECE - 1):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            self.refused("damaged", self.started().read, "a", 0)
        for cut in (0, 7, 100, HEADER, HEADER + 10, HEADER + PIECE - 1):
            path.write_bytes(whole[:cut])
            self.refused("damaged", self.started().read, "a", 0)
        # Pieces that change places, and files.
        moved = whole[:HEADER] + whole[HEADER + PIECE : HEADER + 2 * PIECE] + whole[HEADER : HEADER + PIECE]
        path.write_bytes(moved)
        self.refused("damaged", self.started().read, "a", 0)
        path.write_bytes(whole)
        path.rename(path.with_name("b"))
        self.refused("damaged", self.started().read, "b", 0)

    def test_another_master_key(self) -> None:
        self.fill("a")
        self.refused("damaged, or of another master key", self.started(FORMER).read, "a", 0)

    def test_no_nonce_is_used_twice(self) -> None:
        for _ in range(3):
            self.spool.write("a", 0, b"x" * 40)
            self.spool.write("a", 1, b"x" * 40)
        self.spool.sync("a")
        content = (self.spool.directory / "a").read_bytes()
        self.assertNotEqual(content[HEADER:][:12], content[HEADER + PIECE :][:12])

    def test_names_and_pieces_that_there_cannot_be(self) -> None:
        for name in ("", "../a", "a.part", "A", "-a", ".a", "a.part.part", "a/b", "a" * 81, "a\n"):
            self.assertRaises(ApiMisuse, self.spool.write, name, 0, b"")
            self.assertRaises(ApiMisuse, self.spool.drop, name)
        for fragment, octets in ((-1, b""), (65_535, b""), (0, bytes(FRAGMENT + 1))):
            self.assertRaises(ApiMisuse, self.spool.write, "a", fragment, octets)

    def test_many_files_at_once(self) -> None:
        self.patch(spool, "MOST_KEYS", 2)
        names = [f"n{n}" for n in range(5)]
        for fragment in range(2):
            for name in names:
                self.spool.write(name, fragment, f"{name} {fragment}".encode())
        for name in names:
            self.spool.sync(name)
            self.assertEqual(self.spool.read(name, 1), f"{name} 1".encode())

    # -- what goes away

    def test_what_was_dropped_cannot_be_read_by_whoever_kept_the_disk(self) -> None:
        self.fill("a")
        self.spool.write("b", 0, PIECES[0])
        kept = {name: self.state / name for name in ("a", "b.part")}
        for name, path in kept.items():
            # Another name for the same octets, as if they were found on the disk afterwards.
            os.link(self.spool.directory / name, path)
        for name in ("a", "b", "c"):
            self.spool.drop(name)
        self.assertEqual(self.names(), [])
        for name, path in kept.items():
            self.assertEqual(path.read_bytes()[:HEADER], bytes(HEADER))
            shutil.copy(path, self.spool.directory / name.removesuffix(".part"))
            self.refused("damaged", self.started().read, name.removesuffix(".part"), 0)

    def test_sweeping_leaves_what_is_needed(self) -> None:
        for name in ("needed", "orphan", "other"):
            self.fill(name)
        self.spool.write("half", 0, b"x")
        self.spool.write("needed-half", 0, b"x")
        (self.spool.directory / "README").write_bytes(b"somebody else's")
        self.spool = self.started()
        self.assertEqual(self.spool.sweep({"needed", "gone", "needed-half"}), Swept(4, ("gone", "needed-half")))
        self.assertEqual(self.names(), ["README", "needed"])
        self.assertEqual(self.held("needed"), PIECES)

    # -- another master key

    def rewrapped(self) -> list[bool | None]:
        return [self.spool.rewrap(path) for path in self.spool.files()]

    def test_keys_are_wrapped_under_another_master_key(self) -> None:
        self.spool = self.started(FORMER)
        self.fill("a")
        self.spool.write("b", 0, PIECES[0])
        (self.spool.directory / "c").write_bytes(b"nothing")
        headers = [(self.spool.directory / name).read_bytes()[8:80] for name in ("a", "b.part")]
        self.spool = self.started(LATTER)
        self.assertEqual(self.held("a"), PIECES)
        self.assertEqual(self.rewrapped(), [True, True, None])
        self.assertEqual(self.rewrapped(), [False, False, None])
        for header, name in zip(headers, ("a", "b.part"), strict=True):
            self.assertNotIn(header[:24], (self.spool.directory / name).read_bytes())
        self.spool = self.started(MasterKey(Secret(bytes(31) + b"\1")))
        self.assertEqual(self.held("a"), PIECES)
        # And once more, into the other slot.
        self.spool = self.started(MasterKey(Secret(bytes(31) + b"\2"), MasterKey(Secret(bytes(31) + b"\1"))))
        self.assertEqual(self.rewrapped(), [True, True, None])
        self.spool = self.started(MasterKey(Secret(bytes(31) + b"\2")))
        self.assertEqual(self.held("a"), PIECES)


class Killed(BaseException):
    """The process is gone from here on."""


class Calls:
    """Ends at the ``left``-th call from now; who is killed is dead from then on."""

    def __init__(self, left: int, how: Callable[[], BaseException]) -> None:
        self.left = left
        self.how = how

    def counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.left -= 1
            if self.left == -1 or (self.left < 0 and self.how is Killed):
                raise self.how()
            return call(*args, **kwargs)

        return counted


class AccidentTests(SpoolCase):
    """Killed or failing at every call of the system."""

    CALLS = ("open", "pwrite", "pread", "fsync", "fdatasync", "rename", "unlink")

    def at_every_call(
        self, act: Callable[[], object], check: Callable[[BaseException | None], None], how: Callable[[], BaseException]
    ) -> int:
        """Have ``act`` end at each of its calls of the system in turn, and ``check`` what is left."""
        for at in itertools.count():
            self.new_place()
            calls = Calls(at, how)
            patches = [self.patch(os, name, calls.counted(getattr(os, name))) for name in self.CALLS]
            failed: BaseException | None = None
            try:
                act()
            except (Killed, StoreFailed) as error:
                failed = error
            finally:
                for patch in patches:
                    patch.restore()
            check(failed)
            if failed is None and calls.left >= 0:
                return at
        raise AssertionError

    def test_killed_while_a_file_is_written(self) -> None:
        told: list[str] = []

        def act() -> None:
            told.clear()
            self.fill("a")
            told.append("a")
            self.fill("b")
            told.append("b")

        def check(_failed: object) -> None:
            self.spool = self.started()
            swept = self.spool.sweep(told)
            self.assertEqual(swept.missing, ())
            self.assertEqual(self.names(), told)
            for name in told:
                self.assertEqual(self.held(name), PIECES)
            # The same name may be used by whoever is asked again.
            self.spool.drop("b")
            self.fill("b")

        self.assertGreater(self.at_every_call(act, check, Killed), 20)

    def test_killed_while_keys_are_wrapped_anew(self) -> None:
        def act() -> None:
            self.spool = self.started(FORMER)
            self.fill("a")
            self.spool = self.started(LATTER)
            begun[:] = [1]
            self.rewrap()

        def check(_failed: object) -> None:
            if begun:
                self.spool = self.started(LATTER)
                self.assertEqual(self.held("a"), PIECES)
                self.rewrap()
                self.spool = self.started(MasterKey(Secret(bytes(31) + b"\1")))
                self.assertEqual(self.held("a"), PIECES)
            begun.clear()

        begun: list[int] = []
        self.assertGreater(self.at_every_call(act, check, Killed), 15)

    def rewrap(self) -> None:
        while any(self.spool.rewrap(path) for path in self.spool.files()):
            pass

    def test_a_full_disk_at_every_call_leaves_nothing_half(self) -> None:
        def full() -> OSError:
            return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def check(failed: BaseException | None) -> None:
            if failed is not None:
                self.assertIn("is full, or a quota is used up: make room", str(failed))
            # It begins again.
            self.fill("a")
            self.assertEqual(self.held("a"), PIECES)
            self.assertEqual(self.names(), ["a"])

        self.assertGreater(self.at_every_call(lambda: self.fill("a"), check, full), 8)

    def test_what_could_not_be_synchronised_is_not_taken_for_whole(self) -> None:
        self.spool.write("a", 0, b"x")
        calls: list[int] = []

        def failing(_descriptor: int) -> None:
            if not calls:
                calls.append(1)
                raise OSError(errno.EIO, os.strerror(errno.EIO))

        patch = self.patch(os, "fsync", failing)
        self.refused("does not read or write: see the kernel's log", self.spool.sync, "a")
        self.refused("No such file", self.spool.sync, "a")
        patch.restore()
        self.assertEqual(self.names(), [])

    def test_short_writes_go_on(self) -> None:
        whole = os.pwrite
        self.patch(os, "pwrite", lambda descriptor, octets, at: whole(descriptor, octets[:1000], at))
        self.fill("a")
        self.assertEqual(self.held("a"), PIECES)

    @skipIf(os.geteuid() == 0, "root may write everywhere")
    def test_a_directory_that_cannot_be_written(self) -> None:
        self.spool.directory.chmod(0o500)
        self.refused("may not be accessed", self.spool.write, "a", 0, b"x")

    def test_a_directory_that_is_open_to_others_is_refused(self) -> None:
        self.spool.directory.chmod(0o750)
        self.refused("is open to other users", self.started)


class FullDiskTests(SpoolCase):
    def setUp(self) -> None:
        if os.geteuid() != 0:
            raise SkipTest("only root can mount a small file system")
        self.state = Path(self.mktemp())
        self.state.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=204k,mode=0700", "tmpfs", self.state], capture_output=True, check=False
        )
        if mounted.returncode != 0:
            raise SkipTest(f"a small file system cannot be mounted here: {mounted.stderr.decode().strip()}")
        self.addCleanup(lambda: subprocess.run(["umount", self.state], check=True))
        self.spool = self.started()

    def test_it_is_told_and_goes_on_when_there_is_room(self) -> None:
        self.fill("a")
        self.spool.write("b", 0, PIECES[0])
        self.refused("is full, or a quota is used up: make room", self.spool.write, "b", 1, PIECES[1])
        self.refused("is full", self.spool.write, "b", 1, PIECES[1])
        self.assertEqual(self.held("a"), PIECES)
        self.spool.drop("a")
        self.spool.write("b", 1, PIECES[1])
        self.spool.write("b", 2, PIECES[2])
        self.spool.sync("b")
        self.assertEqual(self.held("b"), PIECES)
