"""The messages that ``smtpcore send`` sends: a file, looked at to be declared, or one that is made."""

import contextlib
import io
import tempfile
from collections.abc import Iterable
from datetime import datetime
from email.errors import MessageError
from email.header import Header
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime, make_msgid
from functools import partial
from typing import IO, Final

import attrs

from smtpcore import Envelope

BLOCK_OCTETS: Final = 262_144
# So much of standard input is kept in memory, more of it in a file.
_new_copy: Final = partial(tempfile.SpooledTemporaryFile, 4_194_304)


class Unfit(ValueError):
    """No message can be made of it."""


@attrs.frozen
class Message:
    """A message that can be read more than once.

    Args:
        file: where it is, from *start* on.
        octets: that are there.
        size: octets as they are sent, each line with a CRLF (RFC 1870 section 6).
        eight_bit: whether any of them is beyond ASCII.
    """

    file: IO[bytes]
    start: int
    octets: int
    size: int
    eight_bit: bool


def scan(source: IO[bytes], stack: contextlib.ExitStack) -> Message:
    """Look at what there is from the present place of *source* on. Blocks.

    Args:
        source: a file; if it cannot be read twice, a copy is made.
        stack: closes the copy.

    Raises:
        OSError: it cannot be read, or copied.
        Unfit: it holds a NUL.
    """
    copy = None if source.seekable() else stack.enter_context(_new_copy())
    start = source.tell() if copy is None else 0
    octets = size = 0
    eight_bit = False
    last = b""
    while block := source.read(BLOCK_OCTETS):
        if b"\0" in block:
            raise Unfit("the message holds a NUL")
        if copy is not None:
            copy.write(block)
        octets += len(block)
        eight_bit = eight_bit or not block.isascii()
        # A CR and an LF take another octet to be a line end, unless they are together.
        size += len(block) + block.count(b"\r") + block.count(b"\n") - 2 * block.count(b"\r\n")
        if last == b"\r" and block.startswith(b"\n"):
            size -= 2
        last = block[-1:]
    if last not in (b"", b"\r", b"\n"):
        size += 2
    return Message(source if copy is None else copy, start, octets, size, eight_bit)


def make(
    envelope: Envelope, host: str, *, subject: str | None, body: str | None, fields: Iterable[str], at: datetime
) -> IO[bytes]:
    """A message to try a server with; it is of ASCII, but for addresses that are not.

    Args:
        envelope: what From and To are taken from.
        host: the domain of ours, or an address literal, for what wants one.
        subject, body: None for stock ones.
        fields: ``name: value``, which take the place of stock ones.
        at: when it is made, with a time zone.

    Raises:
        Unfit: a field is none.
    """
    paths = [envelope.reverse_path, *(each.path for each in envelope.recipients)]
    message = EmailMessage(SMTP if all(path.is_ascii for path in paths) else SMTPUTF8)
    stock = {
        "Date": format_datetime(at),
        "From": str(envelope.reverse_path) or f"postmaster@{host}",
        "To": ", ".join(str(each.path) for each in envelope.recipients),
        "Subject": f"test {format_datetime(at)}" if subject is None else subject,
        "Message-ID": make_msgid(domain=host),
    }
    text = "This is a test message.\n" if body is None else f"{body}\n"
    given = [_field(each) for each in fields]
    try:
        for name, value in stock.items():
            message[name] = value
        message.set_content(text, cte=None if text.isascii() else "quoted-printable")
        for name, _ in given:
            del message[name]
        octets = message.as_bytes()
    except (MessageError, UnicodeError, ValueError, AttributeError, IndexError, TypeError) as error:
        # Of what is no header field the library complains in many ways.
        raise Unfit(f"no message can be made: {error}") from error
    return io.BytesIO("".join(f"{name}: {value}\r\n" for name, value in given).encode() + octets)


def _field(text: str) -> tuple[str, str]:
    """A field as it was given, but for what is not ASCII (RFC 2047).

    Raises:
        Unfit: it is none.
    """
    name, colon, value = text.partition(":")
    # RFC 5322 3.6.8: ftext = %d33-57 / %d59-126
    if not colon or not name or not all("!" <= character <= "~" for character in name) or not value.isprintable():
        raise Unfit(f"not a header field: {text!r}")
    value = value.strip()
    return name, value if value.isascii() else Header(value, "utf-8", header_name=name).encode(linesep="\r\n")
