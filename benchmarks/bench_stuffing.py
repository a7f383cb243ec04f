"""Content on its way out after DATA, by what it looks like and by how it is cut: no stray octet, dot-stuffed, ended.

The peers are given the whole message, and do less with it: smtplib and smtpproto look for dots only (smtplib makes
line ends of stray octets where it is given a str), and aiosmtplib lets a NUL pass.
"""

import smtplib
from collections.abc import Callable
from typing import Any

import pytest
from aiosmtplib import protocol as aiosmtplib
from bench_body import BODIES

from smtpcore._framing import DotEncoder, PlainEncoder, Stray

_KINDS = ["base64", "text, 2 % dot lines", "every line a dot line", "dots alone on their lines", "empty lines"]
_CONTENTS = {kind: BODIES[kind] for kind in _KINDS} | {"every line one dot": b".\r\n" * 349_525}
_smtplib: Any = smtplib  # its functions have no public name


def smtplib_octets(content: bytes) -> bytes:
    """What ``smtplib.SMTP.data`` does with octets."""
    quoted: bytes = _smtplib._quote_periods(content)
    return (quoted if quoted.endswith(b"\r\n") else quoted + b"\r\n") + b".\r\n"


def smtplib_text(text: str) -> bytes:
    """What ``smtplib.SMTP.data`` does with text."""
    return smtplib_octets(_smtplib._fix_eols(text).encode("ascii"))


def aiosmtplib_octets(content: bytes) -> bytes:
    """What ``SMTPProtocol.execute_data_command`` does."""
    return aiosmtplib.PERIOD_REGEX.sub(b"..", aiosmtplib.normalize_message_line_endings(content)) + b".\r\n"


def smtpproto_octets(content: bytes) -> bytes:
    """What ``SMTPClientProtocol.send_data`` does with what an email.message has made."""
    return content.replace(b"\r\n.", b"\r\n..") + b".\r\n"


@pytest.mark.parametrize("cut", [65536, 1024], ids=["64 KiB", "1 KiB"])
@pytest.mark.parametrize("kind", _CONTENTS)
def test_encode(kind: str, cut: int, measure: Callable[..., None]) -> None:
    content = _CONTENTS[kind]
    pieces = [content[at : at + cut] for at in range(0, len(content), cut)]

    def run() -> None:
        encoder = DotEncoder(Stray.REJECT)
        for piece in pieces:
            encoder.feed(piece)
        encoder.finish()

    measure(f"encode {kind}, {cut // 1024} KiB", "engine", run, count=len(content), unit="octet")


@pytest.mark.parametrize("kind", _CONTENTS)
def test_encode_chunks(kind: str, measure: Callable[..., None]) -> None:
    content = _CONTENTS[kind]
    pieces = [content[at : at + 65536] for at in range(0, len(content), 65536)]

    def run() -> None:
        encoder = PlainEncoder(Stray.REJECT)
        for piece in pieces:
            encoder.feed(piece)
        encoder.finish()

    measure(f"encode {kind}, 64 KiB", "engine, BDAT", run, count=len(content), unit="octet")


@pytest.mark.parametrize("cut", [65536, 1024], ids=["64 KiB", "1 KiB"])
def test_normalise(cut: int, measure: Callable[..., None]) -> None:
    content = _CONTENTS["text, 2 % dot lines"].replace(b"\r\n", b"\n")
    pieces = [content[at : at + cut] for at in range(0, len(content), cut)]

    def run() -> None:
        encoder = DotEncoder(Stray.NORMALISE)
        for piece in pieces:
            encoder.feed(piece)
        encoder.finish()

    measure(f"encode text with bare LF, {cut // 1024} KiB", "engine", run, count=len(content), unit="octet")


def test_normalise_aiosmtplib(measure: Callable[..., None]) -> None:
    content = _CONTENTS["text, 2 % dot lines"].replace(b"\r\n", b"\n")
    case = "encode text with bare LF, 64 KiB"
    measure(case, "aiosmtplib", lambda: aiosmtplib_octets(content), count=len(content), unit="octet")


@pytest.mark.parametrize("peer", [smtplib_octets, aiosmtplib_octets, smtpproto_octets])
@pytest.mark.parametrize("kind", _CONTENTS)
def test_peer(kind: str, peer: Callable[[bytes], bytes], measure: Callable[..., None]) -> None:
    content = _CONTENTS[kind]
    encoder = DotEncoder(Stray.REJECT)
    encoded = encoder.feed(content) + encoder.finish()
    assert peer(content) in (encoded, encoded[1:])  # smtpproto leaves a dot that is the first octet alone
    subject = peer.__name__.partition("_")[0]
    measure(f"encode {kind}, 64 KiB", subject, lambda: peer(content), count=len(content), unit="octet")


@pytest.mark.parametrize("kind", _CONTENTS)
def test_smtplib_text(kind: str, measure: Callable[..., None]) -> None:
    text = _CONTENTS[kind].decode("ascii")
    measure(f"encode {kind}, 64 KiB", "smtplib, str", lambda: smtplib_text(text), count=len(text), unit="octet")
