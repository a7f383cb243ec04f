"""Content on its way out: canonical and dot-stuffed, however it is cut, and read back as what it was."""

import itertools
import re
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import example, given, settings, strategies as st
from linearity import assert_linear

from smtpcore import LocalProtocolError
from smtpcore._framing import BodyDecoder, DotEncoder, PlainEncoder, Stray, StrayOctets
from smtpcore.testing import pieces, steps

END = b"\r\n.\r\n"
POLICIES = pytest.mark.parametrize("policy", Stray, ids=lambda policy: policy.name)


def canonical(content: bytes, policy: Stray) -> bytes | None:
    """What is to be sent of *content*, but for dots and an end; None where the policy refuses it."""
    if policy is Stray.KEEP:
        return content
    if b"\0" in content or (policy is Stray.REJECT and re.search(rb"[\r\n]", content.replace(b"\r\n", b""))):
        return None
    return re.sub(rb"\r\n|\r|\n", b"\r\n", content)


def ended(content: bytes) -> bytes:
    return content if not content or content.endswith(b"\r\n") else content + b"\r\n"


def stuffed(content: bytes) -> bytes:
    """*content*, line by line."""
    *lines, rest = ended(content).split(b"\r\n")
    assert rest == b""
    return b"".join(b"." * line.startswith(b".") + line + b"\r\n" for line in lines) + b".\r\n"


def encode(parts: Iterable[bytes], encoder: PlainEncoder) -> tuple[bytes, bytes]:
    """What *encoder* gave, and the content that it took: all but what it refused."""
    out, taken = b"", b""
    for part in parts:
        wanted = canonical((taken + part).removesuffix(b"\r"), encoder._policy)
        try:
            out += encoder.feed(part)
        except StrayOctets:
            assert wanted is None, "what is fine was refused"
        else:
            assert wanted is not None, "what is not was taken"
            taken += part
        assert len(encoder._held) <= 1
    while True:
        try:
            return out + encoder.finish(), taken
        except StrayOctets:
            assert encoder._policy is Stray.REJECT
            assert taken.endswith(b"\r")
            out += encoder.feed(b"\n")
            taken += b"\n"


def decode(parts: Iterable[bytes], policy: Stray) -> tuple[bytes, int]:
    decoder = BodyDecoder(policy, dots=True)
    content, rest = b"", -1
    for part in parts:
        assert rest == -1, "the end came too early"
        out, rest = decoder.feed(part)
        content += out
    assert not decoder.stray_found
    return content, rest


def assert_encodes(parts: list[bytes], policy: Stray) -> None:
    """Whatever the pieces: the laws, for what was taken of them."""
    out, taken = encode(parts, PlainEncoder(policy))
    plain = canonical(taken, policy)
    assert out == plain
    dotted, same = encode(parts, DotEncoder(policy))
    assert same == taken
    assert dotted == stuffed(plain)
    assert (b"\r\n" + dotted).find(END) + len(END) == 2 + len(dotted), "one end, and at the end"
    if policy is not Stray.KEEP:
        assert dotted.count(b"\r") == dotted.count(b"\n") == dotted.count(b"\r\n")
        assert b"\0" not in dotted
    for step in (1, 3, len(dotted)):
        for strictness in (policy, Stray.KEEP):
            assert decode(steps(dotted, step), strictness) == (ended(plain), 0)


DENSE = [b"\r", b"\n", b".", b"\0", b"a"]
dense = st.lists(st.sampled_from([*DENSE, b"\r\n", b"\r\n.", b"\r\n..", b"\r\n.\r"]), max_size=40).map(b"".join)
clean = st.lists(
    st.sampled_from(
        [b"\r\n", b".", b"a", b"\xff", b"a" * 76 + b"\r\n", b"b" * 200, b"..\r\n", b".c" + b"c" * 40 + b"\r\n"]
    )
).map(b"".join)
bodies = clean | dense | st.tuples(clean, dense, clean).map(b"".join)


@pytest.mark.catalogue("B1", "B2", "B3")
@POLICIES
@given(octets=bodies, cuts=st.lists(st.integers(1, 3000), max_size=10))
@example(octets=b"", cuts=[])
@example(octets=b"." + b"a" * 40 + b"\r\n.", cuts=[43])
@settings(max_examples=200)
def test_cut_of_content_does_not_matter(policy: Stray, octets: bytes, cuts: list[int]) -> None:
    assert_encodes(list(pieces(octets, cuts)), policy)
    for step in (1, 2, 5, 1 << 20):
        assert_encodes(steps(octets, step), policy)


def all_short(length: int) -> Iterator[bytes]:
    for count in range(length + 1):
        for chosen in itertools.product(DENSE, repeat=count):
            yield b"".join(chosen)


@POLICIES
@pytest.mark.parametrize(
    ("head", "tail", "length"),
    [(b"", b"", 4), (b"h" * 40, b"t" * 40, 3), (b"h" * 20 + b"\r\n", b"t" * 40 + b"\r\n.", 3)],
    ids=["alone", "within a line", "at a line's start"],
)
def test_all_short_content(policy: Stray, head: bytes, tail: bytes, length: int) -> None:
    for middle in all_short(length):
        assert_encodes([head + middle + tail], policy)
        assert_encodes([part for part in (head, *steps(middle, 1), tail) if part], policy)


@pytest.mark.catalogue("B3")
@POLICIES
def test_every_cut(policy: Stray) -> None:
    for content in (
        b".\r\n.\r\n..\r\n",
        b"a\r\n.\r\n.b\r\n\r\n.",
        b"." * 9,
        b"a\r\n" * 3 + b".",
        b"\r\n.\r\n\r\n.\r\n",
    ):
        for count in range(4):
            for cuts in itertools.combinations(range(1, len(content)), count):
                dotted, taken = encode(pieces(content, cuts), DotEncoder(policy))
                assert (dotted, taken) == (stuffed(content), content)


@pytest.mark.catalogue("B3")
@POLICIES
@pytest.mark.parametrize(
    ("content", "sent"),
    [
        (b"", b".\r\n"),
        (b".", b"..\r\n.\r\n"),
        (b"..", b"...\r\n.\r\n"),
        (b".\r\n", b"..\r\n.\r\n"),
        (b"a", b"a\r\n.\r\n"),
        (b"a\r\n", b"a\r\n.\r\n"),
        (b"\r\n", b"\r\n.\r\n"),
        (b"\r\n.", b"\r\n..\r\n.\r\n"),
        (b"a\r\n.\r\nb", b"a\r\n..\r\nb\r\n.\r\n"),
        (b"a.\r\n.b.\r\n", b"a.\r\n..b.\r\n.\r\n"),
        (b"\xff.\r\n\x80", b"\xff.\r\n\x80\r\n.\r\n"),
    ],
)
def test_what_is_sent(policy: Stray, content: bytes, sent: bytes) -> None:
    """RFC 5321 section 4.5.2: a dot before each dot that begins a line; the first line is one."""
    for step in (1, 2, 100):
        encoder = DotEncoder(policy)
        assert b"".join(map(encoder.feed, steps(content, step))) + encoder.finish() == sent
        encoder = DotEncoder(policy)
        cut = [b"", *itertools.chain.from_iterable((part, b"") for part in steps(content, step))]
        assert b"".join(map(encoder.feed, cut)) + encoder.finish() == sent, "nothing is no line"


@pytest.mark.catalogue("B3")
@POLICIES
def test_no_dots_in_chunks(policy: Stray) -> None:
    """RFC 3030 section 2."""
    for content in (b"", b".", b".\r\n.\r\n", b"a\r\n.", b"a", b"a\r\n"):
        for step in (1, 100):
            encoder = PlainEncoder(policy)
            assert b"".join(map(encoder.feed, steps(content, step))) + encoder.finish() == content


@POLICIES
@pytest.mark.parametrize("kind", [DotEncoder, PlainEncoder])
@pytest.mark.parametrize(
    "data", [b"a" * 76 + b"\r\n", b"a\r\n" * 100, b"\r\n" * 100, b"a" * 1000, b"a.b\r\n" * 100, b""]
)
def test_what_needs_no_change_is_not_copied(policy: Stray, kind: type[PlainEncoder], data: bytes) -> None:
    encoder = kind(policy)
    for _ in range(3):
        assert encoder.feed(data) is data


@pytest.mark.parametrize("kind", [DotEncoder, PlainEncoder])
def test_chunks_that_keep_everything_hold_nothing_back(kind: type[PlainEncoder]) -> None:
    encoder = kind(Stray.KEEP)
    assert encoder.feed(b"a\n\0\r") == b"a\n\0\r"[: None if kind is PlainEncoder else -1]
    assert encoder.finish() == (b"" if kind is PlainEncoder else b"\r\r\n.\r\n")


# --- stray octets --------------------------------------------------------------------------------

STRAYS = [
    b"\r", b"\n", b"\ra", b"a\r", b"a\n", b"\na", b"\r\r\n", b"\r\n\n", b"\n\r", b"\r\ra", b"a\rb\nc", b"a\nb\rc",
    b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"a" * 40 + b"\n" + b"b" * 40, b"a" * 40 + b"\r" + b"b" * 40, b"\n.\n",
    b"\r\n" * 40 + b"\n", b"a" * 40 + b"\rb\n" + b"c" * 40, b"a\rb\n" * 9,
]  # fmt: skip


@pytest.mark.catalogue("B1")
@pytest.mark.parametrize("kind", [DotEncoder, PlainEncoder])
@pytest.mark.parametrize("octets", STRAYS)
def test_stray_octets_are_refused(kind: type[PlainEncoder], octets: bytes) -> None:
    for head in (b"", b"x\r\n", b"x", b"x" * 100):
        encoder = kind(Stray.REJECT)
        encoder.feed(head)
        with pytest.raises(StrayOctets, match="CR"):
            encoder.feed(octets + b"y")
        assert encoder.feed(b".").endswith(b"."), "it goes on as if that had not been given"
        assert encoder.finish() == (b"\r\n.\r\n" if kind is DotEncoder else b"")


@pytest.mark.catalogue("B2")
@pytest.mark.parametrize("policy", [Stray.REJECT, Stray.NORMALISE])
@pytest.mark.parametrize("kind", [DotEncoder, PlainEncoder])
@pytest.mark.parametrize("octets", [b"\0", b"a\0", b"\r\n\0", b"a" * 100 + b"\0", b"\0\n", b"\n\0", b"\r\0", b"a\0\r"])
def test_nul_is_refused(policy: Stray, kind: type[PlainEncoder], octets: bytes) -> None:
    encoder = kind(policy)
    with pytest.raises(StrayOctets, match="NUL"):
        encoder.feed(octets)
    assert encoder.finish() == (b".\r\n" if kind is DotEncoder else b"")


@pytest.mark.catalogue("B1")
@pytest.mark.parametrize("kind", [DotEncoder, PlainEncoder])
def test_cr_at_the_end_of_a_piece(kind: type[PlainEncoder]) -> None:
    end = b".\r\n" if kind is DotEncoder else b""
    for policy in (Stray.REJECT, Stray.NORMALISE):
        encoder = kind(policy)
        assert encoder.feed(b"a\r") == b"a"
        assert encoder.feed(b"") == b""
        assert encoder.feed(b"\nb\r\n") == b"\r\nb\r\n"
        assert encoder.finish() == end
    encoder = kind(Stray.REJECT)
    assert encoder.feed(b"a\r") == b"a"
    for octets in (b"b", b"\r", b"\r\n", b"."):
        with pytest.raises(StrayOctets, match=r"bare CR or LF: lines end in CR LF, and Stray\.NORMALISE makes them so"):
            encoder.feed(octets)
    for _ in range(2):
        with pytest.raises(StrayOctets, match=r"ends with a bare CR: lines .* Stray\.NORMALISE"):
            encoder.finish()
    assert encoder.feed(b"\n") == b"\r\n"
    assert encoder.finish() == end
    encoder = kind(Stray.NORMALISE)
    assert encoder.feed(b"a\r") == b"a"
    assert encoder.feed(b".\r") == (b"\r\n.." if kind is DotEncoder else b"\r\n.")
    assert encoder.feed(b"\r") == b"\r\n"
    assert encoder.finish() == b"\r\n" + end
    assert kind(Stray.NORMALISE).feed(b"\r") == b""


@pytest.mark.catalogue("B1")
@pytest.mark.parametrize(
    ("octets", "sent"),
    [
        (b"a\n.b\n", b"a\r\n..b\r\n.\r\n"),
        (b"a\r.b\r", b"a\r\n..b\r\n.\r\n"),
        (b"\n.\n", b"\r\n..\r\n.\r\n"),
        (b"\r.\r", b"\r\n..\r\n.\r\n"),
        (b"\n\r", b"\r\n\r\n.\r\n"),
        (b"\r\r\n\n", b"\r\n\r\n\r\n.\r\n"),
        (b"\r", b"\r\n.\r\n"),
        (b"\n", b"\r\n.\r\n"),
        (b"a\n", b"a\r\n.\r\n"),
    ],
)
def test_stray_octets_become_line_ends(octets: bytes, sent: bytes) -> None:
    for step in (1, 2, 100):
        encoder = DotEncoder(Stray.NORMALISE)
        assert b"".join(map(encoder.feed, steps(octets, step))) + encoder.finish() == sent


def test_stray_octets_are_a_mistake_of_ours() -> None:
    assert issubclass(StrayOctets, LocalProtocolError)


# --- time ----------------------------------------------------------------------------------------

PUMPS = [
    b"a", b"\r", b"\n", b"\r\n", b".", b"\r\n.", b"\r\n..", b".\r\n", b".\r", b"\n.", b"\n\r", b"a" * 15 + b"\n",
    b"a" * 76 + b"\r\n", b"." + b"a" * 75 + b"\r\n", b"\r\r\n", b"a" * 998 + b"\r\n.", b"a" * 40 + b"\r",
]  # fmt: skip


@pytest.mark.catalogue("E8")
@pytest.mark.parametrize("policy", [Stray.KEEP, Stray.NORMALISE], ids=lambda policy: policy.name)
@pytest.mark.parametrize("size", [1, 100, 1 << 30], ids=["octets", "small", "whole"])
def test_encoding_is_linear(policy: Stray, size: int) -> None:
    def run(subjects: list[bytes]) -> None:
        for octets in subjects:
            encoder = DotEncoder(policy)
            for part in steps(octets, size):
                encoder.feed(part)
            encoder.finish()

    assert_linear(run, lambda count: [(pump * (count // len(pump) + 1))[:count] for pump in PUMPS])


@pytest.mark.catalogue("E8")
@pytest.mark.parametrize("octet", [b"\r", b"\n", b"\0"])
@pytest.mark.parametrize("pump", [b"a", b"\r\n", b"\r\n.", b"a" * 76 + b"\r\n"])
def test_refusing_is_linear(pump: bytes, octet: bytes) -> None:
    def run(octets: bytes) -> None:
        with pytest.raises(StrayOctets):
            DotEncoder(Stray.REJECT).feed(octets)

    assert_linear(run, lambda count: (pump * (count // len(pump) + 1))[:count] + b"a" + octet + b"a")
