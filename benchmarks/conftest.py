"""The table at the end of a run: what one unit costs the engine, and how that stands to its peers.

A benchmark says what it measures by `measure`; those of one case are set against each other.
"""

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def measure(benchmark: Any) -> Callable[..., None]:
    """Time *run*, which does *count* units of *case*, as *subject*: ``engine``, or the name of a peer."""

    def timed(case: str, subject: str, run: Callable[[], None], *, count: float, unit: str) -> None:
        benchmark.extra_info.update(case=case, subject=subject, count=count, unit=unit)
        benchmark.pedantic(run, rounds=15 if subject == "engine" else 3, warmup_rounds=1)

    return timed


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the table."""
    cases: dict[str, dict[str, tuple[float, str]]] = {}
    for bench in config._benchmarksession.benchmarks:  # type: ignore[attr-defined]  # of pytest-benchmark
        about = bench.extra_info
        if about and bench.stats.data:
            # The minimum: whatever else the machine did only ever made a round longer.
            cases.setdefault(about["case"], {})[about["subject"]] = (bench.stats.min / about["count"], about["unit"])
    if not cases:
        return
    line = terminalreporter.write_line
    terminalreporter.section("cost")
    for case, subjects in sorted(cases.items()):
        ours = subjects.get("engine", (0.0, ""))[0]
        for subject, (seconds, unit) in sorted(subjects.items(), key=lambda item: item[1][0]):
            figure = f"{1e-6 / seconds:10.1f} MB/s" if unit == "octet" else f"{seconds * 1e6:10.2f} us a {unit}"
            ratio = f"  {seconds / ours:6.1f} x" if subject != "engine" and ours else ""
            line(f"{case:44} {subject:12}{figure}{ratio}")
