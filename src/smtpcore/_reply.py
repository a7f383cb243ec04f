"""Replies (RFC 5321 section 4.2) and enhanced status codes (RFC 3463, RFC 2034).

A reply is safe by construction: its code is in 200-559, its text holds no control character, and
no line leaves longer than 512 octets, whatever it was made from. So text that came from the peer
cannot split a reply or drive a terminal.
"""

import functools
import re
from collections.abc import Sequence
from typing import Final

import attrs

from ._errors import LocalProtocolError
from ._value import evolve, fields, settings, value

LINE_OCTETS = 512
"""RFC 5321 section 4.5.3.1.5: the maximum length of a reply line, with code and CRLF."""

# C0, DEL, C1, line and paragraph separators, bidi and other format controls, surrogates, non-characters.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff"
    "\ufdd0-\ufdef\ufeff\ufff9-\uffff\U000e0000-\U000e0fff]"
    + "|["
    + "".join(chr(plane << 16 | 0xFFFE) + chr(plane << 16 | 0xFFFF) for plane in range(1, 17))
    + "]"
)
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")


def _escape(match: re.Match[str]) -> str:
    return f"\\x{{{ord(match[0]):02X}}}"


def safe(text: str | bytes, limit: int = 256) -> str:
    """Peer text for a reply, a log or a terminal: one line, no control or bidi characters.

    What is not safe is shown as ``\\x{HEX}``; quotation marks and backslashes are kept.

    Args:
        text: octets are read as UTF-8, each octet that is not UTF-8 escaped as ``\\x{HEX}``.
        limit: characters kept; a cut is marked by three dots.
    """
    if isinstance(text, bytes):
        # Lone surrogates U+DC80 to U+DCFF stand for the octets 80 to FF that are not UTF-8.
        text = text[: limit * 4 + 1].decode("utf-8", "surrogateescape")
        text = re.sub("[\udc80-\udcff]", lambda m: f"\\x{{{ord(m[0]) - 0xDC00:02X}}}", text)
    if len(text) > limit:
        text = text[:limit] + "..."
    return _UNSAFE.sub(_escape, text)


@value
class EnhancedStatus:
    """An enhanced mail system status code, class.subject.detail (RFC 3463 section 2).

    Raises:
        LocalProtocolError: the class is not 2, 4 or 5, or a part is over 999.
    """

    class_: int
    subject: int
    detail: int

    def __attrs_post_init__(self) -> None:
        if self.class_ not in (2, 4, 5) or not (0 <= self.subject <= 999 and 0 <= self.detail <= 999):
            raise LocalProtocolError(f"not an enhanced status code: {self}")

    @classmethod
    @functools.lru_cache(maxsize=256)
    def parse(cls, text: str) -> "EnhancedStatus":
        """Read ``5.1.1``.

        Raises:
            LocalProtocolError: it is not of that form.
        """
        match = re.fullmatch("([245])[.]([0-9]{1,3})[.]([0-9]{1,3})", text)
        if match is None:
            raise LocalProtocolError(f"not an enhanced status code: {text!r}")
        return cls(*map(int, match.groups()))

    def __str__(self) -> str:
        return f"{self.class_}.{self.subject}.{self.detail}"


def _status(given: "EnhancedStatus | str | None") -> EnhancedStatus | None:
    return EnhancedStatus.parse(given) if isinstance(given, str) else given


@attrs.define(unsafe_hash=True)
class Reply:
    """A reply: a code, one or more lines of text, and perhaps an enhanced status code.

    Args:
        code: 200 to 559 (RFC 5321 section 4.2.1).
        text: a newline starts a new line of the reply; what is not printable is escaped.
        status: an `EnhancedStatus` or its text. Where ENHANCEDSTATUSCODES is in force and there is
            none, ``2.0.0``, ``4.0.0`` or ``5.0.0`` is sent.

    Raises:
        LocalProtocolError: the code is out of range, or its class is not that of the status.
    """

    code: int = attrs.field(on_setattr=attrs.setters.frozen)
    text: str = attrs.field(default="", on_setattr=attrs.setters.frozen)
    status: EnhancedStatus | None = attrs.field(default=None, converter=_status, on_setattr=attrs.setters.frozen)
    _plain: bytes | None = attrs.field(default=None, init=False, eq=False, repr=False)
    _enhanced: bytes | None = attrs.field(default=None, init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if not 200 <= self.code <= 559 or self.code // 10 % 10 > 5:
            raise LocalProtocolError(f"reply code {self.code} is not in 200 to 559")
        if self.status is not None and self.status.class_ != self.code // 100:
            raise LocalProtocolError(f"reply code {self.code} does not go with status {self.status}")

    @property
    def positive(self) -> bool:
        """Whether this is a 2xx or 3xx reply."""
        return self.code < 400

    @property
    def transient(self) -> bool:
        """Whether this is a 4xx reply."""
        return 400 <= self.code < 500

    @property
    def permanent(self) -> bool:
        """Whether this is a 5xx reply."""
        return self.code >= 500

    def lines(self) -> list[str]:
        """The lines of the text, made safe; at least one."""
        return [safe(line, 65536) for line in self.text.split("\n")]

    def wire(self, enhanced: bool) -> bytes:
        """The octets to send, ASCII only, encoded once and kept.

        Args:
            enhanced: put the enhanced status code on each line (RFC 2034 section 4).
        """
        # Spelt out, not looped: this is on the path of every command.
        if enhanced:
            if self._enhanced is None:
                self._enhanced = self.encode(enhanced=True)
            return self._enhanced
        if self._plain is None:
            self._plain = self.encode()
        return self._plain

    def encode(self, *, enhanced: bool = False, utf8: bool = False) -> bytes:
        """The octets to send.

        Args:
            enhanced: as for `wire`.
            utf8: keep non-ASCII text as UTF-8 (RFC 6531 section 3.7.4.2) and do not escape it.
        """
        prefix = ""
        if enhanced and self.code // 100 != 3:
            prefix = f"{self.status or f'{self.code // 100}.0.0'} "
        room = LINE_OCTETS - len(f"{self.code} {prefix}\r\n")
        if self.text.isascii() and self.text.isprintable() and len(self.text) <= room:  # as nearly all are
            return f"{self.code} {prefix}{self.text}\r\n".encode()
        pieces: list[bytes] = []
        for line in self.lines():
            octets = line.encode() if utf8 else _NOT_ASCII.sub(_escape, line).encode()
            while len(octets) > room:
                cut = room
                while octets[cut] & 0xC0 == 0x80:  # not inside a UTF-8 sequence
                    cut -= 1
                pieces.append(octets[:cut])
                octets = octets[cut:]
            pieces.append(octets)
        head = prefix.encode()
        *first, last = pieces
        return b"".join(
            [b"%d-%b%b\r\n" % (self.code, head, piece) for piece in first] + [b"%d %b%b\r\n" % (self.code, head, last)]
        )

    def __str__(self) -> str:
        status = f" {self.status}" if self.status else ""
        return f"{self.code}{status} " + " / ".join(self.lines())


KNOWN_CODES: Final = frozenset(
    # RFC 5321 4.2.3; 235, 334, 432, 454, 534, 535, 538: RFC 4954 and its forerunners; 453: RFC 2645;
    # 253, 458, 459: RFC 1985; 521, 556: RFC 7504; 530: RFC 3207; the rest: RFC 5248's registry.
    {
        211, 214, 220, 221, 235, 250, 251, 252, 253, 334, 354, 421, 422, 432, 450, 451, 452, 453, 454, 455, 458, 459,
        500, 501, 502, 503, 504, 521, 523, 524, 525, 530, 534, 535, 538, 550, 551, 552, 553, 554, 555, 556, 557, 558,
    }
)  # fmt: skip
"""The reply codes that an RFC gives a meaning."""

_match_status = re.compile(rb"([245])\.([0-9]{1,3})\.([0-9]{1,3})(?: |$)").match


def hear(code: int, lines: Sequence[bytes], *, statuses: bool = True) -> Reply:
    """A reply that was received, as a value; its text is made safe.

    Args:
        code: 200 to 559.
        lines: what stands behind the code in each line.
        statuses: look for an enhanced status code before the text (RFC 2034 section 4), of any server: many
            have them and do not say so. It is none if its class is not the code's.
    """
    status: EnhancedStatus | None = None
    texts: list[str] = []
    for line in lines:
        match = _match_status(line) if statuses else None
        if match is not None and int(match[1]) == code // 100:
            status = status or EnhancedStatus(int(match[1]), int(match[2]), int(match[3]))
            line = line[match.end() :]
        texts.append(safe(line, 65536))
    return Reply(code, "\n".join(texts), status)


def _stock(code: int, status: str | None, text: str) -> Reply:
    field: Reply = attrs.field(default=Reply(code, text, status))
    return field


@settings
class Replies:
    """The replies that the engine gives by itself, by name; replace any of them in the config.

    ``{domain}`` in a text stands for the server's own name.
    """

    greeting: Reply = _stock(220, None, "{domain} {protocol} ready")
    hello: Reply = _stock(250, None, "{domain}")
    ok: Reply = _stock(250, "2.0.0", "Ok")
    sender_ok: Reply = _stock(250, "2.1.0", "Sender ok")
    recipient_ok: Reply = _stock(250, "2.1.5", "Recipient ok")
    start_mail_input: Reply = _stock(354, None, "End data with <CR><LF>.<CR><LF>")
    chunk_ok: Reply = _stock(250, "2.0.0", "{octets} octets received")
    accepted: Reply = _stock(250, "2.0.0", "Message accepted")
    bye: Reply = _stock(221, "2.0.0", "{domain} closing connection")
    ready_for_tls: Reply = _stock(220, "2.0.0", "Ready to start TLS")
    authenticated: Reply = _stock(235, "2.7.0", "Authentication successful")
    cannot_verify: Reply = _stock(252, "2.5.2", "Cannot VRFY user, but will accept message and attempt delivery")
    queueing_started: Reply = _stock(250, "2.0.0", "Queuing started")

    help: Reply = _stock(214, "2.0.0", "{commands}")

    shutting_down: Reply = _stock(421, "4.3.2", "{domain} shutting down")
    timed_out: Reply = _stock(421, "4.4.2", "{domain} timeout exceeded, closing connection")
    foreign_protocol: Reply = _stock(421, "4.7.0", "{domain} This is an SMTP server, closing connection")
    too_many_errors: Reply = _stock(421, "4.7.0", "{domain} Too many errors, closing connection")
    too_much_junk: Reply = _stock(421, "4.7.0", "{domain} Too many commands without a message, closing connection")
    too_many_auth: Reply = _stock(421, "4.7.0", "{domain} Too many authentication attempts, closing connection")
    too_long_line_closing: Reply = _stock(421, "4.7.0", "{domain} Line too long, closing connection")
    too_much_discarded: Reply = _stock(421, "4.3.0", "{domain} Refused message too long, closing connection")
    too_many_transactions: Reply = _stock(451, "4.7.0", "Too many messages on this connection")
    too_many_recipients: Reply = _stock(452, "4.5.3", "Too many recipients")
    aborted: Reply = _stock(451, "4.3.0", "Local error in processing")
    tls_unavailable: Reply = _stock(454, "4.7.0", "TLS not available due to local problem")

    unknown_command: Reply = _stock(500, "5.5.1", "Command not recognized")
    bad_line: Reply = _stock(500, "5.5.2", "A line ends with <CR><LF> and holds no other <CR> or <LF>")
    not_ascii: Reply = _stock(500, "5.5.2", "Commands are ASCII, or UTF-8 where SMTPUTF8 permits it")
    too_long_line: Reply = _stock(500, "5.5.6", "Line too long")
    syntax: Reply = _stock(501, "5.5.4", "Syntax: {syntax}")
    bad_sender: Reply = _stock(501, "5.1.7", "Bad sender address syntax")
    bad_recipient: Reply = _stock(501, "5.1.3", "Bad recipient address syntax")
    auth_cancelled: Reply = _stock(501, "5.7.0", "Authentication cancelled")
    malformed_auth: Reply = _stock(501, "5.5.2", "Malformed authentication data")
    bad_bdat: Reply = _stock(501, "5.5.4", "Syntax: BDAT octets [LAST], closing connection")
    not_implemented: Reply = _stock(502, "5.5.1", "Command not implemented")
    bad_sequence: Reply = _stock(503, "5.5.1", "Bad sequence of commands")
    already_authenticated: Reply = _stock(503, "5.5.1", "Already authenticated")
    tls_active: Reply = _stock(503, "5.5.1", "TLS is active")
    unknown_mechanism: Reply = _stock(504, "5.5.4", "Unrecognized authentication mechanism")
    tls_required: Reply = _stock(530, "5.7.0", "Must issue a STARTTLS command first")
    auth_required: Reply = _stock(530, "5.7.0", "Authentication required")
    auth_failed: Reply = _stock(535, "5.7.8", "Authentication credentials invalid")
    encryption_required: Reply = _stock(538, "5.7.11", "Encryption required for requested authentication mechanism")
    too_big: Reply = _stock(552, "5.3.4", "Message size exceeds fixed limit of {limit} octets")
    too_many_chunks: Reply = _stock(552, "5.3.4", "Too many chunks")
    not_utf8: Reply = _stock(553, "5.6.7", "Address is not ASCII, nor UTF-8 with SMTPUTF8")
    early_input: Reply = _stock(554, "5.5.0", "Input sent before the reply that it depends on, closing connection")
    stray_octets: Reply = _stock(554, "5.6.0", "Message holds a bare CR, a bare LF or a NUL")
    unknown_parameter: Reply = _stock(555, "5.5.4", "Unsupported parameter: {keyword}")

    def filled(self, **names: str) -> "Replies":
        """These replies with ``{name}`` replaced by each of *names*, literally."""
        changed: dict[str, Reply] = {}
        for field in fields(Replies):
            reply: Reply = getattr(self, field.name)
            filled = fill(reply, **names)
            if filled is not reply:
                changed[field.name] = filled
        return evolve(self, **changed)


def fill(reply: Reply, **names: str) -> Reply:
    """*reply* with ``{name}`` in its text replaced by each of *names*; itself where none occurs."""
    text = reply.text
    for name, replacement in names.items():
        text = text.replace("{%s}" % name, replacement)
    return reply if text == reply.text else Reply(reply.code, text, reply.status)
