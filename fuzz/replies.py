"""Replies of a server: the reader beside one that looks at each octet, and content encoded beside its decoder.

The first octet chooses the limits and the step. In what the server says, F0 to FF stand for beginnings of lines.
"""

import re
import sys
from pathlib import Path

from _harness import fuzz, instrumented

sys.path.append(str(Path(__file__).parents[1] / "tests"))

with instrumented():
    from smtpcore._framing import BodyDecoder, DotEncoder, Input, RawReply, ReplyFault, ReplyReader, Stray, StrayOctets

from slow_reply import SlowReader

HEADS = [
    b"250 ", b"250-", b"250", b"\r\n", b"250-a\r\n", b"250 a\r\n", b"354 go\r\n", b"334 " + b"A" * 64, b"\r\n250-",
    b"\r\n250 ", b"550-5.7.1 ", b"260 ", b"421\r\n", b"a" * 40, b"250-" + b"b" * 50 + b"\r\n", b"\r\n\r\n",
]  # fmt: skip
LIMITS = [(512, 100, 4096), (60, 3, 4096), (60, 100, 100), (5, 2, 7)]
STEPS = (1, 2, 3, 7, 64, 65, 1000, 1 << 20)
POLICIES = list(Stray)


def replies(octets: bytes, step: int, limits: tuple[int, int, int], *, lenient: bool) -> None:
    """After each piece, both readers have come to the same."""
    line_octets, lines, most = limits
    slow = SlowReader(*limits, lenient=lenient)
    received = Input(line_octets)
    fast = ReplyReader(received, line_octets=line_octets, lines=lines, octets=most, lenient=lenient)
    found: list[RawReply | ReplyFault] = []
    for at in range(0, len(octets), step):
        piece = octets[at : at + step]
        slow.feed(piece)
        received.feed(piece)
        while (reply := fast.next()) is not None:
            found.append(reply)
            if isinstance(reply, ReplyFault):
                break
        assert found == slow.found
        if slow.over:
            return
        assert len(received) <= line_octets


def content(octets: bytes, step: int, policy: Stray) -> None:
    """What was taken of the octets is what a server reads."""
    encoder, decoder = DotEncoder(policy), BodyDecoder(policy, dots=True)
    taken, read = b"", b""
    for at in range(0, len(octets), step):
        piece = octets[at : at + step]
        try:
            out = encoder.feed(piece)
        except StrayOctets:
            continue
        taken += piece
        if out:
            got, rest = decoder.feed(out)
            assert rest == -1
            read += got
    try:
        end = encoder.finish()
    except StrayOctets:
        taken += b"\n"
        end = encoder.feed(b"\n") + encoder.finish()
    got, rest = decoder.feed(end)
    assert rest == 0
    assert not decoder.stray_found
    if policy is Stray.NORMALISE:
        taken = re.sub(rb"\r\n|\r|\n", b"\r\n", taken)
    assert read + got == taken + b"\r\n" * (taken != b"" and not taken.endswith(b"\r\n"))


def target(octets: bytes) -> None:
    if not octets:
        return
    steering, octets = octets[0], octets[1:]
    step = STEPS[steering >> 5]
    said = re.sub(rb"[\xf0-\xff]", lambda match: HEADS[match[0][0] - 0xF0], octets)
    replies(said, step, LIMITS[steering & 3], lenient=bool(steering & 4))
    content(octets, step, POLICIES[(steering >> 3 & 3) % 3])


if __name__ == "__main__":
    fuzz(target)
