"""Messages that the clients are given, all with CRLF line ends."""

import re
from typing import Final

# Lines of all lengths, of which many begin with dots, as often as it takes.
_MIXED: Final = b"".join(b"." * (number % 5) + b"x" * (number * 7 % 76) + b"\r\n" for number in range(400))


def big(octets: int) -> bytes:
    """So many octets of text, and a little more to the end of its last line."""
    whole = _MIXED * (octets // len(_MIXED) + 1)
    return whole[: whole.index(b"\r\n", octets) + 2]


HEAD: Final = (
    b"From: <a@example.org>\r\nTo: <b@example.org>\r\nSubject: x\r\n"
    b"Date: Sat, 21 Nov 2026 12:00:00 +0000\r\nMessage-Id: <x@example.org>\r\nX-Last: x\r\n\r\n"
)

MESSAGES: Final = {
    "no octets": b"",
    "one line end": b"\r\n",
    "one octet": b"x\r\n",
    "usual": HEAD + b"Hello,\r\n\r\nworld\r\n",
    "dot lines": b".\r\n..\r\n...\r\n.x\r\n\r\n.\r\n\r\n.",
    "ends with a dot line": HEAD + b"x\r\n.\r\n",
    "lines of 998": HEAD + (b"x" * 998 + b"\r\n") * 3,
    "a line of 100 KB": HEAD + b"x" * 100_000 + b"\r\n",
    "8-bit": HEAD + bytes(octet for octet in range(1, 256) if octet not in b"\r\n") + b"\r\n\xff\xfe\r\n",
    "100 KiB": HEAD + big(102_400),
}
BIG: Final = HEAD + big(20_000_000)


def ended(message: bytes) -> bytes:
    """*message* as DATA can carry it: to the end of a line."""
    return message if message.endswith(b"\r\n") or not message else message + b"\r\n"


def stuffed(message: bytes) -> bytes:
    """*message* as DATA carries it, without the lone dot."""
    return re.sub(rb"(?m)^\.", b"..", ended(message))
