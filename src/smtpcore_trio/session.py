"""What an application says to a client: the `Session`, one for each connection.

Every method is asked about one thing and answers by its return value, or from any depth by raising
`Refuse`. Time and cancellation are Trio's; a method may take as long as it needs, and meanwhile nothing
more is read from the client.
"""

from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Protocol, TypeVar

from smtpcore import (
    Abort,
    Closed,
    Envelope,
    Extended,
    Hello,
    Identity,
    Limits,
    MailFrom,
    PasswordCheck,
    Peer,
    RcptTo,
    Reply,
    SecretWanted,
    StoredKey,
    TlsInfo,
    TokenCheck,
    Verify,
    XClient,
)


class Refuse(Exception):
    """Raised by a session to say no.

    Args:
        reply: 4xx or 5xx; after a 421 the connection is closed.

    Raises:
        ValueError: *reply* does not say no.
        TypeError: it is no `Reply`.
    """

    def __init__(self, reply: Reply) -> None:
        given: object = reply
        if not isinstance(given, Reply):
            raise TypeError(f"Refuse takes a Reply, such as Reply(550, 'No'), not {type(given).__name__}")
        if reply.code < 400:
            raise ValueError(f"a {reply.code} reply refuses nothing")
        super().__init__(str(reply))
        self.reply = reply


class Aborted(Exception):
    """Raised by the body that `Session.data` reads: the message will not be completed.

    Drop what was kept of it, and let this pass. The client hears a reply of the engine's, where it is
    still there.
    """

    def __init__(self, reason: Abort) -> None:
        super().__init__(reason.value)
        self.reason = reason


class Facts(Protocol):
    """What is known of a connection at the moment; for reading only."""

    @property
    def session_id(self) -> str:
        """Short, and of this connection alone; it is in every line of a log about it."""

    @property
    def port(self) -> str:
        """The name of the `Port` by which it came."""

    @property
    def peer(self) -> Peer:
        """Who is at the other end."""

    @property
    def tls(self) -> TlsInfo | None:
        """What the TLS layer said; None in the clear."""

    @property
    def hello(self) -> Hello | None:
        """The client's accepted EHLO, HELO or LHLO."""

    @property
    def identity(self) -> Identity | None:
        """Who has authenticated."""

    @property
    def envelope(self) -> Envelope | None:
        """The transaction so far; None where there is none."""

    @property
    def limits(self) -> Limits:
        """The limits in force."""


_T = TypeVar("_T")

Answer = Reply | None | Awaitable[Reply | None]
"""To a question: None is the stock yes."""

Admitted = StoredKey | bool | Awaitable[StoredKey | bool]
"""What `Session.authenticate` says."""


class Session(Protocol):
    """The application's side of one connection.

    Of an `Answer`, None is the stock yes, a 2xx reply is a yes in other words, and a 4xx or 5xx reply is a no.
    `data` is a coroutine function. Any other method may be one, too, or a plain one where it has nothing to wait for,
    which saves a turn of the scheduler: `hello`, `mail` and `rcpt` are then called by the task that reads for all
    connections, in the context of this one, and must not block. An exception other than `Refuse` is logged, and the
    client is told of a local error.

    A session that holds something may have one method more, ``closed``: see `BaseSession.closed`.
    """

    def connected(self, peer: Peer) -> Answer:
        """A client has connected. No: it is told so, and the connection is closed."""

    def hello(self, event: Hello) -> Answer:
        """EHLO, HELO or LHLO. Between BDAT chunks it comes while `data` reads; accepting it aborts that."""

    def authenticate(self, check: PasswordCheck | SecretWanted | TokenCheck) -> Admitted:
        """A password or a token: whether it is right. `SecretWanted`: the key, or False where there is none."""

    def mail(self, event: MailFrom) -> Answer:
        """MAIL: a transaction begins."""

    def rcpt(self, event: RcptTo) -> Answer:
        """RCPT: a recipient more."""

    async def data(self, body: AsyncIterator[bytes]) -> Reply | Sequence[Reply]:
        """A message. The reply to it is what decides whose it is from then on.

        Args:
            body: its octets, unstuffed. They are read from the client only as they are taken here, and
                the client is asked for them only when the first is wanted: a no before that is the reply to
                DATA. Whoever leaves early need not read the rest.

        Returns:
            One reply, or in LMTP one for each recipient.

        Raises:
            Aborted: by *body*.
        """

    def reset(self) -> Awaitable[None] | None:
        """The client has dropped the transaction."""

    def extended(self, question: Verify | Extended | XClient) -> Answer:
        """VRFY, EXPN, XCLIENT or a verb of an extension, where the config lets them be asked."""


async def _answer(given: _T) -> _T:
    return given


class BaseSession:
    """A session with stock answers: whatever is asked is taken, but no credential and no message.

    What its methods return can be awaited, by a coroutine function that takes the place of one and goes on with it.
    """

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def connected(self, peer: Peer) -> Answer:
        """Greet everybody."""
        return _answer(None)

    def hello(self, event: Hello) -> Answer:
        """Greet back."""
        return _answer(None)

    def authenticate(self, check: PasswordCheck | SecretWanted | TokenCheck) -> Admitted:
        """Nobody is known."""
        return _answer(False)

    def mail(self, event: MailFrom) -> Answer:
        """Take any sender."""
        return _answer(None)

    def rcpt(self, event: RcptTo) -> Answer:
        """Take any recipient."""
        return _answer(None)

    async def data(self, body: AsyncIterator[bytes]) -> Reply | Sequence[Reply]:
        """Refuse the message, since nothing is done with it."""
        return Reply(554, "No message is taken here", "5.3.2")

    def reset(self) -> Awaitable[None] | None:
        """Nothing to forget."""
        return _answer(None)

    def closed(self, closed: Closed | None) -> Awaitable[None] | None:
        """The connection is over, also where there was an error: let go of what is held for it.

        It is called once, and may take 5 seconds. A session need not have it.

        Args:
            closed: how it ended; None where it was cut.
        """
        return None

    def extended(self, question: Verify | Extended | XClient) -> Answer:
        """Know no extension."""
        return _answer(Reply(502, "Command not implemented", "5.5.1"))
