"""``python -m tests.fuzz NAME ...``: feed targets with mutants until the time or the number is over.

With atheris installed (``pip install '.[fuzz]'``) what a mutant makes the
program do decides what is mutated further; it also finds what crashes the
interpreter itself. Without it, or with ``--plain``, mutants of the corpus and of
some mutants are tried one after the other, from a seed that is printed. Findings
are written to a file each, for ``--reproduce``.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import time
from pathlib import Path
from random import Random

EXIT_FOUND = 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description="Feed decoders and machines with mutants."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which targets; all without any")
    parser.add_argument("--list", action="store_true", help="list the targets")
    parser.add_argument("--seconds", type=float, help="how long to go on with each target")
    parser.add_argument("--runs", type=int, help="how many inputs to try on each target; 100,000 if nothing is said")
    parser.add_argument("--seed", type=int, help="repeat a run without atheris")
    parser.add_argument("--plain", action="store_true", help="do without atheris")
    parser.add_argument("--corpus", type=Path, help="a folder of further inputs; with atheris new ones are kept there")
    parser.add_argument("--reproduce", type=Path, metavar="FILE", help="give one input to the one target that is named")
    parser.add_argument("--findings", type=Path, default=Path(), metavar="DIR", help="where findings are written")
    return parser.parse_args()


def _plain(options: argparse.Namespace, name: str) -> int:
    from tests.fuzz.oracle import Finding, Watch
    from tests.fuzz.target import seed_of_now, targets

    target = targets()[name]
    seed = seed_of_now() if options.seed is None else options.seed
    seeds = target.seeds() + ([file.read_bytes() for file in options.corpus.iterdir()] if options.corpus else [])
    runs = options.runs or (sys.maxsize if options.seconds else 100_000)
    watch = Watch(target)
    began = time.monotonic()
    try:
        with target.session():
            for octets in seeds:
                watch.run(octets)
            for octets in target.mutants(seeds, Random(seed), runs):  # noqa: S311  # has to repeat itself
                watch.run(octets)
                if options.seconds and time.monotonic() - began > options.seconds:
                    break
            watch.finish()
    except Finding as finding:
        file = options.findings / f"found-{name}-{hash(finding.octets) & 0xFFFFFFFF:08x}"
        file.write_bytes(finding.octets)
        print(f"{finding}\nseed {seed}, after {watch.runs} inputs; written to {file}")
        return EXIT_FOUND
    spent = time.monotonic() - began
    print(
        f"{name}: {watch.runs} inputs in {spent:.0f} s, slowest {1000 * watch.slowest:.1f} ms, seed {seed}", flush=True
    )
    return 0


def _guided(options: argparse.Namespace, name: str) -> None:
    """Run one target under atheris; does not return, since libFuzzer ends the process."""
    import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

    with atheris.instrument_imports(include=["seckex"]):
        from tests.fuzz.oracle import Watch
        from tests.fuzz.target import CORPUS, targets

        target = targets()[name]
    watch = Watch(target)
    seeds = target.seeds()

    def mutate(octets: bytes, most: int, seed: int) -> bytes:
        random = Random(seed)  # noqa: S311  # libFuzzer's seed
        if random.random() < 0.3:
            mutated: bytes = atheris.Mutate(octets, most)
            return mutated
        return target.mutate(octets, random, seeds)[:most]

    folders = [*([str(options.corpus)] if options.corpus else []), str(CORPUS / name)]
    arguments = [
        sys.argv[0],
        f"-artifact_prefix={options.findings}/found-{name}-",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    arguments += [f"-max_total_time={int(options.seconds)}"] if options.seconds else []
    arguments += [f"-runs={options.runs}"] if options.runs else []
    if not options.corpus:
        # The corpus in the tree is written by its script only.
        arguments.append("-reload=0")
        folders = [str(options.findings / f"corpus-{name}"), *folders]
        Path(folders[0]).mkdir(parents=True, exist_ok=True)
    atheris.Setup([*arguments, *folders], watch.run, custom_mutator=mutate)
    with target.session():
        atheris.Fuzz()


def _reproduce(options: argparse.Namespace, name: str) -> int:
    from tests.fuzz.oracle import Watch
    from tests.fuzz.target import targets

    target = targets()[name]
    watch = Watch(target)
    with target.session():
        watch.run(options.reproduce.read_bytes())
    print(f"nothing is found; it took {1000 * watch.slowest:.1f} ms")
    return 0


def main() -> int:
    """Run as the command line says."""
    options = _arguments()
    guided = not (options.plain or options.seed is not None) and importlib.util.find_spec("atheris") is not None
    if len(options.names) == 1 and options.reproduce:
        return _reproduce(options, options.names[0])
    if guided and len(options.names) == 1:
        _guided(options, options.names[0])
    from tests.fuzz.target import targets

    known = list(targets())
    unknown = [name for name in options.names if name not in known]
    if options.list or unknown:
        print("\n".join(known if options.list else [f"there is no target {name}; see --list" for name in unknown]))
        return 2 if unknown else 0
    status = 0
    for name in options.names or known:
        if guided:
            # libFuzzer ends its process.
            again = [sys.executable, "-m", "tests.fuzz", name, *(each for each in sys.argv[1:] if each not in known)]
            status |= subprocess.run(again, check=False).returncode
        else:
            status |= _plain(options, name)
    return status


if __name__ == "__main__":
    sys.exit(main())
