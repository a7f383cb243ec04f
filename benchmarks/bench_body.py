"""Message octets through the engine after DATA, by what they look like and by how they are cut.

The peer reads the same messages; ``replace`` is the least that any decoder must do.
"""

import base64
import random
from collections.abc import Callable

import pytest
from _subjects import Aiosmtpd, engine

_SIZE = 1 << 20
_ENVELOPE = b"MAIL FROM:<alice@example.com>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n"

_lines_of_text = [b"the quick brown fox jumps over the lazy dog, and then it goes home\r\n"] * 49 + [b"..dots\r\n"]
BODIES = {
    "base64": base64.encodebytes(random.Random(1).randbytes(_SIZE * 3 // 4)).replace(b"\n", b"\r\n"),
    "text, 2 % dot lines": b"".join(_lines_of_text) * (_SIZE // sum(map(len, _lines_of_text))),
    "every line a dot line": (b".." + b"y" * 70 + b"\r\n") * (_SIZE // 74),
    "dots alone on their lines": b"..\r\n" * (_SIZE // 4),
    "empty lines": b"\r\n" * (_SIZE // 2),
}


@pytest.mark.parametrize("cut", [65536, 1024], ids=["64 KiB", "1 KiB"])
@pytest.mark.parametrize("kind", BODIES)
def test_decode(kind: str, cut: int, measure: Callable[..., None]) -> None:
    body = BODIES[kind]
    pieces = [body[at : at + cut] for at in range(0, len(body), cut)] + [b".\r\n"]
    feed = engine()

    def run() -> None:
        feed(_ENVELOPE)
        for piece in pieces:
            feed(piece)

    measure(f"{kind}, {cut // 1024} KiB a read", "engine", run, count=len(body), unit="octet")


@pytest.mark.parametrize("kind", BODIES)
def test_decode_aiosmtpd(kind: str, measure: Callable[..., None]) -> None:
    # It takes seconds for a mebibyte of short lines, so it gets less of them.
    body = BODIES[kind][: _SIZE // 16]
    body = body[: body.rindex(b"\r\n") + 2]
    session = Aiosmtpd()

    def run() -> None:
        session.feed(_ENVELOPE, 3)
        session.feed(body + b".\r\n", 1)

    measure(f"{kind}, 64 KiB a read", "aiosmtpd", run, count=len(body), unit="octet")
    session.close()


@pytest.mark.parametrize("kind", BODIES)
def test_replace(kind: str, measure: Callable[..., None]) -> None:
    body = BODIES[kind]
    pieces = [body[at : at + 65536] for at in range(0, len(body), 65536)]

    def run() -> None:
        for piece in pieces:
            piece.replace(b"\r\n.", b"\r\n")

    measure(f"{kind}, 64 KiB a read", "replace", run, count=len(body), unit="octet")
