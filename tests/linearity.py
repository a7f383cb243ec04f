"""Whether a function's time grows in proportion to its input, told from ratios alone."""

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")

# Twice the input takes twice the time where the growth is linear, and four times where it is quadratic.
MOST = 3.0
# Shorter times are noise. What is still as fast at the largest size may grow as it likes.
MEASURABLE = 0.002


def _seconds(run: Callable[[_T], object], subject: _T, rounds: int) -> float:
    best = float("inf")
    for _ in range(rounds):
        start = time.thread_time()
        run(subject)
        best = min(best, time.thread_time() - start)
    return best


def assert_linear(
    run: Callable[[_T], object], make: Callable[[int], _T], size: int = 480, largest: int = 1 << 20
) -> None:
    """Fail where *run* takes three times as long for ``make(2 * n)`` as for ``make(n)``.

    *n* starts at *size* and is doubled until the time can be measured, or *n* is *largest*; a ratio
    that is too high has to be so three times over, for the machine has other things to do.
    """
    while _seconds(run, make(size), 2) < MEASURABLE and size < largest:
        size *= 2
    ratios = []
    for rounds in (3, 5, 9):
        once, twice = make(size), make(2 * size)
        ratios.append(_seconds(run, twice, rounds) / max(_seconds(run, once, rounds), MEASURABLE / 4))
        if ratios[-1] < MOST:
            return
    raise AssertionError(f"{size} to {2 * size}: {', '.join(f'{ratio:.1f}' for ratio in ratios)} times the time")
