r"""Framing: octets into lines, replies and message content, and content into octets. No verbs, phases or verdicts.

Theory of operation. There is one strict reading of each border, and it does not depend on how the
octets were cut into reads:

- A command line ends with CR LF and with nothing else.
- A message after DATA starts *at line start*, as if the CR LF of the DATA line were its first two
  octets, and ends with CR LF ``.`` CR LF and with nothing else (RFC 5321 section 4.1.1.4: "SMTP
  server systems MUST NOT do this [recognize anything else], even in the name of improved robustness").
- A dot is dropped only where CR LF stands before it (section 4.5.2).
- A reply line ends with CR LF, begins with a code of three digits, and says by the octet behind it
  whether it is its reply's last (section 4.2). Whatever breaks this ends the connection.

What is sent is as strict, unless stray octets are to be kept: `DotEncoder` lets no CR or LF out that is not
half of a line end, and no dot at a line's start without another before it.

Body octets are looked at by primitives that run in C, never by a loop over lines or dots, because
whoever sends the message chooses how many of those there are. `BodyDecoder` puts what it had to hold
back in front of the new octets, so each piece can be judged by itself; it holds back at most the
four octets that could be the beginning of an end.
"""

import enum
import re
from collections.abc import Mapping
from io import IncrementalNewlineDecoder
from typing import Final

from ._errors import LocalProtocolError
from ._value import value


class Line(enum.Enum):
    """What `Input.line` returns where there is no line."""

    PARTIAL = "no line end yet"
    TOO_LONG = "a line over its limit has ended, and was dropped"
    FLOOD = "a line has gone over the ceiling"


class Input:
    """Received octets and how far they have been read.

    Args:
        ceiling: octets that a too long line may have before it counts as a flood.
        grants: lines that begin so (in any case) may be so long.
    """

    __slots__ = ("_ceiling", "_grants", "_scan", "bare_lf", "data", "eof", "head", "pos", "swallowed")

    def __init__(self, ceiling: int, grants: tuple[tuple[bytes, int], ...] = ()) -> None:
        self.data = b""
        self.pos = 0
        self.eof = False
        self.bare_lf = False
        self._ceiling = ceiling
        self._grants = grants
        self._scan = 0
        self.swallowed = 0  # octets of the present line that were dropped as it is too long
        self.head = b""  # how the last too long line began

    def __len__(self) -> int:
        return len(self.data) - self.pos

    def feed(self, data: bytes) -> None:
        """Put *data* behind what has not been read yet."""
        pos = self.pos
        if pos == len(self.data):
            self.data = data
            self._scan = 0
        else:
            self.data = self.data[pos:] + data
            self._scan = max(0, self._scan - pos)
        self.pos = 0

    def take(self, most: int | None = None) -> bytes:
        """Read at most *most* octets, or all."""
        data, pos = self.data, self.pos
        if most is None or len(data) - pos <= most:
            self.clear()
            return data[pos:] if pos else data
        self.pos = self._scan = pos + most
        return data[pos : pos + most]

    def push_back(self, data: bytes, unread: int) -> None:
        """Unread the last *unread* octets of *data*, the last that `take` returned."""
        if not self.data:  # it took all
            self.data, self.pos = data, len(data)
        self.pos = self._scan = self.pos - unread

    def cut(self, end: int) -> bytes:
        """The octets up to the line end that was found at *end*."""
        line = self.data[self.pos : end]
        self.pos = self._scan = end + 2
        return line

    def clear(self) -> None:
        """Drop everything."""
        self.data = b""
        self.pos = self._scan = self.swallowed = 0

    def line(self, limit: int, lenient: bool = False) -> bytes | Line:
        """The next line without its end.

        Args:
            limit: the octets that it may have, with its end.
            lenient: take a bare LF for a line end; `bare_lf` tells whether one was.
        """
        data, pos = self.data, self.pos
        end = data.find(b"\n" if lenient else b"\r\n", self._scan)
        if end < 0:
            return self._partial(limit)
        after = end + 1 if lenient else end + 2
        self.pos = self._scan = after
        if self.swallowed or after - pos > limit:
            total = self.swallowed + after - pos
            if self.swallowed or total > self._granted(pos, limit):
                if not self.swallowed:
                    self.head = data[pos : pos + 16]
                self.swallowed = 0
                return Line.TOO_LONG if total <= self._ceiling else Line.FLOOD
        if lenient:
            self.bare_lf = end == pos or data[end - 1] != 13
            if not self.bare_lf:
                end -= 1
        return data[pos:end]

    def _partial(self, limit: int) -> Line:
        size = len(self.data) - self.pos
        # A CR at the end may be half of a line end. It is kept and counted, like the other octets.
        self._scan = max(self.pos, len(self.data) - 1)
        if self.swallowed or (size > limit and size > self._granted(self.pos, limit)):
            if not self.swallowed:
                self.head = self.data[self.pos : self.pos + 16]
            kept = b"\r" if self.data.endswith(b"\r") else b""
            self.swallowed += size - len(kept)
            self.data, self.pos, self._scan = kept, 0, 0
            if self.swallowed + len(kept) > self._ceiling:
                return Line.FLOOD
        return Line.PARTIAL

    def _granted(self, pos: int, limit: int) -> int:
        head = self.data[pos : pos + 16].upper()
        for start, granted in self._grants:
            if head.startswith(start):
                return granted
        return limit


@value
class RawReply:
    """A reply as it came: its code, and the octets behind the fourth column of each line.

    ``bare`` tells that its last line was only the code: the space that section 4.2 wants was missing.
    """

    code: int
    lines: tuple[bytes, ...]
    bare: bool = False


class ReplyFault(enum.Enum):
    """Why what the server sent is no reply, or none that is worth reading to its end."""

    MALFORMED = "a line does not begin with a reply code, or holds a bare CR, a bare LF or a NUL"
    MIXED_CODES = "the lines of a reply have different codes"
    LINE_TOO_LONG = "a line is over its limit"
    TOO_MANY_LINES = "the lines of a reply are over their limit"
    TOO_LONG = "the octets of a reply are over their limit"


# RFC 5321 section 4.2: Reply-code = %x32-35 %x30-35 %x30-39. By the first four octets of a line: the last
# line of a reply, which "250" CR LF is taken for as well, and a line that another one follows.
_CODES: Final = [code for code in range(200, 600) if code // 10 % 10 < 6]
_LAST: Final = {b"%d " % code: code for code in _CODES} | {b"%d" % code: code for code in _CODES}
_CONTINUED: Final = {b"%d-" % code: code for code in _CODES}
# `in` tries octets for a number first, and makes an exception of that: numbers are eight times as fast.
_CR: Final = 13
_LF: Final = 10
_PARTIAL: Final = Line.PARTIAL  # members of an enum are looked up by Python code in CPython 3.11


class ReplyReader:
    """The replies in received octets, one after the other.

    A line is judged when it has ended, or when it is too long: so no cut of the octets shows.

    Args:
        received: where the octets are; what it grants to lines that begin so holds for replies as well.
        line_octets: the octets that a line may have, with its end.
        lines: how many of them a reply may have.
        octets: the octets that all of these may have, with their ends.
        lenient: take a bare LF for a line end.
    """

    __slots__ = ("_code", "_lenient", "_line_octets", "_lines", "_most_lines", "_most_octets", "_octets", "_received")

    def __init__(self, received: Input, *, line_octets: int, lines: int, octets: int, lenient: bool) -> None:
        self._received = received
        self._line_octets = line_octets
        self._most_lines = lines
        self._most_octets = octets
        self._lenient = lenient
        self._lines: list[bytes] = []  # of the reply that has begun
        self._code = 0
        self._octets = 0

    def alone(self, most: int) -> bytes | None:
        """The next line, if it has come, has at most *most* octets, and is a reply by itself: for `read_alone`.

        None, and nothing is read, where it is not so, or a bare LF ends lines: `next` is for all.
        """
        received = self._received
        data, pos = received.data, received.pos
        if data[pos + 3 : pos + 4] != b" " or self._lines or self._lenient:
            return None
        end = data.find(b"\r\n", pos, pos + most + 2)
        return None if end < 0 else received.cut(end)

    @property
    def partial(self) -> bool:
        """Whether some of a reply is there, or was."""
        return bool(self._lines) or len(self._received) > 0

    def next(self) -> RawReply | ReplyFault | None:
        """The next reply, None where there is no complete one yet, or what is wrong; after that nothing can be read."""
        received, lines = self._received, self._lines
        while True:
            start = received.pos
            line = received.line(self._line_octets, self._lenient)
            if not isinstance(line, bytes):
                # What has been swallowed of a line that has not ended was over the limit.
                return None if line is _PARTIAL and not received.swallowed else ReplyFault.LINE_TOO_LONG
            last = _code(line, _LAST)
            code = last or _code(line, _CONTINUED)
            if code is None:
                return ReplyFault.MALFORMED
            if lines:
                if code != self._code:
                    return ReplyFault.MIXED_CODES
                if len(lines) >= self._most_lines:
                    return ReplyFault.TOO_MANY_LINES
            octets = self._octets + received.pos - start
            if octets > self._most_octets:
                return ReplyFault.TOO_LONG
            if last and not lines:
                return RawReply(last, (line[4:],), len(line) == 3)
            lines.append(line[4:])
            if last:
                self._lines = []
                self._octets = 0
                return RawReply(last, tuple(lines), len(line) == 3)
            self._code = code
            self._octets = octets


def _code(line: bytes, codes: Mapping[bytes, int]) -> int | None:
    """The code that *line* begins with; None where it is none of *codes*, or the line none of a reply."""
    return None if _CR in line or _LF in line or 0 in line else codes.get(line[:4])


def read_alone(line: bytes) -> RawReply | ReplyFault:
    """What `ReplyReader.alone` returned, read."""
    code = _code(line, _LAST)
    return ReplyFault.MALFORMED if code is None else RawReply(code, (line[4:],))


class Stray(enum.Enum):
    """What to do with a bare CR, a bare LF or a NUL in a message that is not BINARYMIME.

    RFC 5321 section 2.3.8: CR and LF "MUST NOT be transmitted" but as a pair that ends a line.
    """

    REJECT = "refuse the message at its real end"
    KEEP = "hand it on as it is"
    NORMALISE = "make a line end of a bare CR or LF; refuse the message for a NUL"


# Members of an enum are looked up by Python code in CPython 3.11: too slow for every read.
_KEEP: Final = Stray.KEEP
_REJECT: Final = Stray.REJECT

_END: Final = b"\r\n.\r\n"
_STUFFED: Final = b"\r\n."
_CANONICAL: Final = (None, "\r\n")
_HOLDS: Final = (b"\r\n.\r", b"\r\n.", b"\r\n", b"\r")
_stray = re.compile(rb"\r(?!\n)|(?<!\r)\n|\x00").search

# Dots are dropped in one of two ways, each of which is slower than the other in the other's place: where lines are
# shorter than this, and where they are longer. Of more octets than these, one in so many tells: a prime meets no
# rhythm.
_SHORT_LINE: Final = 32
_FEW: Final = 2048
_STRIDE: Final = 61


def _with_dots(piece: bytes, start: bytes) -> bytes:
    """*piece* with *start* in place of each line end with a dot behind it."""
    sample = piece[::_STRIDE] if len(piece) > _FEW else piece
    if sample.count(b"\n") * _SHORT_LINE <= len(sample):
        # Each part costs something, but CPython searches backwards two to three times as fast as forwards.
        return start.join(piece.rsplit(_STUFFED))
    if len(start) > 2 or 0 in piece:
        return piece.replace(_STUFFED, start)
    # `replace` by as many octets searches once, by fewer twice.
    return piece.replace(_STUFFED, b"\0\r\n").translate(None, b"\0")


def _canonical(content: bytes) -> bool:
    """Whether every CR and LF is half of a line end, and there is no NUL."""
    if 0 in content:
        return False
    # It tells which line ends there were, in one pass of C code whose time does not depend on the lines' length.
    ends = IncrementalNewlineDecoder(None, translate=False)
    ends.decode(content.decode("latin-1"), final=True)
    return ends.newlines in _CANONICAL


class BodyDecoder:
    """Message octets as sent into message content.

    Args:
        stray: what to do with stray octets.
        dots: whether the content is dot-stuffed and ends with a lone dot (DATA, not BDAT).

    ``stray_found`` is set once a stray octet was met that the policy refuses. From then on nothing
    comes out, and only the end is looked for.
    """

    __slots__ = ("_at_start", "_dots", "_held", "_policy", "stray_found")

    def __init__(self, stray: Stray, *, dots: bool) -> None:
        self._policy = stray
        self._dots = dots
        self._held = b"\r\n" if dots else b""
        self._at_start = dots  # the CR LF in _held is the DATA line's, not content
        self.stray_found = False

    def feed(self, data: bytes) -> tuple[bytes, int]:
        """Decode *data*, one octet or more.

        Returns:
            The content that is certain, and how many octets of *data* lie behind the end of the
            message; -1 where the end has not come.
        """
        if not self._dots:
            return self._plain(data), -1
        piece = self._held + data if self._held else data
        rest, self._held = -1, b""
        # What has to do with dots is between the first of them and the last, both of which memchr finds. Searches
        # go backwards, as that is faster.
        start = max(0, piece.find(b".") - 2)
        last = piece.rfind(_STUFFED, start, piece.rfind(b".") + 1)
        end = piece.rfind(_END, start, last + len(_END))
        if end >= 0:
            last = piece.rfind(_STUFFED, start, end)
            if piece.rfind(_END, start, last + len(_END)) >= 0:  # the first one is the end
                end = piece.find(_END, start)
            rest = len(piece) - end - len(_END)
            piece = piece[: end + 2]  # the CR LF before the dot ends the message's last line
        elif piece.endswith(_HOLDS):
            self._held = next(hold for hold in _HOLDS if piece.endswith(hold))
            piece = piece[: -len(self._held)]
        if self.stray_found:
            return b"", rest
        content = _with_dots(piece, b"\r\n") if last >= 0 else piece
        if self._policy is not _KEEP and not _canonical(content):
            content = self._strayed(content)
        if self._at_start and content:
            self._at_start = False
            content = content[2:]
        return content, rest

    def finish(self) -> bytes:
        """What was held back at the end of the last BDAT chunk: nothing, or the line end of a bare CR."""
        held, self._held = self._held, b""
        if not held or self.stray_found:
            return b""
        self.stray_found = self._policy is _REJECT
        return b"" if self.stray_found else b"\r\n"

    def _plain(self, data: bytes) -> bytes:
        if self._policy is _KEEP:
            return data
        if self.stray_found:
            return b""
        piece = self._held + data if self._held else data
        self._held = b""
        if piece.endswith(b"\r"):
            self._held = b"\r"
            piece = piece[:-1]
        return piece if _canonical(piece) else self._strayed(piece)

    def _strayed(self, content: bytes) -> bytes:
        """What to hand out of content that holds a stray octet: all before it, so that no cut of the input shows.

        Dropping dots joins no CR to a LF and parts none, so this can be judged after it.
        """
        stray = content.find(b"\0")
        if self._policy is _REJECT and (match := _stray(content)):
            stray = match.start()
        if stray >= 0:
            self.stray_found = True
            content = content[:stray]
        if self._policy is _REJECT:
            return content
        return content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")


class StrayOctets(LocalProtocolError):
    """A message that is to be sent holds a bare CR, a bare LF or a NUL, which the policy refuses."""


_REMEDY: Final = "lines end in CR LF, and Stray.NORMALISE makes them so"


class PlainEncoder:
    """Message content into what goes into the chunks of BDAT (RFC 3030): no dots, and no end.

    Args:
        stray: what to do with stray octets.

    A CR at the end of a piece is held back until the next piece shows whether its LF follows.
    """

    __slots__ = ("_held", "_policy")

    def __init__(self, stray: Stray) -> None:
        self._policy = stray
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What *data* lets out; *data* itself where nothing has to be changed.

        Raises:
            StrayOctets: The policy refuses *data*. It counts as not given.
        """
        return data if self._policy is _KEEP else self._settled(data)

    def finish(self) -> bytes:
        """The content has ended: what a CR that was held back has become.

        Raises:
            StrayOctets: The content ends with a bare CR, and the policy refuses that.
        """
        if not self._held:
            return b""
        if self._policy is _REJECT:
            raise StrayOctets(f"the content ends with a bare CR: {_REMEDY}")
        return b"\r\n"

    def _settled(self, data: bytes) -> bytes:
        """The octets that are certain, as they are to be sent but for the dots."""
        piece = self._held + data if self._held else data
        held = b""
        if piece.endswith(b"\r"):
            held, piece = b"\r", piece[:-1]
        if self._policy is not _KEEP and not _canonical(piece):
            if 0 in piece:
                raise StrayOctets("the content holds a NUL")
            if self._policy is _REJECT:
                raise StrayOctets(f"the content holds a bare CR or LF: {_REMEDY}")
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
        self._held = held
        return piece


class DotEncoder(PlainEncoder):
    """Message content into what is sent after DATA: dot-stuffed, with an end (RFC 5321 section 4.5.2).

    Args:
        stray: what to do with stray octets.
    """

    __slots__ = ("_at_start",)

    def __init__(self, stray: Stray) -> None:
        super().__init__(stray)
        self._at_start = True

    def feed(self, data: bytes) -> bytes:
        """What *data* lets out; *data* itself where nothing has to be changed.

        Raises:
            StrayOctets: The policy refuses *data*. It counts as not given.
        """
        return self._stuffed(self._settled(data))

    def finish(self) -> bytes:
        """The end of the message, after that of its last line, if this has none.

        Raises:
            StrayOctets: The content ends with a bare CR, and the policy refuses that.
        """
        if self._held and self._policy is _KEEP:
            return b"\r\r\n.\r\n"
        end = super().finish()
        return (end if self._at_start else b"\r\n") + b".\r\n"

    def _stuffed(self, piece: bytes) -> bytes:
        if not piece:
            return piece
        at_start, self._at_start = self._at_start, piece.endswith(b"\r\n")
        if b"." not in piece:
            return piece
        stuffed = _with_dots(piece, b"\r\n..")
        return b"." + stuffed if at_start and piece.startswith(b".") else stuffed
