"""Between the engine's questions and a `Session`'s answers."""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, assert_never

import trio

from smtpcore import (
    Abort,
    Authenticated,
    AuthFailed,
    BodyAborted,
    BodyBegin,
    BodyChunk,
    BodyEnd,
    Closed,
    Connected,
    Deviation,
    Extended,
    Hello,
    LocalProtocolError,
    MailFrom,
    PasswordCheck,
    Phase,
    Question,
    Quit,
    RcptTo,
    Refused,
    Reply,
    Reset,
    SecretWanted,
    ServerConnection,
    ServerEvent,
    StartTls,
    StoredKey,
    TokenCheck,
    Verify,
    XClient,
)

from ._pump import Pump
from .observe import Observation
from .session import Aborted, Refuse, Session

ServerPump = Pump[ServerConnection, ServerEvent]

logger: Final = logging.getLogger("smtpcore_trio")

LOCAL_ERROR: Final = Reply(421, "Local error, closing connection", "4.3.0")
# RFC 4954 6: "454 4.7.0 Temporary authentication failure"
AUTH_ERROR: Final = Reply(454, "Temporary authentication failure", "4.7.0")


class Conversation:
    """Puts every question of one connection to its session, and survives whatever that does.

    Args:
        pump: of the connection.
        session: the application's.
        refusal: what to say in place of a greeting.
        starttls: whether there can be TLS now.
        auth_delay: seconds before the reply to a failed AUTH.
        session_id: for the log.
        observation: what the pump has, too.
    """

    def __init__(
        self,
        pump: ServerPump,
        session: Session,
        *,
        refusal: Reply | None,
        starttls: Callable[[], bool],
        auth_delay: float,
        session_id: str = "",
        observation: Observation | None = None,
    ) -> None:
        self._pump = pump
        self._connection = pump.connection
        self._session = session
        self._refusal = refusal
        self._starttls = starttls
        self._auth_delay = auth_delay
        self._session_id = session_id
        self.observation = observation

    async def run(self) -> None:
        """Until the connection is closed."""
        while (event := await self._pump.next_event()) is not None:
            await self.take(event)

    async def take(self, event: ServerEvent) -> None:
        """Answer a question; take note of a report."""
        match event:
            case BodyBegin():
                await self._receive(event)
            case Reset():
                try:
                    await self._session.reset()
                except Exception as error:
                    self._failed("reset", error)
            case AuthFailed():
                # Its reply has not left yet. Whoever tries passwords pays with time.
                await trio.sleep(self._auth_delay)
            case BodyChunk() | BodyAborted() | Authenticated() | Refused() | Deviation() | Quit() | Closed():
                pass  # of a message that the session does not want any more, or nothing to it
            case _:
                await self._answer(event)

    async def _answer(self, question: Question) -> None:
        try:
            await self._ask(question)
        except Refuse as refused:
            self.reject(question, refused.reply)
        except Exception as error:
            self._failed(type(question).__name__, error)
            self.reject(question, self._apology(question))

    def reject(self, question: Question, reply: Reply) -> None:
        """Answer no."""
        if self.observation is not None and self._connection.awaits_answer:
            self.observation.rejected(question, reply)
        self._connection.reject(question, reply)

    def _apology(self, question: Question) -> Reply:
        match question:
            case Connected() | Hello():
                return LOCAL_ERROR
            case PasswordCheck() | TokenCheck() | SecretWanted():
                return AUTH_ERROR
            case _:
                return self._connection.replies.aborted

    async def _ask(self, question: Question) -> None:
        connection, session = self._connection, self._session
        reply: Reply | None
        match question:
            case Connected():
                reply = self._refusal or await session.connected(question.peer)
            case Hello():
                reply = await session.hello(question)
            case StartTls():
                reply = None if self._starttls() else connection.replies.tls_unavailable
            case PasswordCheck() | TokenCheck():
                admitted = await session.authenticate(question)
                if not isinstance(admitted, bool):
                    raise TypeError(f"authenticate answers a {type(question).__name__} with a bool")
                reply = None if admitted else connection.replies.auth_failed
            case SecretWanted():
                key = await session.authenticate(question)
                if not isinstance(key, StoredKey) and key is not False:
                    raise TypeError("authenticate answers SecretWanted with a StoredKey or with False")
                connection.provide(question, key or None)
                return
            case MailFrom():
                reply = await session.mail(question)
            case RcptTo():
                reply = await session.rcpt(question)
            case Verify() | Extended() | XClient():
                reply = await session.extended(question)
            case BodyBegin() | BodyEnd():
                raise LocalProtocolError("a message is for Session.data")
            case _:
                assert_never(question)
        if reply is not None and reply.code >= 400:
            self.reject(question, reply)
        else:
            connection.accept(question, reply)

    async def _receive(self, begin: BodyBegin) -> None:
        body = Body(self, self._pump, begin)
        try:
            await body.settle(await self._session.data(body))
        except Refuse as refused:
            await body.settle(refused.reply)
        except Exception as error:
            if not isinstance(error, Aborted):
                self._failed("data", error)
            await body.settle(self._connection.replies.aborted)

    def _failed(self, what: str, error: Exception) -> None:
        peer = self._connection.peer.address or "a local peer"
        logger.error("the session %s of %s failed at %s", self._session_id, peer, what, exc_info=error)


class Body(AsyncIterator[bytes]):
    """The octets of one message, pulled through the pump as they are asked for."""

    def __init__(self, conversation: Conversation, pump: ServerPump, begin: BodyBegin) -> None:
        self._conversation = conversation
        self._pump = pump
        self._connection = pump.connection
        self._question = begin
        self._begin: BodyBegin | None = begin  # until the client was told to send
        self._end: BodyEnd | None = None
        self._abort: Abort | None = None

    async def __anext__(self) -> bytes:
        if self._begin is not None:
            self._go_ahead(self._begin)
        while self._end is None:
            if self._abort is not None:
                raise Aborted(self._abort)
            event = await self._pump.next_event()
            match event:
                case BodyChunk():
                    return event.data
                case BodyEnd():
                    self._end = event
                case BodyAborted():
                    self._abort = event.reason
                case None:
                    self._abort = Abort.LOST
                case _:  # between BDAT chunks a client may say other things
                    await self._conversation.take(event)
        raise StopAsyncIteration

    def _go_ahead(self, begin: BodyBegin) -> None:
        self._begin = None
        self._connection.accept(begin)

    async def settle(self, verdict: Reply | Sequence[Reply]) -> None:
        """Give the session's verdict where the client waits for it, which may be later, or never.

        Raises:
            LocalProtocolError: it is no verdict; nothing has changed then.
        """
        connection, observation = self._connection, self._conversation.observation
        negative = verdict if isinstance(verdict, Reply) and verdict.code >= 400 else None
        if self._begin is not None:
            if negative is not None:
                self._conversation.reject(self._begin, negative)
                return
            self._go_ahead(self._begin)
        if self._abort is None and self._end is None:
            if negative is not None:
                if connection.phase is not Phase.CLOSED:
                    connection.discard(negative)
                    if observation is not None:
                        observation.rejected(self._question, negative)
                return
            async for _octets in self:
                pass
        if self._end is None:
            return
        if isinstance(verdict, Reply):
            if negative is not None:
                connection.reject(self._end, negative)
            else:
                connection.accept(self._end, verdict)
        else:
            connection.settle(self._end, verdict)
        if observation is not None:
            observation.settled(self._end, (verdict,) if isinstance(verdict, Reply) else tuple(verdict))
