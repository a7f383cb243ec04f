"""What the benchmarks of clients drive: the engine, and smtplib, aiosmtplib and smtpproto without a socket.

Each sends 2 KB to one recipient or to more, and is fed the same replies as soon as it waits for them.
"""

import asyncio
import email.message
import io
import smtplib
from collections.abc import Callable
from typing import Any

import aiosmtplib
from smtpproto.protocol import SMTPClientProtocol

from smtpcore import BodyWanted, ClientConnection, Envelope, Mailbox, Recipient, Wait

BODY = b"Subject: bench\r\n\r\n" + (b"x" * 70 + b"\r\n") * 28
HELLO = b"250-mx.example.org\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n"
SENDER = "alice@example.com"

Send = Callable[[], None]


def _recipients(count: int) -> list[str]:
    return [f"user{number}@example.org" for number in range(count)]


def _replies(recipients: int) -> bytes:
    return b"250 2.1.0 Sender ok\r\n" + b"250 2.1.5 Recipient ok\r\n" * recipients + b"354 End data with .\r\n"


_QUEUED = b"250 2.0.0 Message accepted\r\n"


def engine(recipients: int) -> Send:
    """The engine; it is fed what a server says to a group."""
    connection = ClientConnection()
    next_event = connection.next_event
    envelope = Envelope(
        Mailbox.parse(SENDER), tuple(Recipient(Mailbox.parse(address)) for address in _recipients(recipients))
    )

    def exchange(octets: bytes) -> object:
        connection.data_to_send(0.0)
        connection.data_sent(0.0)
        connection.receive_data(octets, 0.0)
        last = None
        while not isinstance(event := next_event(), Wait):
            last = event
        return last

    exchange(b"220 mx.example.org ESMTP\r\n")
    connection.hello("client.example")
    exchange(HELLO)
    envelope_replies = _replies(recipients)

    def send() -> None:
        transaction = connection.send(envelope)
        # What is outstanding is bounded: a long envelope leaves in more than one group.
        assert isinstance(exchange(envelope_replies) if recipients < 100 else _grouped(recipients), BodyWanted)
        connection.send_body(transaction, BODY)
        connection.end_body(transaction)
        exchange(_QUEUED)
        assert transaction.done

    def _grouped(count: int) -> object:
        last = None
        replies = envelope_replies.split(b"\r\n")
        at = 0
        for _ in range(count):
            sent = b"".join(connection.data_to_send(0.0)).count(b"\r\n")
            connection.data_sent(0.0)
            if not sent:
                break
            connection.receive_data(b"\r\n".join(replies[at : at + sent]) + b"\r\n", 0.0)
            at += sent
            while not isinstance(event := next_event(), Wait):
                last = event
        return last

    return send


class _Socket:
    """What smtplib writes to and reads from: replies are there before it asks."""

    def __init__(self) -> None:
        self.replies = io.BytesIO()

    def sendall(self, octets: bytes) -> None:
        """Take *octets*."""

    def makefile(self, _mode: str) -> io.BytesIO:
        """The replies."""
        return self.replies

    def close(self) -> None:
        """Nothing."""

    def put(self, octets: bytes) -> None:
        """Put the replies that come next."""
        self.replies.seek(0)
        self.replies.truncate()
        self.replies.write(octets)
        self.replies.seek(0)


def by_smtplib(recipients: int) -> Send:
    """smtplib, which sends one command at a time."""
    socket = _Socket()
    client = smtplib.SMTP()
    client.sock = socket  # type: ignore[assignment]
    client.file = socket.replies
    socket.put(HELLO)
    client.ehlo("client.example")
    addresses = _recipients(recipients)
    replies = _replies(recipients) + _QUEUED

    def send() -> None:
        socket.put(replies)
        client.sendmail(SENDER, addresses, BODY)

    return send


class _Transport(asyncio.Transport):
    """Answers each write of aiosmtplib with the reply that is due."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol: Any = None
        self.loop = asyncio.get_running_loop()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        verb = bytes(data[:4])
        reply = b"250 2.1.5 Recipient ok\r\n"
        if verb == b"EHLO":
            reply = HELLO
        elif verb == b"DATA":
            reply = b"354 End data with .\r\n"
        self.loop.call_soon(self.protocol.data_received, reply)

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


class Aiosmtplib:
    """aiosmtplib, which sends one command at a time; `close` ends its loop."""

    def __init__(self, recipients: int) -> None:
        self.loop = asyncio.new_event_loop()
        self.client = aiosmtplib.SMTP(
            hostname="mx.example.org", local_hostname="client.example", start_tls=False, timeout=None
        )
        self.addresses = _recipients(recipients)
        self.loop.run_until_complete(self._connect())

    async def _connect(self) -> None:
        transport = _Transport()
        protocol = aiosmtplib.protocol.SMTPProtocol()
        transport.protocol = protocol
        protocol.connection_made(transport)
        self.client.protocol = protocol
        self.client.transport = transport
        self.client._connect_lock = asyncio.Lock()
        await self.client._connect_lock.acquire()
        await self.client.ehlo()

    def send(self, count: int) -> None:
        """Send *count* messages."""

        async def run() -> None:
            for _ in range(count):
                await self.client.sendmail(SENDER, self.addresses, BODY)

        self.loop.run_until_complete(run())

    def close(self) -> None:
        """End the loop."""
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


def by_smtpproto(recipients: int) -> Send:
    """smtpproto's engine, which takes a message as an object of the email package."""
    protocol = SMTPClientProtocol()
    protocol.feed_bytes(b"220 mx.example.org ESMTP\r\n")
    protocol.send_greeting("client.example")
    protocol.get_outgoing_data()
    protocol.feed_bytes(HELLO)
    message = email.message.EmailMessage()
    message["Subject"] = "bench"
    message.set_content(BODY.partition(b"\r\n\r\n")[2].decode().replace("\r\n", "\n"))
    addresses = _recipients(recipients)

    def send() -> None:
        protocol.mail(SENDER)
        protocol.get_outgoing_data()
        protocol.feed_bytes(b"250 2.1.0 Sender ok\r\n")
        for address in addresses:
            protocol.recipient(address)
            protocol.get_outgoing_data()
            protocol.feed_bytes(b"250 2.1.5 Recipient ok\r\n")
        protocol.start_data()
        protocol.get_outgoing_data()
        protocol.feed_bytes(b"354 End data with .\r\n")
        protocol.data(message)
        protocol.get_outgoing_data()
        protocol.feed_bytes(_QUEUED)

    return send
