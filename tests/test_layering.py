"""The house rules that a program can hold: floors, who may import what, and what nobody may use.

Modules are read, not run, so imports inside functions count as well. The rules
are tried out on sources that break them, one by one.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import typing
from collections.abc import Iterable, Iterator, Mapping
from configparser import ConfigParser
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NoReturn

from twisted.trial.unittest import SynchronousTestCase

import seckex
from seckex.machine import Transitions

ROOT: Final = Path(seckex.__file__).parent
PLUGINS: Final = ROOT.parent / "twisted_plugins"

#: The ground floor first; rooms of one floor do not know each other.
FLOORS: Final = (
    ("seckex",),
    ("seckex.wire.numbers",),
    ("seckex.errors",),
    ("seckex.events",),
    ("seckex.machine",),
    ("seckex.wire",),
    ("seckex.crypto",),
    ("seckex.sa",),
    ("seckex.config",),
    ("seckex.exchange",),
    ("seckex.dialog",),
    ("seckex.passage",),
    ("seckex.delivery",),
    ("seckex.node",),
    ("seckex.roles",),
    ("seckex.storage",),
    ("seckex.net",),
    ("seckex.tap", "seckex.cli", "seckex.testing"),
)
FLOOR_OF: Final = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

EDGE: Final = ("seckex.net", "seckex.tap", "seckex.cli")

#: Which rooms may import a module that does something to the world, or learns something from it.
MAY_IMPORT: Final[Mapping[str, tuple[str, ...]]] = {
    "cryptography": ("seckex.crypto",),
    "gmpy2": ("seckex.crypto",),
    "OpenSSL": ("seckex.crypto",),
    # The command compares files that it sent; all other hashing is the business of one room.
    "hashlib": ("seckex.crypto", "seckex.cli"),
    "hmac": ("seckex.crypto",),
    "twisted": (*EDGE, "seckex.storage", "seckex.testing"),
    "zope": (*EDGE, "seckex.storage"),
    # Clocks.
    "time": EDGE,
    # What reads certificates is given moments, and never asks for the present one.
    "datetime": (*EDGE, "seckex.crypto"),
    # Randomness.
    "random": (),
    "uuid": (),
    "secrets": EDGE,
    # Files and databases.
    "os": (*EDGE, "seckex.storage", "seckex.config"),
    "io": (*EDGE, "seckex.storage", "seckex.config"),
    "pathlib": (*EDGE, "seckex.storage", "seckex.config"),
    "fcntl": (*EDGE, "seckex.storage"),
    "shutil": (*EDGE, "seckex.storage"),
    "tempfile": EDGE,
    "sqlite3": ("seckex.storage",),
    # The network, processes and threads.
    "socket": EDGE,
    "ssl": EDGE,
    "select": EDGE,
    "selectors": EDGE,
    "asyncio": (),
    "signal": EDGE,
    "subprocess": EDGE,
    "multiprocessing": (),
    # A store of messages is read by other threads than the one that writes.
    "threading": (*EDGE, "seckex.storage"),
    "concurrent": EDGE,
    "importlib": ("seckex.cli",),
}

#: Attributes and functions that do the same without an import of their own.
MAY_USE: Final[Mapping[str, tuple[str, ...]]] = {
    "urandom": EDGE,
    "getrandom": EDGE,
    "open": (*EDGE, "seckex.storage", "seckex.config"),
    "print": ("seckex.cli",),
    "input": ("seckex.cli",),
    "__import__": (),
}

#: What has no place in this package under any name, in whatever case.
BANNED: Final = frozenset(
    ("md5", "sha1", "ecb", "des", "tripledes", "arc4", "rc4", "pickle", "marshal", "shelve", "eval", "exec")
)


#: What is compared in constant time only (`seckex.crypto.secrets.equal`), under whatever name it ends in.
NEVER_COMPARED: Final = frozenset(("mac", "mic", "tag", "secret", "prk", "authenticator", "dh", "shared"))


def modules() -> Iterator[tuple[str, Path]]:
    """Yield the name and the file of every module of the package."""
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


NAMES: Final = frozenset(name for name, _ in modules())


def room_of(module: str) -> str:
    """Return the room that a module belongs to: the longest that its name begins with."""
    if module.startswith("seckex.tap_"):
        return "seckex.tap"
    rooms = [room for room in FLOOR_OF if module == room or (room != "seckex" and module.startswith(f"{room}."))]
    return max(rooms, key=len, default="")


def imported(node: ast.AST) -> list[str]:
    """Return what one node imports, as full names; of a relative import nothing but its dots."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = "." * node.level + (node.module or "")
        inner = [f"{base}.{alias.name}" for alias in node.names]
        # What is imported from a package may be a module of it, or a name that its __init__ has.
        return [name if name in NAMES else base for name in inner]
    return []


def named(node: ast.AST) -> list[str]:
    """Return the identifiers that one node uses, and short texts that may name an algorithm."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return [name]
        case ast.alias(name=name, asname=other):
            return [*name.split("."), other or ""]
        case ast.Constant(value=str(text)):
            return [text] if text.isidentifier() and not text.startswith("__") else []
    return []


def called(node: ast.expr) -> str:
    """Return the last name in what an expression reads or calls, empty where it has none."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.strip("_")
        case ast.Subscript(value=inner) | ast.Call(func=inner):
            return called(inner)
    return ""


def compared(node: ast.AST) -> list[str]:
    """Return the names of what one node compares with ``==`` and the like."""
    if not isinstance(node, ast.Compare):
        return []
    if not any(isinstance(each, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for each in node.ops):
        return []
    return [called(each) for each in (node.left, *node.comparators)]


def import_faults(module: str, name: str) -> Iterator[str]:
    """Yield what is wrong with ``module`` importing ``name``."""
    room = room_of(module)
    if name.startswith("."):
        yield f"{module} imports relatively"
    elif name.split(".")[0] == "seckex":
        target = room_of(name)
        if not target:
            yield f"{module} imports {name}, which stands on no floor"
        elif target != room and FLOOR_OF[target] >= FLOOR_OF[room]:
            yield f"{module} imports {name}, which is not below it"
    elif room not in MAY_IMPORT.get(name.split(".")[0], (room,)):
        yield f"{module} imports {name}"


def faults(module: str, source: str) -> list[str]:
    """Return every rule that a module breaks."""
    room = room_of(module)
    if not room:
        return [f"{module} stands on no floor"]
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        found += [fault for name in imported(node) for fault in import_faults(module, name)]
        found += [f"{module} uses {name}" for name in named(node) if name.lower() in BANNED]
        found += [f"{module} compares {name} in the open" for name in compared(node) if name in NEVER_COMPARED]
        if isinstance(node, ast.Assert):
            found.append(f"{module} asserts")
        if isinstance(node, ast.Name) or (isinstance(node, ast.Attribute) and node.attr.endswith("random")):
            found += [f"{module} uses {name}" for name in named(node) if room not in MAY_USE.get(name, (room,))]
        if isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
            found += [f"{module} uses {name}" for name in names if room not in MAY_USE.get(name, (room,))]
    return found


class HouseTests(SynchronousTestCase):
    def test_every_module_stands_on_its_floor_and_keeps_the_rules(self) -> None:
        found = [fault for name, path in modules() for fault in faults(name, path.read_text())]
        self.assertEqual(found, [])

    def test_every_room_has_modules(self) -> None:
        self.assertEqual({room_of(name) for name, _ in modules()}, set(FLOOR_OF))

    def test_plugins_know_the_package_by_name_only(self) -> None:
        for path in sorted(PLUGINS.glob("*.py")):
            names = [name for node in ast.walk(ast.parse(path.read_text())) for name in imported(node)]
            self.assertLessEqual({name.split(".")[0] for name in names}, {"twisted", "zope"}, path.name)

    def test_every_plugin_is_installed(self) -> None:
        settings = ConfigParser()
        settings.read(PLUGINS.parent / "setup.cfg")
        installed = set(settings["options"]["py_modules"].split())
        self.assertEqual(installed, {f"twisted.plugins.{path.stem}" for path in PLUGINS.glob("*.py")})


class RuleTests(SynchronousTestCase):
    """Every rule, broken."""

    def broken(self, module: str, source: str, *expected: str) -> None:
        self.assertEqual(faults(module, source), [f"{module} {fault}" for fault in expected], source)

    def test_floors(self) -> None:
        for lower, higher in itertools.pairwise(FLOORS[1:]):
            below, above = lower[0], higher[0]
            self.broken(below, f"import {above}", f"imports {above}, which is not below it")
            self.broken(above, f"import {below}")
            self.broken(f"{above}.inner", f"from {below} import something")
        self.broken("seckex.tap", "import seckex.cli", "imports seckex.cli, which is not below it")
        self.broken("seckex.tap_some", "import seckex.tap")
        self.broken("seckex.cli.demo", "from seckex.tap import x", "imports seckex.tap, which is not below it")
        self.broken("seckex.sa.offer", "from seckex.sa.proposal import select")

    def test_the_numbers_are_below_the_rest_of_their_room(self) -> None:
        self.broken("seckex.errors", "from seckex.wire.numbers import Code")
        self.broken("seckex.errors", "from seckex.wire import numbers")
        self.broken(
            "seckex.errors", "from seckex.wire import buffer", "imports seckex.wire.buffer, which is not below it"
        )
        self.broken("seckex.wire.numbers", "import seckex.errors", "imports seckex.errors, which is not below it")

    def test_what_stands_on_no_floor(self) -> None:
        self.broken("seckex.attic", "x = 1", "stands on no floor")
        self.broken("seckex.sa.offer", "import seckex.attic", "imports seckex.attic, which stands on no floor")
        self.broken("seckex.sa.offer", "from . import policy", "imports relatively")
        self.broken("seckex.sa.offer", "from ..wire import numbers", "imports relatively")

    def test_imports_inside_functions_and_conditions_count(self) -> None:
        self.broken("seckex.sa.offer", "def f():\n    import time\n", "imports time")
        self.broken(
            "seckex.sa.offer",
            "if TYPE_CHECKING:\n    from seckex.node import node",
            "imports seckex.node.node, which is not below it",
        )
        self.broken(
            "seckex.sa.offer",
            "class C:\n    try:\n        import socket as s\n    finally:\n        pass",
            "imports socket",
        )

    def test_what_each_room_may_import(self) -> None:
        rooms = [room for rooms in FLOORS for room in rooms]
        for name, allowed in MAY_IMPORT.items():
            for room in rooms:
                expected = () if room in allowed else (f"imports {name}",)
                self.broken(f"{room}.inner" if room != "seckex" else room, f"import {name}", *expected)
        for name in ("cryptography.x509", "twisted.internet.defer", "os.path"):
            self.broken("seckex.node.node", f"from {name} import x", f"imports {name}")

    def test_the_rooms_without_a_world(self) -> None:
        for room in ("machine", "wire.x", "crypto.x", "sa.x", "exchange.x", "dialog.x", "node.x"):
            for name in ("time", "random", "secrets", "os", "socket", "sqlite3", "twisted", "datetime", "threading"):
                if (room, name) != ("crypto.x", "datetime"):
                    self.broken(f"seckex.{room}", f"import {name}", f"imports {name}")

    def test_randomness_and_files_without_an_import_of_their_own(self) -> None:
        self.broken("seckex.storage.x", "import os\nos.urandom(1)", "uses urandom")
        self.broken("seckex.storage.x", "from os import urandom", "uses urandom")
        self.broken("seckex.storage.x", "from os import getrandom as luck", "uses getrandom")
        self.broken("seckex.sa.x", "with open('f'): pass", "uses open")
        self.broken("seckex.sa.x", "__import__('time')", "uses __import__")
        self.broken("seckex.net.x", "print('x')", "uses print")
        self.broken("seckex.net.x", "import os\nos.urandom(1)")
        # A method of that name is somebody's own.
        self.broken("seckex.sa.x", "box.open()")

    def test_the_ban_list(self) -> None:
        self.broken("seckex.crypto.x", "hashes.SHA1()", "uses SHA1")
        self.broken("seckex.crypto.x", "modes.ECB()", "uses ECB")
        self.broken("seckex.crypto.x", "new('md5')", "uses md5")
        self.broken("seckex.crypto.x", "from hashlib import md5", "uses md5")
        self.broken("seckex.cli.x", "import pickle", "uses pickle")
        self.broken("seckex.cli.x", "import pickle as p", "uses pickle")
        self.broken("seckex.cli.x", "eval('1')", "uses eval")
        self.broken("seckex.cli.x", "exec('1')", "uses exec")
        self.broken("seckex.cli.x", "import random", "imports random")
        self.broken("seckex.cli.x", "def f(x):\n    assert x\n", "asserts")
        self.broken("seckex.net.x", "received.mac == made", "compares mac in the open")
        self.broken("seckex.net.x", "if made != keys.secret[:4]: pass", "compares secret in the open")
        self.broken("seckex.net.x", "mac(x) in known", "compares mac in the open")
        self.broken("seckex.net.x", "equal(received.mac, made)\nif len(mac) == 3 and mac is None: pass")
        # To speak of it is no harm.
        self.broken("seckex.crypto.x", '"""No md5 here, and no eval."""\nx = "not pickled"')


def tables() -> Iterator[tuple[ModuleType, Transitions]]:
    """Import every module that assigns TRANSITIONS and yield it with its table."""
    for name, path in modules():
        for node in ast.parse(path.read_text()).body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            if any(isinstance(target, ast.Name) and target.id == "TRANSITIONS" for target in targets):
                module = importlib.import_module(name)
                yield module, module.TRANSITIONS


def hints_of(module: ModuleType, state: type[Any]) -> dict[str, Any]:
    """Return the annotations of a state's ``receive``."""
    return typing.get_type_hints(state.receive, vars(module))


def events_of(module: ModuleType, state: type[Any]) -> set[type] | None:
    """Return the events that a state's ``receive`` is annotated with, None where it takes whatever comes."""
    first = list(inspect.signature(state.receive).parameters)[1]
    hint = hints_of(module, state)[first]
    found = set(typing.get_args(hint) or (hint,))
    return None if object in found or Any in found else found


class TransitionTests(SynchronousTestCase):
    def each(self) -> Iterable[tuple[ModuleType, Transitions]]:
        found = list(tables())
        self.assertGreaterEqual(len(found), 3)
        return found

    def test_states_are_of_the_module_and_events_exist(self) -> None:
        for module, table in self.each():
            for state, events in table.items():
                self.assertIs(getattr(module, state.__name__), state)
                self.assertTrue(callable(getattr(state, "receive", None)), state)
                for event, following in events.items():
                    self.assertIsInstance(event, type)
                    self.assertTrue(following, f"{state.__name__} on {event.__name__} leads nowhere")

    def test_every_state_of_the_module_is_in_its_table(self) -> None:
        for module, table in self.each():
            written = {
                one for one in vars(module).values()
                if inspect.isclass(one) and one.__module__ == module.__name__ and "receive" in vars(one)
            }  # fmt: skip
            # One whose receive never returns is an end, and needs no line of its own.
            ends = {one for one in written - set(table) if hints_of(module, one)["return"] is NoReturn}
            following = {state for events in table.values() for states in events.values() for state in states}
            self.assertEqual(written, set(table) | ends, module.__name__)
            self.assertLessEqual(following, written, module.__name__)

    def test_a_state_is_given_the_events_that_it_takes(self) -> None:
        checked = 0
        for module, table in self.each():
            for state, events in table.items():
                annotated = events_of(module, state)
                if annotated is not None and events:
                    self.assertEqual(annotated, set(events), f"{module.__name__}: {state.__name__}")
                    checked += 1
        self.assertGreater(checked, 5)

    def test_every_conversation_can_come_to_an_end(self) -> None:
        for module, table in self.each():
            leads = {
                state: set().union(*events.values()) - {state} if events else set() for state, events in table.items()
            }
            ended = {state for following in leads.values() for state in following if not leads.get(state)}
            self.assertTrue(ended, module.__name__)
            before: set[type] = set()
            while ended != before:
                before = ended
                ended = before | {state for state, following in leads.items() if following & before}
            self.assertEqual(set(table) - ended, set(), module.__name__)
