"""Every limit of a connection, and every deadline's length, in one place each.

A limit's metadata say its unit, the least value that an RFC demands, the reply given when it is
hit, and the memory that one connection can hold because of it. `rows` is what the documents show.
"""

from collections.abc import Iterator
from typing import Any

import attrs

from ._errors import LocalProtocolError
from ._value import fields, settings, value


def _limit(
    default: Any, unit: str, hit: str, *, floor: int = 0, rfc: str = "", memory: int = 0, reply: str = ""
) -> Any:
    return attrs.field(
        default=default,
        metadata={"unit": unit, "hit": hit, "floor": floor, "rfc": rfc, "memory": memory, "reply": reply},
    )


def _half_more(limits: "Limits") -> int:
    return limits.message_octets * 3 // 2


@settings
class Limits:
    """The numbers that bound one connection.

    Raises:
        LocalProtocolError: a limit is below what its RFC demands.
    """

    command_octets: int = _limit(
        2048, "octets a command line, with CRLF", "{reply}, an error, the line is swallowed",
        floor=512, rfc="RFC 5321 4.5.3.1.4", memory=1, reply="too_long_line",
    )  # fmt: skip
    auth_octets: int = _limit(
        12288, "octets an AUTH line or SASL answer, with CRLF", "{reply}, an error, the line is swallowed",
        floor=12288, rfc="RFC 4954 4", memory=1, reply="too_long_line",
    )  # fmt: skip
    swallowed_octets: int = _limit(
        65536, "octets a line in all, with CRLF", "{reply}, close", floor=12288, reply="too_long_line_closing"
    )
    buffered_octets: int = _limit(
        65536, "octets received and not yet parsed", "`wants_data` is false until they are parsed",
        floor=12288, memory=1,
    )  # fmt: skip
    output_octets: int = _limit(
        65536, "octets of replies not yet taken", "no command is parsed until they are taken", floor=512, memory=1
    )
    recipients: int = _limit(
        1000, "recipients a transaction", "{reply}, the transaction lives",
        floor=100, rfc="RFC 5321 4.5.3.1.8", memory=4096, reply="too_many_recipients",
    )  # fmt: skip
    message_octets: int = _limit(
        52_428_800, "octets a message, unstuffed", "{reply}, at SIZE= or after the rest was discarded",
        floor=65536, rfc="RFC 5321 4.5.3.1.7", reply="too_big",
    )  # fmt: skip
    discard_octets: int = _limit(
        attrs.Factory(_half_more, takes_self=True),
        "octets of a refused message, as sent", "{reply}, close", reply="too_much_discarded",
    )  # fmt: skip
    chunks: int = _limit(10_000, "BDAT chunks a message", "{reply}", floor=1, reply="too_many_chunks")
    transactions: int | None = _limit(
        None, "MAIL commands a connection", "{reply}", floor=1, reply="too_many_transactions"
    )
    errors: int = _limit(10, "commands refused by the engine", "{reply}, close", reply="too_many_errors")
    junk_commands: int = _limit(
        100, "NOOP, RSET, VRFY, EXPN, HELP, ETRN and repeated EHLO between messages", "{reply}, close",
        floor=1, reply="too_much_junk",
    )  # fmt: skip
    unknown_before_hello: int = _limit(2, "unknown commands before EHLO", "{reply}, close", reply="foreign_protocol")
    auth_attempts: int = _limit(3, "AUTH commands", "{reply}, close", floor=1, reply="too_many_auth")

    def __attrs_post_init__(self) -> None:
        _check_floors(self)
        if self.buffered_octets < max(self.command_octets, self.auth_octets):
            raise LocalProtocolError("buffered_octets must hold a line: command_octets and auth_octets")

    def memory(self) -> int:
        """The most octets that a server connection holds because of these limits.

        One read more is held by a caller that feeds reads of any size.
        """
        return _memory(self)


@settings
class ClientLimits:
    """The numbers that bound one connection of a client.

    Raises:
        LocalProtocolError: a limit is below what its RFC demands.
    """

    reply_line_octets: int = _limit(
        4096,
        "octets a reply line, with CRLF",
        "`Closed`, REPLY_TOO_LONG",
        floor=512,
        rfc="RFC 5321 4.5.3.1.5",
        memory=1,
    )
    reply_lines: int = _limit(1000, "lines a reply", "`Closed`, REPLY_TOO_LONG", floor=1, memory=64)
    reply_octets: int = _limit(65536, "octets of text a reply", "`Closed`, REPLY_TOO_LONG", floor=512, memory=1)
    buffered_octets: int = _limit(
        65536, "octets received and not yet parsed", "`wants_data` is false until they are parsed", floor=512, memory=1
    )
    outcome_characters: int = _limit(
        512, "characters of a reply that an `Outcome` keeps for one of the recipients", "the rest is cut off", floor=64
    )
    capabilities: int = _limit(200, "keywords in the reply to EHLO", "`Closed`, TOO_MANY_CAPABILITIES", floor=32)
    command_octets: int = _limit(
        2048, "octets a command line of ours, with CRLF", "`LocalProtocolError`", floor=512, rfc="RFC 5321 4.5.3.1.4"
    )
    auth_octets: int = _limit(
        12288, "octets a SASL answer of ours, with CRLF", "the exchange is cancelled", floor=12288, rfc="RFC 4954 4"
    )
    pipelined_octets: int = _limit(
        16384, "octets of commands that have no reply yet", "the next commands wait for replies", floor=512, memory=8
    )
    chunk_octets: int = _limit(262_144, "octets gathered to a BDAT chunk", "the chunk is sent", floor=1, memory=2)
    unanswered_chunks: int = _limit(
        4, "BDAT chunks that have no reply yet", "the next chunks wait for replies", floor=1
    )

    def __attrs_post_init__(self) -> None:
        _check_floors(self)

    def memory(self) -> int:
        """The most octets that a client connection holds because of these limits.

        The envelope is the application's; so are octets that it gives while `Transaction.wants_body` is false.
        """
        return _memory(self)


def _check_floors(limits: Limits | ClientLimits) -> None:
    for field in fields(type(limits)):
        number = getattr(limits, field.name)
        if number is not None and number < field.metadata["floor"]:
            why = field.metadata["rfc"] or "to work at all"
            raise LocalProtocolError(f"{field.name} must be at least {field.metadata['floor']}: {why}")


def _memory(limits: Limits | ClientLimits) -> int:
    total = 0
    for field in fields(type(limits)):
        number = getattr(limits, field.name)
        total += field.metadata["memory"] * (number or 0)
    return total


@settings
class Timeouts:
    """The length of each deadline, in seconds, and the pace that a body must keep."""

    command: float = attrs.field(default=300.0)
    body: float = attrs.field(default=180.0)
    min_body_rate: float = attrs.field(default=500.0)  # octets a second
    write: float = attrs.field(default=60.0)
    tls: float = attrs.field(default=30.0)
    session: float = attrs.field(default=3600.0)

    def __attrs_post_init__(self) -> None:
        _check_lengths(self)


@settings
class ClientTimeouts:
    """The length of each deadline of a client, in seconds (RFC 5321 section 4.5.3.2)."""

    greeting: float = attrs.field(default=300.0)
    command: float = attrs.field(default=300.0)
    mail: float = attrs.field(default=300.0)
    rcpt: float = attrs.field(default=300.0)
    data: float = attrs.field(default=120.0)
    block: float = attrs.field(default=180.0)
    dot: float = attrs.field(default=600.0)
    quit: float = attrs.field(default=10.0)
    write: float = attrs.field(default=60.0)
    tls: float = attrs.field(default=60.0)
    session: float = attrs.field(default=14400.0)

    def __attrs_post_init__(self) -> None:
        _check_lengths(self)


def _check_lengths(timeouts: Timeouts | ClientTimeouts) -> None:
    for field in fields(type(timeouts)):
        if not getattr(timeouts, field.name) > 0:
            raise LocalProtocolError(f"{field.name} must be above 0")


@value
class LimitRow:
    """One line of the documents' table of limits."""

    name: str
    default: int | None
    unit: str
    floor: int
    rfc: str
    hit: str
    reply: str
    memory: int


def rows(limits: type[Limits] | type[ClientLimits] = Limits) -> Iterator[LimitRow]:
    """The limits as declared."""
    stock = limits()
    for field in fields(limits):
        about = field.metadata
        yield LimitRow(
            field.name, getattr(stock, field.name), about["unit"], about["floor"], about["rfc"],
            about["hit"], about["reply"], about["memory"],
        )  # fmt: skip
