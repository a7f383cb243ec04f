"""`make mutants`: change the engine in one place at a time, and see that a test fails.

The tests run in a copy, each time in a fork of this process, which has imported all that they need but the engine; so
a mutant costs little more than the tests that it takes to kill it. A file's tests come in stages, the quickest first.

    python -X dev tests/mutation/run.py [--listed] [--every K] [FILE ...]

Exit status 1: a mutant survives that is not in equivalent.toml, or that list or the tests themselves are wrong.
"""

import argparse
import compileall
import contextlib
import importlib
import os
import py_compile
import resource
import shutil
import signal
import sys
import tempfile
import tomllib
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import hypothesis
import pytest
from mutate import Mutant, mutants

ROOT = Path(__file__).parents[2]
LIST = Path(__file__).with_name("equivalent.toml")
PACKAGE = "src/smtpcore/"
MEMORY = 1 << 30
# What the tests need is imported once, and not in each fork.
WARM = ("hypothesis.stateful", "pytest_trio.plugin")
PYTEST = (
    "-qx", "-pno:cacheprovider", "-ppytest_trio.plugin", "--assert=plain", "--tb=line",
    "-Wignore::pytest.PytestAssertRewriteWarning",
)  # fmt: skip

_ORDER = (
    ("tests/test_machine.py", "tests/mutation/test_killers_machine.py"),
    ("tests/stateful/test_order.py",),
    ("tests/rfc",),
)
_KILLERS = "tests/mutation/test_killers_client.py"
# Whole dialogues, short ones: what most mutants of a client fall to.
_DIALOGUES = (
    *(f"tests/rfc/test_client_rfc{number}.py" for number in (5321, 2920, 3030, 2033, 1870, 9422)),
    "tests/test_client_regressions.py",
    "tests/test_client_round_trips.py",
    "tests/test_client_events.py",
)
_LONG = "cut or canonical or chunks_are"
_FATES = (
    ("tests/test_sending.py", "tests/test_client_limits.py", "-k", f"not ({_LONG})"),
    ("tests/test_sending_replies.py",),
    ("tests/test_client_groups.py", "tests/test_client_fates.py"),
    ("tests/test_sending.py", "-k", _LONG),
)
_CLIENT = (
    ("tests/test_client.py", "tests/test_client_auth.py"),
    ("tests/test_client_limits.py", "tests/test_client_deadlines.py"),
)


class Target(NamedTuple):
    """A file, the stages of its tests, and whether only its edges are mutated."""

    file: str
    stages: tuple[tuple[str, ...], ...]
    edges_only: bool = False


_QUICK = "not linear and not cut and not short"
_SENT_AND_SAID = ("tests/test_framing_replies.py", "tests/test_framing_encoders.py")
TARGETS = (
    Target(
        "_machine.py",
        (
            _ORDER[0],
            (*_DIALOGUES, _KILLERS),
            ("tests/test_client_order.py",),
            ("tests/test_client_deadlines.py", "tests/test_sending_replies.py"),
            *_ORDER[1:],
        ),
    ),
    *(
        Target(f"extensions/{name}.py", _ORDER, edges_only=True)
        for name in ("starttls", "auth", "chunking", "etrn", "xclient", "xforward")
    ),
    Target(
        "_limits.py",
        (
            ("tests/test_limits.py", "tests/mutation/test_killers_limits.py"),
            ("tests/test_limits_hit.py",),
            ("tests/test_client_limits.py", "tests/test_client_deadlines.py"),
        ),
    ),
    Target(
        "_framing.py",
        (
            ("tests/test_framing_dots.py",),
            ("tests/test_framing.py", "tests/mutation/test_killers_framing.py", "-k", _QUICK),
            (*_SENT_AND_SAID, "-k", _QUICK),
            ("tests/test_framing.py", *_SENT_AND_SAID, "-k", "cut or short"),
        ),
    ),
    Target(
        "_body.py",
        (("tests/test_body.py", "tests/mutation/test_killers_body.py"), ("tests/test_limits_hit.py", "tests/rfc")),
    ),
    Target("_client_config.py", (("tests/test_client_config.py", _KILLERS), _DIALOGUES, ("tests/test_composing.py",))),
    Target("_transaction.py", (("tests/test_transaction.py", _KILLERS), _DIALOGUES, *_FATES)),
    Target("_outgoing.py", (("tests/test_outgoing.py", _KILLERS), _DIALOGUES, *_FATES)),
    Target(
        "_composing.py",
        (
            (*(f"tests/rfc/test_client_rfc{number}.py" for number in (6531, 8689, 9422, 3461, 6152)), _KILLERS),
            ("tests/test_composing.py",),
            ("tests/test_composing_hostile.py", "tests/rfc/test_client_rfc3030.py"),
        ),
    ),
    Target("_dialling.py", ((*_DIALOGUES, _KILLERS), ("tests/test_dialling.py",), *_CLIENT, *_FATES)),
    Target("_sending.py", ((*_DIALOGUES, _KILLERS), *_FATES, *_CLIENT)),
    Target("_client.py", ((*_DIALOGUES, _KILLERS), *_CLIENT, ("tests/test_dialling.py",), *_FATES)),
)


class Failures:
    """A plugin that keeps the names of the tests that fail."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.names.append(report.nodeid)


def forked(arguments: Sequence[str], seconds: int, log: Path) -> tuple[str, float, list[str]]:
    """Run pytest in a fork: how it ended, the seconds it took of a processor, and what failed."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
            os.dup2(1, 2)
            # Seconds of the processor, since others may use it; and of the clock, for a mutant that sleeps.
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            signal.alarm(20 * seconds)
            failures = Failures()
            code = pytest.main([*PYTEST, *arguments], plugins=[failures])
            os.write(write, "\n".join(failures.names)[:60_000].encode())
            os._exit(code)
        except BaseException:
            traceback.print_exc()
            os._exit(3)
    os.close(write)
    with open(read, encoding="utf-8") as pipe:
        names = pipe.read().splitlines()
    _, status, usage = os.wait4(child, 0)
    ended = "timeout" if os.WIFSIGNALED(status) else "passed" if os.WEXITSTATUS(status) == 0 else "failed"
    return ended, usage.ru_utime + usage.ru_stime, names


class Stage(NamedTuple):
    """Arguments of pytest, and the seconds that no passing run needs."""

    arguments: tuple[str, ...]
    seconds: int


class Run:
    """The copy, what has been found, and how long tests take."""

    def __init__(self, copy: Path) -> None:
        self.copy = copy
        self.red: list[str] = []
        self._stages: dict[tuple[str, ...], Stage | None] = {}

    def stage(self, paths: tuple[str, ...]) -> Stage | None:
        """The tests of *paths* that pass without a mutation; None where there is none."""
        if paths not in self._stages:
            there = [path for path in paths if not path.startswith("tests/") or (self.copy / path).exists()]
            self._stages[paths] = self._tried(there) if there else None
        return self._stages[paths]

    def _tried(self, paths: list[str]) -> Stage:
        ended, seconds, failed = forked([*paths, "--maxfail=1000"], 600, self.copy / "log")
        deselected = [f"--deselect={name}" for name in failed]
        if failed:
            self.red += failed
            ended, seconds, _ = forked([*paths, *deselected], 600, self.copy / "log")
        if ended != "passed":
            sys.exit(f"without a mutation {' '.join(paths)} {ended}:\n{(self.copy / 'log').read_text()[-3000:]}")
        return Stage((*paths, *deselected), 2 + int(2 * seconds))

    def survives(self, mutant: Mutant, stages: Sequence[tuple[str, ...]]) -> bool:
        """Whether all of the tests pass with *mutant*."""
        file = self.copy / PACKAGE / mutant.file
        original = file.read_bytes()
        for paths in stages:
            if (stage := self.stage(paths)) is not None:
                file.write_bytes(mutant.text)
                ended, _, _ = forked(stage.arguments, stage.seconds, self.copy / "log")
                file.write_bytes(original)
                if ended != "passed":
                    return False
        return True


class Equivalent(NamedTuple):
    """An entry of the list: a change of one place, or all that begin so, and why no test can tell."""

    file: str
    where: str
    old: str
    new: str

    def covers(self, mutant: Mutant) -> bool:
        """Whether *mutant* is of this entry."""
        return mutant[:3] == self[:3] and mutant.new.startswith(self.new)


def equivalents() -> list[Equivalent]:
    """The mutants that no test can kill."""
    listed = tomllib.loads(LIST.read_text(encoding="utf-8"))["mutants"]
    return [Equivalent(each["file"], each["in"], each["old"], new) for each in listed for new in each["new"]]


@contextlib.contextmanager
def copied() -> Iterator[Path]:
    """A copy of the sources and their tests that nobody else writes to, as the working directory."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        copy = Path(name)
        for each in ("src", "tests"):
            shutil.copytree(ROOT / each, copy / each, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        # A compiled file that is checked by what is in its source, not by the time, which is too coarse here.
        compileall.compile_dir(copy / "src", quiet=1, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
        os.chdir(copy)
        sys.path.insert(0, str(copy / "src"))
        yield copy


def main() -> int:
    """Try every mutant."""
    parser = argparse.ArgumentParser(description="Mutate the engine, and see that a test fails each time.")
    parser.add_argument("--listed", action="store_true", help="try what equivalent.toml lists, and only that")
    parser.add_argument("--every", type=int, default=1, metavar="K", help="of each file try every K-th mutant only")
    parser.add_argument("files", nargs="*", help="of " + ", ".join(target.file for target in TARGETS))
    options = parser.parse_args()
    if unknown := set(options.files) - {target.file for target in TARGETS}:
        parser.error(f"nothing is known of {', '.join(unknown)}")
    quick = hypothesis.settings(
        derandomize=True, deadline=None, suppress_health_check=list(hypothesis.HealthCheck), report_multiple_bugs=False,
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    )  # fmt: skip
    hypothesis.settings.register_profile("mutants", quick)
    for name in WARM:
        importlib.import_module(name)
    sys.dont_write_bytecode = False
    os.environ |= {"HYPOTHESIS_PROFILE": "mutants", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    with copied() as copy:
        return tried(
            [each for each in TARGETS if each.file in options.files or not options.files],
            copy,
            options.listed,
            options.every,
        )


def tried(targets: Sequence[Target], copy: Path, listed: bool, every: int) -> int:
    """Try the mutants of *targets*, of each *every*-th; the exit status."""
    run, known, table, wrong = Run(copy), equivalents(), [], []
    for target in targets:
        source = (copy / PACKAGE / target.file).read_bytes()
        with imported(target.file) as module:
            found = list(mutants(target.file, source, module, edges_only=target.edges_only))
        listing = [each for each in known if each.file == target.file]
        idle = [each for each in listing if not any(each.covers(mutant) for mutant in found)]
        wrong += [f"listed, but no mutant: {each}" for each in idle]
        chosen = [mutant for mutant in found if any(each.covers(mutant) for each in listing) == listed][::every]
        print(f"{target.file}: {len(chosen)} mutants", flush=True)
        survived = 0
        for mutant in chosen:
            survives = run.survives(mutant, target.stages)
            survived += survives
            if survives != listed:
                told = "survived" if survives else "listed, but killed"
                wrong.append(f"{told}: {target.file}, {mutant.where}\n    {mutant.old}\n    {mutant.new}")
                print(wrong[-1], flush=True)
        counts = f"{len(chosen) - survived:>5} of {len(chosen):>4} killed"
        table.append(f"{target.file:<24}{counts},{len(found) - len(chosen):>4} not tried")
        print(table[-1], flush=True)
    wrong += [f"fails without a mutation: {name}" for name in dict.fromkeys(run.red)]
    print("", *wrong, "", *table, sep="\n")
    return 1 if wrong else 0


@contextlib.contextmanager
def imported(file: str) -> Iterator[ModuleType]:
    """The module of *file*, for as long as its names are looked up; the forks import it anew."""
    try:
        yield importlib.import_module("smtpcore." + file.removesuffix(".py").replace("/", "."))
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "smtpcore"]:
            del sys.modules[name]


if __name__ == "__main__":
    sys.exit(main())
