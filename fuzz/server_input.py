"""A whole server connection: a client that obeys nothing, and an application that answers anything.

The first eight octets choose the config, the cuts and the answers. In the rest, FE and an octet n stand
for n times 64 letters, and FD and an octet for a line: so long lines, and whole transactions, take few octets.
"""

import re
from collections.abc import Iterable, Iterator

from _harness import fuzz, instrumented

with instrumented():
    from smtpcore import (
        LMTP,
        SMTP,
        SUBMISSION,
        BodyAborted,
        BodyBegin,
        BodyChunk,
        BodyEnd,
        Cause,
        Closed,
        Connected,
        Deviation,
        Dialect,
        EarlyInput,
        Limits,
        Peer,
        Question,
        Quirk,
        Reply,
        Secret,
        SecretWanted,
        ServerConfig,
        ServerConnection,
        ServerEvent,
        StoredKey,
        Stray,
        TlsInfo,
        Wait,
    )
    from smtpcore.extensions import (
        AUTH,
        BINARYMIME,
        DSN,
        ETRN,
        LIMITS,
        MT_PRIORITY,
        REQUIRETLS,
        RRVS,
        STANDARD,
        STARTTLS,
        deliver_by,
        future_release,
        no_soliciting,
        xclient,
        xforward,
    )
    from smtpcore.sasl import ANONYMOUS, EXTERNAL, LOGIN, OAUTHBEARER, PLAIN, XOAUTH2, CramMd5, Scram

STEERING = 8
MOST_OCTETS = 400_000
PEER = Peer("192.0.2.1", 40000)
TLS = TlsInfo("TLSv1.3", "TLS_AES_128_GCM_SHA256", None, "client", False, {"tls-server-end-point": b"hash"})
KEY = StoredKey(b"salt", 4096, Secret(b"stored key"), Secret(b"server key"), Secret("password"))
# One that every answer can be compared with has to be the same each time.
MECHANISMS = (
    Scram(name="SCRAM-SHA-256-PLUS", hash_name="sha256", nonce=lambda: "nonce", seed=Secret(b"seed")),
    Scram(name="SCRAM-SHA-256", hash_name="sha256", nonce=lambda: "nonce", seed=Secret(b"seed")),
    CramMd5(nonce=lambda: "nonce"), OAUTHBEARER, XOAUTH2, PLAIN, LOGIN, EXTERNAL, ANONYMOUS,
)  # fmt: skip
EXTENSIONS = (
    *STANDARD, AUTH, STARTTLS, BINARYMIME, DSN, ETRN, LIMITS, MT_PRIORITY, REQUIRETLS, RRVS, deliver_by(60),
    future_release(86400, "2030-01-01T00:00:00Z"), no_soliciting("org.example:ADV"), xclient(lambda peer: True),
    xforward(lambda peer: True),
)  # fmt: skip
LIMITS_OF_ALL = Limits(
    command_octets=512, recipients=100, message_octets=65536, discard_octets=80_000, chunks=5, transactions=5,
    junk_commands=10, output_octets=2000, swallowed_octets=20_000, buffered_octets=16_384,
)  # fmt: skip
DIALECTS = (SMTP, SUBMISSION, LMTP)
LINES = [
    line.encode() + b"\r\n"
    for line in (
        "EHLO c.example", "LHLO c.example", "HELO c", "MAIL FROM:<a@b>", "MAIL FROM:<> BODY=BINARYMIME SMTPUTF8",
        "RCPT TO:<c@d>",
        "RCPT TO:<é@d>", "DATA", ".", "..", "BDAT 3", "BDAT 0 LAST", "BDAT 2 LAST", "RSET", "NOOP", "QUIT",
        "STARTTLS", "AUTH PLAIN AHUAcA==",
        "AUTH LOGIN", "dQ==", "*", "AUTH SCRAM-SHA-256 biwsbj11LHI9YQ==", "AUTH CRAM-MD5 =", "XCLIENT LOGIN=u",
        "XFORWARD NAME=a", "ETRN a", "VRFY a",
        "BDAT x", "GET / HTTP/1.1", "MAIL FROM:<a@b> SIZE=99999999", "BDAT 99999999", "BDAT 70000 LAST",
    )
]  # fmt: skip

REPLY = re.compile(rb"(?:[2-5][0-5][0-9]-[ -~]{0,506}\r\n)*[2-5][0-5][0-9] [ -~]{0,506}\r\n|334 [A-Za-z0-9+/=]*\r\n")


def config(number: int) -> ServerConfig:
    """The config of that number, which the first octet chooses."""
    return ServerConfig(
        hostname="mx.example",
        extensions=EXTENSIONS,
        mechanisms=MECHANISMS,
        limits=LIMITS_OF_ALL,
        stray=list(Stray)[number % 3],
        verify=bool(number & 1),
        quirks=frozenset(Quirk) if number & 2 else frozenset(),
        cleartext_auth=not number & 4,
        auth_required=False if number & 8 else None,
        tls_required=number == 16,
        early_input=EarlyInput.REJECT if number & 16 else EarlyInput.REPORT,
    )


CONFIGS = [config(number) for number in range(32)]


class Application:
    """Answers questions as it is steered: by the next four bits of a few octets, over and over."""

    def __init__(self, connection: ServerConnection, dialect: Dialect, steering: bytes) -> None:
        self.connection = connection
        self.dialect = dialect
        self.receiving = False
        self.rejected = False
        self._answers = [bits for octet in steering for bits in (octet >> 4, octet & 15)]
        self._asked = 0

    def next(self) -> int:
        """The next four bits."""
        self._asked += 1
        return self._answers[self._asked % len(self._answers)]

    def told(self, event: ServerEvent) -> None:
        """A body begins with a yes, and ends once."""
        if isinstance(event, BodyChunk):
            assert self.receiving
            assert event.data
        elif isinstance(event, BodyEnd | BodyAborted):
            assert self.receiving or self.rejected
            self.receiving = False
        elif isinstance(event, Closed):
            assert not self.receiving
        if isinstance(event, Question):
            self.answer(event, self.next())

    def answer(self, question: Question, how: int) -> None:
        """Answer *question*, of sixteen ways in that of the number *how*."""
        connection = self.connection
        self.rejected = False
        if isinstance(question, SecretWanted):
            connection.provide(question, KEY if how else None)
        elif how == 1:
            connection.reject(question, Reply(550, "No", "5.7.1"))
        elif how == 2:
            connection.reject(question, Reply(451, "Not now\nreally", "4.7.1"))
        elif how == 3:
            self.rejected = isinstance(question, BodyEnd)
            connection.reject(question, Reply(421, "Go away"))
        elif isinstance(question, BodyEnd) and connection.envelope is not None and how > 12:
            count = len(connection.envelope.recipients) if self.dialect.per_recipient else 1
            connection.settle(question, [Reply(250 if at % 2 else 550, "é\r\n250") for at in range(count)])
        else:
            plain = isinstance(question, BodyBegin) or how != 4
            connection.accept(
                question, None if plain else Reply(220 if isinstance(question, Connected) else 250, "Yes")
            )
            self.receiving = self.receiving or isinstance(question, BodyBegin)
            if how == 5 and self.receiving and not isinstance(question, BodyEnd):
                connection.discard(Reply(554, "Enough"))
                self.receiving = False
            elif how == 6:
                connection.close()
        assert not connection.awaits_answer


def session(steering: bytes, pieces: Iterable[bytes]) -> tuple[list[ServerEvent], bytes]:
    """All that the application was told, and all that the client was."""
    config = CONFIGS[steering[0] % len(CONFIGS)]
    dialect = DIALECTS[steering[1] // 2 % 3]
    connection = ServerConnection(config, peer=PEER, tls=TLS if steering[1] & 1 else None, dialect=dialect)
    application = Application(connection, dialect, steering[4:])
    events: list[ServerEvent] = []
    output: list[bytes] = []

    def pump() -> Wait:
        while True:
            event = connection.next_event()
            assert connection._link.out_octets <= LIMITS_OF_ALL.output_octets + 8000
            if not isinstance(event, Wait):
                events.append(event)
                application.told(event)
                continue
            output.extend(connection.data_to_send(0.0))
            connection.data_sent(0.0)
            if event is Wait.TLS:
                if application.next() == 1:
                    connection.tls_failed()
                else:
                    connection.tls_started(TLS)
            elif event is not Wait.SEND:
                return event

    wait = pump()
    for piece in pieces:
        if wait is Wait.CLOSED:
            break
        assert wait is Wait.DATA
        assert connection.wants_data, "who waits for octets wants them"
        connection.receive_data(piece, 0.0)
        wait = pump()
        assert len(connection._in) <= max(LIMITS_OF_ALL.auth_octets, LIMITS_OF_ALL.command_octets)
    if wait is not Wait.CLOSED:
        connection.receive_data(b"", 0.0)
        wait = pump()
    assert wait is Wait.CLOSED
    assert [event for event in events if isinstance(event, Closed)] == events[-1:]
    connection.handle_timeout(1e9)
    assert connection.next_event() is Wait.CLOSED
    assert connection.data_to_send(1e9) == []
    return events, b"".join(output)


def cut(octets: bytes, steering: bytes) -> Iterator[bytes]:
    """Pieces of one size, or of many sizes."""
    at = 0
    number = steering[3]
    while at < len(octets):
        number = (number * 1103515245 + 12345) & 0x7FFFFFFF if steering[2] == 0 else number
        size = steering[2] or (number >> 8) % 50 + 1
        yield octets[at : at + size]
        at += size


def joined(events: list[ServerEvent]) -> list[ServerEvent]:
    """Without what may depend on the cuts: the sizes of chunks, and reports of early input."""
    kept: list[ServerEvent] = []
    for event in events:
        if isinstance(event, BodyChunk) and kept and isinstance(kept[-1], BodyChunk):
            kept[-1] = BodyChunk(kept[-1].data + event.data)
        elif event != Deviation("early input"):
            kept.append(event)
    return kept


SHORTHAND = re.compile(rb"([\xfd\xfe])(.)", re.DOTALL)


def expand(shorthand: re.Match[bytes]) -> bytes:
    """What shorthand stands for."""
    number = shorthand[2][0]
    return b"x" * 64 * number if shorthand[1] == b"\xfe" else LINES[number % len(LINES)]


def target(octets: bytes) -> None:
    if len(octets) < STEERING:
        return
    steering, rest = octets[:STEERING], octets[STEERING:]
    sent = SHORTHAND.sub(expand, rest)[:MOST_OCTETS]
    events, output = session(steering, cut(sent, steering))
    lines = output.split(b"\r\n")
    assert lines.pop() == b""
    assert all(len(line) <= 510 or line.startswith(b"334 ") for line in lines)
    assert re.fullmatch(rb"(?:" + REPLY.pattern + rb")*", output)
    # Whether input was early is a matter of time, so it is of the cuts, too.
    early = Closed(Cause.PROTOCOL, "early input")
    whole = session(steering, [sent] if sent else [])
    if early not in (events[-1], whole[0][-1]):
        assert (joined(events), output) == (joined(whole[0]), whole[1])


if __name__ == "__main__":
    fuzz(target)
