"""The same octets in pieces."""

import itertools
from collections.abc import Iterable, Iterator


def pieces(octets: bytes, cuts: Iterable[int]) -> Iterator[bytes]:
    """*octets* cut at these places, none of the pieces empty."""
    borders = sorted({0, len(octets), *(cut for cut in cuts if cut < len(octets))})
    for start, end in itertools.pairwise(borders):
        yield octets[start:end]


def steps(octets: bytes, step: int) -> list[bytes]:
    """*octets* in pieces of *step*."""
    return [octets[at : at + step] for at in range(0, len(octets), step)]
