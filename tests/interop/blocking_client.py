"""The engine's client over a blocking socket: what it takes to use it without any framework."""

import hashlib
import socket
import time
from collections.abc import Sequence
from typing import Self

from interop_servers import PATIENCE, Server

from smtpcore import (
    LMTP,
    SMTP,
    Answer,
    AuthDone,
    Capabilities,
    ClientConfig,
    ClientConnection,
    ClientEvent,
    Envelope,
    HelloDone,
    Outcome,
    Secret,
    TlsInfo,
    Transaction,
    TransactionDone,
    Wait,
)
from smtpcore.sasl import ClientMechanism, client_mechanisms

USUAL_CONFIG = ClientConfig()


class BlockingClient:
    """A connection to *server*; ``events`` is all that it has told.

    Args:
        tls: "clear", "STARTTLS" or "TLS".
        piece: how many octets of a message to give at a time.
    """

    def __init__(
        self, server: Server, tls: str = "STARTTLS", config: ClientConfig = USUAL_CONFIG, *, piece: int = 10_000
    ) -> None:
        self.server = server
        self.events: list[ClientEvent] = []
        self.sent: list[bytes] = []
        self._bodies: dict[Transaction, bytes] = {}
        self.piece = piece
        port = server.tls_port if tls == "TLS" else server.port
        self._socket = socket.create_connection((server.host, port), timeout=PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        info = self._handshake() if tls == "TLS" else None
        self.connection = ClientConnection(config, tls=info, dialect=LMTP if server.lmtp else SMTP)
        try:
            self.run()
            self.hello()
            if tls == "STARTTLS":
                self.connection.start_tls()
                self.run()
                self.hello()
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def run(self, until_given: Transaction | None = None) -> list[ClientEvent]:
        """Carry on until the next move is the caller's, or all is over; what was told on the way.

        Or until all of that message was given, and nothing was heard of it.
        """
        before = len(self.events)
        while (event := self.connection.next_event()) is not Wait.CLOSED:
            if event is Wait.INTENT and not self._give():
                break
            if until_given is not None and until_given not in self._bodies:
                break
            if not isinstance(event, Wait):
                self.events.append(event)
            elif event is Wait.DATA:
                self._flush()
                self.connection.receive_data(self._socket.recv(65_536), time.monotonic())
            elif event is Wait.TLS:
                self._flush()
                self.connection.tls_started(self._handshake())
        self._flush()
        return self.events[before:]

    def _flush(self) -> None:
        octets = b"".join(self.connection.data_to_send(time.monotonic()))
        if octets:
            self.sent.append(octets)
            self._socket.sendall(octets)
            self.connection.data_sent(time.monotonic())

    def _give(self) -> bool:
        """Give a piece of a message to the connection, if it wants any."""
        for transaction, rest in self._bodies.items():
            if transaction.wants_body:
                if rest:
                    self.connection.send_body(transaction, rest[: self.piece])
                    self._bodies[transaction] = rest[self.piece :]
                else:
                    self.connection.end_body(transaction)
                    del self._bodies[transaction]
                self._flush()
                return True
        return False

    def _handshake(self) -> TlsInfo:
        context = self.server.certificate.context()
        self._socket = wrapped = context.wrap_socket(self._socket, server_hostname="localhost")
        certificate = wrapped.getpeercert(binary_form=True)
        assert certificate is not None
        return TlsInfo(
            version=wrapped.version() or "",
            server_name="localhost",
            verified=True,
            channel_bindings={"tls-server-end-point": hashlib.sha256(certificate).digest()},
        )

    # --- what the tests say ------------------------------------------------------------------------

    def hello(self) -> Capabilities:
        self.connection.hello("client.example")
        (done,) = [each for each in self.run() if isinstance(each, HelloDone)]
        assert done.reply.code == 250, done
        return done.capabilities

    def authenticate(self, mechanism: ClientMechanism | None = None) -> AuthDone:
        """By *mechanism*; else by the strongest."""
        if mechanism is None:
            secret = Secret(self.server.password)
            mechanism = self.connection.choose(client_mechanisms(self.server.user, secret))
        assert mechanism is not None
        self.connection.authenticate(mechanism)
        (done,) = [each for each in self.run() if isinstance(each, AuthDone)]
        return done

    def submit(self, envelope: Envelope, body: bytes) -> Transaction:
        """Say that this is to be sent; `run` sends it."""
        transaction = self.connection.send(envelope)
        self._bodies[transaction] = body
        return transaction

    def send(self, envelope: Envelope, body: bytes) -> Sequence[Outcome]:
        transaction = self.submit(envelope, body)
        events = self.run()
        assert [each for each in events if isinstance(each, TransactionDone)] == [TransactionDone(transaction)]
        assert transaction.done
        return transaction.outcomes

    def code(self) -> int:
        """The reply to the command that was said last."""
        (answer,) = [each for each in self.run() if isinstance(each, Answer)]
        return answer.reply.code
