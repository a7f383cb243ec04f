"""Message octets: the decoder beside one that looks at each octet, and lines beside their plain reading.

The first octet chooses the policy and the step. In the rest, F0 to FF stand for text: long lines, some with
dots, so that the ways for such text are taken.
"""

import re
import sys
from pathlib import Path

from _harness import fuzz, instrumented

sys.path.append(str(Path(__file__).parents[1] / "tests"))

with instrumented():
    from smtpcore._framing import BodyDecoder, Input, Line, Stray

from slow_body import SlowDecoder

POLICIES = list(Stray)
TEXT = [b"a" * 16 * count + b"\r\n" + b"." * (count % 3) for count in range(1, 17)]
LIMIT = 100
CEILING = 400


def decode(octets: bytes, step: int, policy: Stray, *, dots: bool) -> None:
    """After each piece, both decoders have come to the same."""
    fast, slow = BodyDecoder(policy, dots=dots), SlowDecoder(policy, dots=dots)
    content = b""
    for at in range(0, len(octets), step):
        piece = octets[at : at + step]
        slow.feed(piece)
        out, rest = fast.feed(piece)
        content += out
        assert content == slow.content
        assert fast.stray_found is slow.stray_found
        assert rest == (-1 if slow.left is None else len(slow.left))
        if rest >= 0:
            return
    if not dots:
        slow.finish()
        assert content + fast.finish() == slow.content
        assert fast.stray_found is slow.stray_found


def lines(octets: bytes, step: int, *, lenient: bool) -> list[bytes | Line]:
    """The lines of *octets*, up to the first flood."""
    received = Input(CEILING, ((b"AUTH ", 200),))
    found: list[bytes | Line] = []
    for at in range(0, len(octets), step):
        received.feed(octets[at : at + step])
        while (line := received.line(LIMIT, lenient)) is not Line.PARTIAL:
            found.append(line)
            if line is Line.FLOOD:
                return found
        assert len(received) <= 200
    return found


def target(octets: bytes) -> None:
    if not octets:
        return
    steering, octets = octets[0], octets[1:]
    octets = re.sub(rb"[\xf0-\xff]", lambda match: TEXT[match[0][0] - 0xF0], octets)
    policy, dots, step = POLICIES[steering % 3], bool(steering & 4), (1, 2, 3, 7, 64, 65, 1000, 1 << 20)[steering >> 5]
    decode(octets, step, policy, dots=dots)
    lenient = bool(steering & 8)
    assert lines(octets, step, lenient=lenient) == lines(octets, 1, lenient=lenient)


if __name__ == "__main__":
    fuzz(target)
