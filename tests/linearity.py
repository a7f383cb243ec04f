"""Whether a function's time grows in proportion to its input, told from ratios alone."""

import sys
import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")

# Of twice the input, three times the time is too much; so of eight times the input, 27 times. There a linear
# function takes 8 and a quadratic one 64, which no noise of the machine makes look alike.
TIMES = 8
MOST = 27.0
# Shorter times are noise.
MEASURABLE = 0.001


def _seconds(run: Callable[[_T], object], subject: _T, rounds: int) -> float:
    best = float("inf")
    # Coverage would take most of the time.
    tracing = sys.gettrace()
    sys.settrace(None)
    try:
        for _ in range(rounds):
            start = time.thread_time()
            run(subject)
            best = min(best, time.thread_time() - start)
    finally:
        sys.settrace(tracing)
    return best


def assert_linear(
    run: Callable[[_T], object], make: Callable[[int], _T], size: int = 480, largest: int = 1 << 17
) -> None:
    """Fail where *run* takes 27 times as long for ``make(8 * n)`` as for ``make(n)``.

    *n* starts at *size* and is doubled until the time can be measured, or ``8 * n`` is *largest*: what is
    fast even then may grow as it likes. A ratio that is too high has to be so three times over.
    """
    while _seconds(run, make(size), 2) < MEASURABLE and 2 * TIMES * size <= largest:
        size *= 2
    ratios = []
    for rounds in (2, 3, 5):
        once, more = make(size), make(TIMES * size)
        ratios.append(_seconds(run, more, rounds) / max(_seconds(run, once, rounds + 3), MEASURABLE / 4))
        if ratios[-1] < MOST:
            return
    raise AssertionError(f"{size} to {TIMES * size}: {', '.join(f'{ratio:.1f}' for ratio in ratios)} times the time")
