"""A message on its way in: counted and bounded, whatever becomes of it."""

from collections.abc import Iterable

import pytest
from hypothesis import given, settings, strategies as st

from smtpcore._body import IncomingBody
from smtpcore._events import Abort
from smtpcore._framing import Stray
from smtpcore._limits import Limits
from smtpcore._reply import Reply
from smtpcore.testing import pieces, steps

END = b".\r\n"
LEAST = 65536
LIMITS = Limits(message_octets=LEAST, discard_octets=LEAST + 1000, chunks=3)
NO = Reply(550, "No", "5.7.1")


def by_data(parts: Iterable[bytes], stray: Stray = Stray.REJECT, limits: Limits = LIMITS) -> tuple[IncomingBody, bytes]:
    """The message after DATA, and the content that came out of it."""
    body = IncomingBody(limits, stray, dots=True)
    content = b""
    for part in parts:
        assert not body.ended
        out, rest = body.data(part)
        content += out
        assert rest <= 0
    return body, content


def by_chunks(
    chunks: Iterable[tuple[Iterable[bytes], int, bool]], stray: Stray = Stray.REJECT, limits: Limits = LIMITS
) -> tuple[IncomingBody, bytes, list[bool]]:
    """The message of BDAT chunks, the content that came out of it, and whether each chunk fitted."""
    body = IncomingBody(limits, stray, dots=False)
    content = b""
    fits = []
    for parts, size, last in chunks:
        fits.append(body.begin_chunk(size, last))
        for part in parts or [b""]:
            content += body.chunk(part)
    return body, content, fits


# --- DATA ----------------------------------------------------------------------------------------


def test_message() -> None:
    body, content = by_data([b"a\r\n..b", b"\r\n.\r\n"])
    assert content == b"a\r\n.b\r\n"
    assert (body.ended, body.octets, body.raw, body.abort, body.reply) == (True, 7, 11, None, None)
    assert not body.refused
    assert not body.overflown


def test_octets_behind_the_end_are_not_the_message() -> None:
    body = IncomingBody(LIMITS, Stray.REJECT, dots=True)
    assert body.data(b"a\r\n.\r\nQUIT\r\n") == (b"a\r\n", 6)
    assert (body.octets, body.raw, body.ended) == (3, 6, True)


@pytest.mark.parametrize("over", [0, 1, 2, 1000])
@pytest.mark.parametrize("step", [1000, 4096, LEAST - 2, LEAST, 1 << 20])
def test_message_octets(over: int, step: int) -> None:
    octets = b"a" * (LEAST - 2 + over) + b"\r\n" + END
    body, content = by_data(steps(octets, step))
    assert body.ended
    assert body.abort is (Abort.TOO_BIG if over else None)
    assert body.refused is bool(over)
    assert content == (b"a" * (LEAST - 2) + b"\r\n" if not over else octets[:LEAST])
    assert body.octets == LEAST
    assert body.raw == len(octets)


@pytest.mark.parametrize("over", [0, 1])
def test_stuffed_dots_do_not_count(over: int) -> None:
    lines = 22_000
    body, content = by_data([b"..\r\n" * (lines + over) + END], limits=Limits(message_octets=lines * 3))
    assert content == b".\r\n" * lines
    assert body.abort is (Abort.TOO_BIG if over else None)


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    ("stray", "octets", "content", "abort"),
    [
        (Stray.REJECT, b"ab\ncd\r\n", b"ab", Abort.STRAY_OCTETS),
        (Stray.REJECT, b"ab\rcd\r\n", b"ab", Abort.STRAY_OCTETS),
        (Stray.REJECT, b"ab\0cd\r\n", b"ab", Abort.STRAY_OCTETS),
        (Stray.NORMALISE, b"ab\0cd\r\n", b"ab", Abort.STRAY_OCTETS),
        (Stray.NORMALISE, b"ab\ncd\r\n", b"ab\r\ncd\r\n", None),
        (Stray.KEEP, b"a\nb\rc\0d\r\n", b"a\nb\rc\0d\r\n", None),
    ],
)
def test_stray_octets(stray: Stray, octets: bytes, content: bytes, abort: Abort | None, step: int) -> None:
    octets += END
    body, got = by_data(steps(octets, step), stray)
    assert (got, body.abort, body.ended) == (content, abort, True)
    assert (body.octets, body.raw) == (len(content), len(octets))


def test_the_first_fault_counts() -> None:
    long = b"a" * LEAST
    assert by_data([b"\n" + long + b"a"])[0].abort is Abort.STRAY_OCTETS
    assert by_data([long + b"a", b"\n"])[0].abort is Abort.TOO_BIG
    assert by_data([long, b"\n"])[0].abort is Abort.STRAY_OCTETS
    assert by_data([long + b"a\n"])[0].abort is Abort.TOO_BIG
    assert by_data([long + b"\n"])[0].abort is Abort.STRAY_OCTETS


def test_nothing_comes_out_of_what_the_application_refused() -> None:
    body = IncomingBody(LIMITS, Stray.REJECT, dots=True)
    assert body.data(b"ab")[0] == b"ab"
    body.refuse(NO)
    assert body.refused
    assert body.data(b"cd") == (b"", -1)
    assert body.data(b"\n\r\n.\r\nx") == (b"", 1)
    assert (body.octets, body.raw, body.ended, body.abort) == (2, 10, True, None)


def test_overflown() -> None:
    body = IncomingBody(LIMITS, Stray.REJECT, dots=True)
    body.data(b"a" * LEAST)
    assert not body.overflown
    body.data(b"a" * 1000)
    assert body.refused
    assert not body.overflown
    body.data(b"a")
    assert body.overflown


def test_a_message_that_is_wanted_does_not_overflow() -> None:
    body = IncomingBody(Limits(message_octets=LEAST, discard_octets=5), Stray.REJECT, dots=True)
    body.data(b"a" * 1000)
    assert not body.overflown
    body.refuse(NO)
    assert body.overflown


FAULTS = [b"\r", b"\n", b"\0", b"\r\n.", b"\r\n", b".", b"a" * 100, b"b" * 30_000, b"c" * 32_768, b"\r\n.d"]


def is_one_message(octets: bytes) -> bool:
    return b"\r\n" + END not in b"\r\n" + octets + b"\r\n"


@pytest.mark.catalogue("A9")
@given(
    st.lists(st.sampled_from(FAULTS), max_size=6).map(b"".join).filter(is_one_message),
    st.lists(st.integers(1, 100_000), max_size=8),
    st.sampled_from(Stray),
)
@settings(max_examples=200)
def test_cut_does_not_matter(octets: bytes, cuts: list[int], stray: Stray) -> None:
    octets += b"\r\n" + END
    whole, content = by_data([octets], stray)
    assert whole.octets == len(content) <= LEAST
    for parts in (pieces(octets, cuts), pieces(octets, [*cuts, *(len(octets) - n for n in range(1, 6))])):
        body, got = by_data(parts, stray)
        assert got == content
        assert (body.abort, body.octets, body.raw, body.ended) == (whole.abort, whole.octets, len(octets), True)


# --- BDAT ----------------------------------------------------------------------------------------


def test_chunks() -> None:
    body, content, fits = by_chunks([([b"a\r"], 2, False), ([b"\n", b".", b"\r\n"], 4, True)])
    assert (content, fits) == (b"a\r\n.\r\n", [True, True])
    assert (body.ended, body.octets, body.raw, body.chunks, body.left, body.abort) == (True, 6, 6, 2, 0, None)


def test_a_chunk_that_is_not_the_last_does_not_end() -> None:
    body = IncomingBody(LIMITS, Stray.REJECT, dots=False)
    assert body.begin_chunk(3, last=False)
    assert body.chunk(b"ab") == b"ab"
    assert (body.left, body.ended) == (1, False)
    assert body.chunk(b"c") == b"c"
    assert (body.left, body.ended) == (0, False)
    assert body.begin_chunk(0, last=True)
    assert body.chunk(b"") == b""
    assert body.ended


def test_nothing_has_come_yet() -> None:
    body = IncomingBody(LIMITS, Stray.REJECT, dots=False)
    assert (body.octets, body.raw, body.chunks, body.left, body.last, body.ended) == (0, 0, 0, 0, False, False)


def test_an_empty_message() -> None:
    body, content, fits = by_chunks([([], 0, True)])
    assert (body.ended, content, fits, body.octets, body.abort) == (True, b"", [True], 0, None)


@pytest.mark.parametrize(("stray", "content", "abort"), [
    (Stray.REJECT, b"a", Abort.STRAY_OCTETS), (Stray.NORMALISE, b"a\r\n", None), (Stray.KEEP, b"a\r", None),
])  # fmt: skip
def test_a_bare_cr_at_the_end(stray: Stray, content: bytes, abort: Abort | None) -> None:
    for chunks in (
        [([b"a\r"], 2, True)],
        [([b"a\r"], 2, False), ([], 0, True)],
        [([b"a"], 1, False), ([b"\r"], 1, True)],
    ):
        body, got, _ = by_chunks(chunks, stray)
        assert (got, body.abort, body.ended) == (content, abort, True)


@pytest.mark.parametrize("sizes", [[LEAST], [LEAST - 1, 1], [1, LEAST - 1, 0]])
@pytest.mark.parametrize("over", [0, 1])
def test_message_octets_in_chunks(sizes: list[int], over: int) -> None:
    sizes = [*sizes[:-1], sizes[-1] + over]
    chunks = [([b"a" * size] if size else [], size, at == len(sizes) - 1) for at, size in enumerate(sizes)]
    body, content, fits = by_chunks(chunks)
    assert fits == [*[True] * (len(sizes) - 1), not over]
    assert body.abort is (Abort.TOO_BIG if over else None)
    assert len(content) == body.octets == (sum(sizes[:-1]) if over else LEAST)
    assert body.ended


def test_too_big_is_known_before_its_octets() -> None:
    body = IncomingBody(LIMITS, Stray.REJECT, dots=False)
    assert not body.begin_chunk(LEAST + 1, last=False)
    assert body.abort is Abort.TOO_BIG
    assert body.limit == "message_octets"
    assert body.left == LEAST + 1
    assert body.chunk(b"a" * 100) == b""
    assert body.raw == 100
    assert not body.begin_chunk(10**20, last=True)


@pytest.mark.catalogue("F8")
def test_chunk_count() -> None:
    for chunks in (3, 4):
        body, content, fits = by_chunks([([b"a"], 1, False)] * chunks)
        assert fits == [True, True, True, False][:chunks]
        assert content == b"aaa"
        assert body.abort is (None if chunks == 3 else Abort.TOO_BIG)
        assert body.limit == ("" if chunks == 3 else "chunks")


def test_the_first_abort_stays() -> None:
    body = IncomingBody(LIMITS, Stray.REJECT, dots=False)
    body.begin_chunk(1, last=False)
    body.chunk(b"\n")
    assert body.abort is Abort.STRAY_OCTETS
    assert not body.begin_chunk(LEAST + 1, last=False)
    assert body.abort is Abort.STRAY_OCTETS


def test_a_normalised_message_may_outgrow_its_chunks() -> None:
    """A line end of a bare LF is two octets; they count."""
    half = LEAST // 2
    body, content, fits = by_chunks([([b"\n" * half], half, True)], Stray.NORMALISE)
    assert (fits, body.abort, body.octets, content) == ([True], None, LEAST, b"\r\n" * half)
    body, content, fits = by_chunks([([b"\n" * half + b"a"], half + 1, True)], Stray.NORMALISE)
    assert (fits, body.abort, body.octets, content) == ([True], Abort.TOO_BIG, LEAST, b"\r\n" * half)


@given(
    st.lists(st.tuples(st.lists(st.sampled_from([b"\r", b"\n", b"\0", b".", b"a", b"b" * 30_000]), max_size=4),
    st.integers(1, 9)), max_size=4),
    st.sampled_from(Stray),
)  # fmt: skip
def test_cut_of_chunks_does_not_matter(chunks: list[tuple[list[bytes], int]], stray: Stray) -> None:
    whole = [b"".join(parts) for parts, _ in chunks]
    ends = [at == len(chunks) - 1 for at in range(len(chunks))]
    one = by_chunks([([octets], len(octets), last) for octets, last in zip(whole, ends, strict=True)], stray)
    parts = [steps(octets, step * 1000) for octets, (_, step) in zip(whole, chunks, strict=True)]
    other = by_chunks([(each, len(octets), last) for each, octets, last in zip(parts, whole, ends, strict=True)], stray)
    assert one[1:] == other[1:]
    for name in ("abort", "octets", "raw", "chunks", "left", "ended"):
        assert getattr(one[0], name) == getattr(other[0], name)
    assert one[0].octets <= LEAST
