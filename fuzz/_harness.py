"""Runs a fuzz target: a function of octets that returns, whatever they are, or has found a fault.

    python fuzz/NAME.py [--engine ENGINE] [--seconds N] [--keep]

Engines: ``atheris`` is guided by coverage, ``hypothesis`` needs no binary package; ``each`` runs one after
the other, ``any`` (the default) the better one that is installed. Both start from the files in
``fuzz/corpus/NAME/``. What atheris finds on top, and what it fails on, goes to ``fuzz/.work/NAME/``; with
``--keep`` its finds go to the corpus. Any exception that leaves the target ends the run with a status that
is not 0.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings, strategies as st

try:
    import atheris
except ImportError:
    atheris = None

FUZZ = Path(__file__).parent
MAX_OCTETS = 4096

Target = Callable[[bytes], None]


@contextmanager
def instrumented() -> Iterator[None]:
    """Import the code under test in this context."""
    if atheris is None or "--engine=hypothesis" in sys.argv:
        yield
    else:
        with redirect_stderr(StringIO()), atheris.instrument_imports(include=["smtpcore"]):  # it names each module
            yield


def fuzz(target: Target) -> None:
    """Run *target* as the command line says; the file's name is the target's name."""
    name = Path(sys.argv[0]).stem
    parser = argparse.ArgumentParser(description=f"Fuzz target {name}.")
    parser.add_argument("--engine", choices=["any", "each", "hypothesis", "atheris"], default="any")
    parser.add_argument("--seconds", type=int, default=60, help="how long each engine runs")
    parser.add_argument("--keep", action="store_true", help="let atheris add to the corpus")
    arguments = parser.parse_args()
    corpus, work = FUZZ / "corpus" / name, FUZZ / ".work" / name
    corpus.mkdir(parents=True, exist_ok=True)
    if arguments.engine in ("hypothesis", "each") or (arguments.engine == "any" and atheris is None):
        by_hypothesis(target, [path.read_bytes() for path in sorted(corpus.iterdir())], arguments.seconds)
    if arguments.engine == "atheris" or (arguments.engine != "hypothesis" and atheris is not None):
        work.mkdir(parents=True, exist_ok=True)
        by_atheris(target, corpus, work, arguments.seconds, arguments.keep)


def by_hypothesis(target: Target, corpus: list[bytes], seconds: int) -> None:
    """Replay the corpus, then try octets of all kinds and the corpus with a part of it replaced."""
    for known in corpus:
        target(known)

    @st.composite
    def spoilt(draw: st.DrawFn) -> bytes:
        octets = draw(st.sampled_from(corpus))
        start = draw(st.integers(0, len(octets)))
        end = draw(st.integers(start, len(octets)))
        return octets[:start] + draw(st.binary(max_size=16) | st.sampled_from(corpus)) + octets[end:]

    inputs = st.binary(max_size=MAX_OCTETS)
    end = time.monotonic() + seconds
    rounds = 0
    while time.monotonic() < end:
        rounds += 1

        @seed(rounds)
        @settings(
            max_examples=200,
            database=None,
            deadline=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        @given(spoilt() | inputs if corpus else inputs)
        def run(octets: bytes) -> None:
            target(octets)

        run()
    print(f"hypothesis: {len(corpus)} files and {rounds * 200} other inputs, no fault")


def by_atheris(target: Target, corpus: Path, work: Path, seconds: int, keep: bool) -> None:
    """Fuzz guided by coverage; does not return."""
    if atheris is None:
        sys.exit("atheris is not installed")
    options = [f"-artifact_prefix={work}/", f"-max_total_time={seconds}", f"-max_len={MAX_OCTETS}", "-timeout=10"]
    # New inputs are written to the first directory.
    directories = [corpus] if keep else [work, corpus]
    atheris.Setup([sys.argv[0], *options, "-verbosity=0", *map(str, directories)], target)
    print(f"atheris: {seconds} seconds", flush=True)
    atheris.Fuzz()
