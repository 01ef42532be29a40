"""Reads the files of a configuration: the one place of this floor that opens any.

Loading is all or nothing. Everything that is wrong with a file and with the key
files that it names is found in one go and raised as one `ConfigInvalid`. Files
of secrets must belong to the daemon's user or to root and be closed to everybody
else. That user is not always who reads: a daemon that is started by root and
drops its privileges reads before it does.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Generic, TypeAlias, TypeVar

from attrs import Factory, frozen

from seckex.config.agent import AgentSettings
from seckex.config.common import Settings, State
from seckex.config.credentials import Credentials, read_credentials
from seckex.config.files import Owner, read_private
from seckex.config.initiator import InitiatorSettings
from seckex.config.kdc import KdcSettings
from seckex.config.key0 import MAX_FILE, Key0, parse_key0
from seckex.config.pairs import read_pairs
from seckex.config.problems import ConfigInvalid, Problem, Unfit, nearest, shown
from seckex.config.responder import ResponderSettings
from seckex.config.structure import Reading, Unread, read_sections, settings_converter

MAX_SETTINGS_FILE: Final = 2**20
_HEX_KEY: Final = re.compile(r"[0-9a-fA-F]{64}")
# The sections whose tables name key files.
_KEYED: Final = ("peers", "hops")
AnySettings: TypeAlias = InitiatorSettings | ResponderSettings | AgentSettings | KdcSettings
ROLES: Final[Mapping[str, type[AnySettings]]] = {
    "initiator": InitiatorSettings,
    "responder": ResponderSettings,
    "agent": AgentSettings,
    "kdc": KdcSettings,
}

S = TypeVar("S", bound=Settings)


@frozen
class Loaded(Generic[S]):
    """A configuration ready for use: what the file says, KEY 0 by the peer's NAI, and our certificate and trust.

    ``prekeys`` has those that were told by whom we are paired with, as octets and not verified.
    """

    file: Path
    settings: S
    keys: Mapping[str, Key0]
    credentials: Credentials | None = None
    owner: Owner = Factory(Owner)
    prekeys: Mapping[str, tuple[bytes, ...]] = Factory(dict)


def load(file: Path, cls: type[S], owner: Owner | None = None) -> Loaded[S]:
    """Read a file for the role of ``cls`` with the keys it names; raise `ConfigInvalid` with all that is wrong.

    ``owner`` is who the daemon is about to run as, where that is not who reads.
    """
    return _load(file, _parse(file), cls, owner or Owner())


def load_any(file: Path, owner: Owner | None = None) -> Loaded[AnySettings]:
    """Read a file for whichever role it names, as `load` does."""
    raw = _parse(file)
    return _load(file, raw, _class_of(file, raw), owner or Owner())


def _load(file: Path, raw: dict[str, Any], cls: type[S], owner: Owner) -> Loaded[S]:
    reading = _read(file, raw, cls)
    keys: dict[str, Key0] = {}
    problems = [*reading.problems, *_state_problems(reading.sections.get("state"), owner)]
    problems += _read_keys(reading.sections, keys, owner)
    state: State | None = reading.sections.get("state")
    paired, doubtful = ([], []) if state is None else read_pairs(state.directory, owner)
    wanted = next(cls.by_certificate(reading.sections), None)
    known = [each for _, each in paired]
    credentials, faults = read_credentials(reading.sections.get("identity"), owner, known, wanted)
    if problems or doubtful or faults:
        raise ConfigInvalid(file, [*problems, *doubtful, *faults])
    prekeys = {each.nai: each.card.prekeys for each in known if each.card.prekeys}
    return Loaded(file, cls(**reading.sections), keys, credentials, owner, prekeys)


def read_settings(file: Path) -> AnySettings:
    """Read a file without its keys, for those who only want to find the daemon."""
    raw = _parse(file)
    cls = _class_of(file, raw)
    reading = _read(file, raw, cls)
    if reading.problems:
        raise ConfigInvalid(file, reading.problems)
    return cls(**reading.sections)


def default_state(role: str) -> Path:
    """Return where the daemon of ``role`` keeps its state unless told otherwise; RuntimeError without a home."""
    base = os.environ.get("XDG_STATE_HOME", "")
    home = Path(base) if base.startswith("/") else Path("~/.local/state").expanduser()
    return home / "seckex" / role


def _parse(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            octets = stream.read(MAX_SETTINGS_FILE + 1)
        if len(octets) > MAX_SETTINGS_FILE:
            raise ConfigInvalid(file, [Problem("", f"is longer than {MAX_SETTINGS_FILE} octets")])
        return tomllib.loads(octets.decode())
    except OSError as error:
        raise ConfigInvalid(file, [Problem("", f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise ConfigInvalid(file, [Problem("", f"is not UTF-8 text (at octet {error.start})")]) from error
    except RecursionError as error:
        raise ConfigInvalid(file, [Problem("", "is nested too deeply")]) from error
    except ValueError as error:
        raise ConfigInvalid(file, [Problem("", f"is not TOML: {error}")]) from error


def _class_of(file: Path, raw: Mapping[str, Any]) -> type[AnySettings]:
    role = raw.get("role")
    if isinstance(role, str) and role in ROLES:
        return ROLES[role]
    raise ConfigInvalid(file, [Problem("role", _role_wanted(role))])


def _role_wanted(role: object) -> str:
    wanted = "one of " + ", ".join(f'"{name}"' for name in ROLES)
    if role is None:
        return f"is required: {wanted}"
    advice = nearest(role, ROLES) if isinstance(role, str) else ""
    return f"must be {wanted}, not {shown(role)}" + (f": {advice}" if advice else "")


def _read(file: Path, raw: dict[str, Any], cls: type[Settings]) -> Reading:
    """Read the sections, add the default state directory and judge what was read."""
    role = raw.pop("role", None)
    if role != cls.role:
        what = f'must be "{cls.role}" for this daemon, not {shown(role)}' if role in list(ROLES) else _role_wanted(role)
        raise ConfigInvalid(file, [Problem("role", what)])
    state = raw.setdefault("state", {})
    if isinstance(state, dict) and "directory" not in state:
        with suppress(RuntimeError):  # nobody's home: the setting is then required, and said to be
            state["directory"] = str(default_state(cls.role))
    base = Path(os.path.abspath(file)).parent

    def resolve(text: str) -> Path:
        try:
            return base / Path(text).expanduser()
        except RuntimeError as error:
            raise Unfit("a path whose ~ stands for a home directory", text) from error

    reading = read_sections(raw, cls, settings_converter(resolve))
    return Reading(reading.sections, (*reading.problems, *cls.contradictions(reading.sections)))


def _state_problems(state: State | None, owner: Owner) -> Iterator[Problem]:
    if state is None:
        return
    try:
        objection = _objection_to_directory(state.directory, owner)
    except FileNotFoundError:
        return
    except OSError as error:
        objection = f"{state.directory} cannot be entered: {error.strerror}"
    if objection:
        yield Problem("state.directory", objection)


def prepare_state(file: Path, state: State, owner: Owner | None = None) -> None:
    """Make the state directory for its owner, or insist that it is his alone; raise `ConfigInvalid` for ``file``."""
    owner = owner or Owner()
    try:
        state.directory.parent.mkdir(parents=True, exist_ok=True)
        try:
            state.directory.mkdir(mode=0o700)
        except FileExistsError:
            pass
        else:
            give(state.directory, owner)
        objection = _objection_to_directory(state.directory, owner)
    except OSError as error:
        objection = f"{state.directory} cannot be made: {error.strerror}"
    if objection:
        raise ConfigInvalid(file, [Problem("state.directory", objection)])


def give(path: Path, owner: Owner) -> None:
    """Let what this process has just made belong to ``owner``; raises OSError."""
    if owner != Owner():
        os.chown(path, owner.uid, owner.gid, follow_symlinks=False)


def _objection_to_directory(directory: Path, owner: Owner) -> str:
    found = directory.stat()
    if not stat.S_ISDIR(found.st_mode):
        return f"{directory} is not a directory"
    if found.st_uid != owner.uid:
        return f"{directory} belongs to user {found.st_uid}, not to user {owner.uid} who runs this"
    if found.st_mode & 0o077:
        return f"{directory} is open to others: run chmod 0700 {shlex.quote(str(directory))}"
    return ""


def _read_keys(sections: Mapping[str, Any], keys: dict[str, Key0], owner: Owner) -> Iterator[Problem]:
    """Fill ``keys`` by the NAIs of peers and of neighbours on hops; yield what is wrong with the files."""
    identity = sections.get("identity")
    first: dict[int, tuple[str, str]] = {}
    named = ((f"{list_of}[{at}].key0", one) for list_of in _KEYED for at, one in enumerate(sections.get(list_of, ())))
    for path, peer in named:
        if isinstance(peer, Unread) or peer.key0 is None:
            continue
        if _HEX_KEY.fullmatch(peer.key0.name):
            yield Problem(path, "must be the path of a key file, not a key")
            continue
        try:
            key0 = read_key0(peer.key0, owner)
        except ConfigInvalid as error:
            yield Problem(path, f"{error.file}: {'; '.join(map(str, error.problems))}")
            continue
        if identity is not None and key0.principals != {identity.nai, peer.nai}:
            between, needed = " and ".join(sorted(key0.principals)), f"{identity.nai} and {peer.nai}"
            yield Problem(path, f"{peer.key0} is between {between}, not between {needed}")
        earlier, whose = first.setdefault(key0.spi, (path, peer.nai))
        # Who is a peer and a neighbour shares one key for both.
        if earlier != path and (whose != peer.nai or earlier.partition("[")[0] == path.partition("[")[0]):
            yield Problem(path, f"{peer.key0} has the SPI of {earlier}, {key0.spi}: each needs its own")
        elif path.startswith("hops") and keys.setdefault(peer.nai, key0) != key0:
            yield Problem(path, f"{peer.key0} is another key than the one that peers has for {peer.nai}")
        keys[peer.nai] = key0


def read_key0(file: Path, owner: Owner | None = None) -> Key0:
    """Read a key file; raise `ConfigInvalid`, whose text has nothing of what the file holds."""
    return parse_key0(read_private(file, MAX_FILE, owner), file)
