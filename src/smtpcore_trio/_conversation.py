"""Between the engine's questions and a `Session`'s answers."""

import functools
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

import trio

from smtpcore import (
    Abort,
    AuthFailed,
    BodyAborted,
    BodyBegin,
    BodyChunk,
    BodyEnd,
    Closed,
    Connected,
    Extended,
    Hello,
    MailFrom,
    PasswordCheck,
    Phase,
    Question,
    RcptTo,
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
    safe,
)

from ._pump import Pump
from .observe import Observation
from .session import Aborted, Answer, BaseSession, Refuse, Session

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
        self.closed: Closed | None = None
        """What has ended the session; what is under way then is its last words."""
        self._hooks = plain_hooks(type(session))
        # What a method has answered that was called too early to be waited for.
        self._begun: tuple[Question, Awaitable[Reply | None]] | None = None

    async def run(self) -> None:
        """Until the connection is closed."""
        pump = self._pump
        pump.answer = self.answer
        try:
            while (event := await pump.next_event()) is not None:
                await self.take(event)
        finally:
            pump.answer = None
            if self._begun is not None and isinstance(self._begun[1], Coroutine):
                self._begun[1].close()

    def answer(self, event: ServerEvent) -> bool:
        """Deal with *event*, if that needs no waiting; whether it has."""
        hook = self._hooks.get(type(event))
        if hook is None:
            return False
        question: Any = event  # one of `Asked`, as the table says
        try:
            answer = hook(self._session, question)
            if answer is not None and not isinstance(answer, Reply):
                self._begun = question, answer
                return False
            self._give(question, answer)
        except Exception as error:
            self._give_up(question, error)
        return True

    async def take(self, event: ServerEvent) -> None:
        """Answer a question; take note of a report."""
        ask = _ASKED.get(type(event))
        if ask is None:
            await self._take_other(event)
            return
        question: Any = event  # one of `Asked`, as the table says
        try:
            if self._begun is None:
                answer = ask(self, question)
            else:
                answer, self._begun = self._begun[1], None
            if answer is not None and not isinstance(answer, Reply):
                if not inspect.isawaitable(answer):
                    raise _no_answer(question, answer)
                answer = await answer
                if answer is not None and not isinstance(answer, Reply):
                    raise _no_answer(question, answer)
            self._give(question, answer)
        except Exception as error:
            self._give_up(question, error)

    def _give(self, question: "Asked", reply: Reply | None) -> None:
        if isinstance(question, Connected):
            self._pump.hear(trio.current_time())  # whether the client has waited for the greeting
        if reply is None or reply.code < 400:
            self._connection.accept(question, reply)
        else:
            self.reject(question, reply)

    def _give_up(self, question: Question, error: Exception) -> None:
        if isinstance(error, Refuse):
            self.reject(question, error.reply)
        else:
            self._failed(type(question).__name__, error)
            self.reject(question, self._apology(question))

    async def _take_other(self, event: ServerEvent) -> None:
        match event:
            case BodyBegin():
                await self._receive(event)
            case SecretWanted():
                await self._provide(event)
            case Reset():
                try:
                    waiting = self._session.reset()
                    if inspect.isawaitable(waiting):
                        await waiting
                except Exception as error:
                    self._failed("reset", error)
            case AuthFailed():
                # Its reply has not left yet. Whoever tries passwords pays with time.
                await trio.sleep(self._auth_delay)
            case Closed():
                self.closed = event
            # Anything else is of a message that the session does not want any more, or nothing to it.

    def reject(self, question: Question, reply: Reply) -> None:
        """Answer no."""
        if self.observation is not None and self._connection.awaits_answer:
            self.observation.rejected(question, reply)
        self._connection.reject(question, reply)

    def give_up(self, question: Question) -> None:
        """Answer for a session that was interrupted."""
        self.reject(question, self._connection.replies.aborted)

    def _apology(self, question: Question) -> Reply:
        match question:
            case Connected() | Hello():
                return LOCAL_ERROR
            case PasswordCheck() | TokenCheck() | SecretWanted():
                return AUTH_ERROR
            case _:
                return self._connection.replies.aborted

    def _greet(self, question: Connected) -> Answer:
        return self._refusal or self._session.connected(question.peer)

    def _start_tls(self, _question: StartTls) -> Answer:
        return None if self._starttls() else self._connection.replies.tls_unavailable

    async def _check(self, question: PasswordCheck | TokenCheck) -> Reply | None:
        admitted = await self._authenticate(question)
        if not isinstance(admitted, bool):
            raise _no_admission(question, admitted, "a bool")
        return None if admitted else self._connection.replies.auth_failed

    async def _authenticate(self, question: PasswordCheck | TokenCheck | SecretWanted) -> StoredKey | bool:
        admitted = self._session.authenticate(question)
        return await admitted if inspect.isawaitable(admitted) else admitted

    async def _provide(self, question: SecretWanted) -> None:
        try:
            key = await self._authenticate(question)
            if not isinstance(key, StoredKey) and key is not False:
                raise _no_admission(question, key, "a StoredKey or False")
            self._connection.provide(question, key or None)
        except Exception as error:
            self._give_up(question, error)

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
                case Hello() | Verify() | Extended() | XClient():  # between BDAT chunks a client may ask other things
                    try:
                        await self._conversation.take(event)
                    except BaseException:  # the session gives up the message while it is asked
                        self._conversation.give_up(event)
                        raise
                case _:
                    await self._conversation.take(event)
        raise StopAsyncIteration

    def _go_ahead(self, begin: BodyBegin) -> None:
        self._begin = None
        self._connection.accept(begin)

    async def settle(self, verdict: Reply | Sequence[Reply]) -> None:
        """Give the session's verdict where the client waits for it, which may be later, or never.

        Raises:
            LocalProtocolError, TypeError: it is no verdict; nothing has changed then.
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
            connection.settle(self._end, _verdicts(verdict))
        if observation is not None:
            observation.settled(self._end, (verdict,) if isinstance(verdict, Reply) else tuple(verdict))


def _verdicts(given: object) -> Sequence[Reply]:
    """What `Session.data` has returned, if it is no one reply."""
    if not isinstance(given, Sequence) or not all(isinstance(each, Reply) for each in given):
        raise TypeError(f"Session.data returned {_shown(given)}, not a Reply")
    return given


def _no_answer(question: "Asked", given: object) -> TypeError:
    method = _METHODS.get(type(question), "extended")
    return TypeError(f"Session.{method} returned {_shown(given)}, not a Reply or None")


def _no_admission(question: Question, given: object, wanted: str) -> TypeError:
    # Which may be a secret.
    kind = "None" if given is None else type(given).__name__
    return TypeError(f"Session.authenticate returned {kind} for a {type(question).__name__}, not {wanted}")


def _shown(given: object) -> str:
    return "None" if given is None else f"{type(given).__name__} {safe(repr(given), 100)}"


Asked = Connected | Hello | StartTls | PasswordCheck | TokenCheck | MailFrom | RcptTo | Verify | Extended | XClient

Hook = Callable[[Session, Any], Answer]

# The questions that a method answers with a reply, or with None for the stock yes.
_ASKED: Final[Mapping[type, Callable[[Conversation, Any], Answer]]] = {
    MailFrom: lambda self, question: self._session.mail(question),
    RcptTo: lambda self, question: self._session.rcpt(question),
    Hello: lambda self, question: self._session.hello(question),
    Verify: lambda self, question: self._session.extended(question),
    Extended: lambda self, question: self._session.extended(question),
    XClient: lambda self, question: self._session.extended(question),
    Connected: Conversation._greet,
    StartTls: Conversation._start_tls,
    PasswordCheck: Conversation._check,
    TokenCheck: Conversation._check,
}


# Those of a session's methods that are called before its task is woken, in case they are plain functions.
_HOOKS: Final[Mapping[type, tuple[str, Hook]]] = {
    MailFrom: ("mail", lambda session, question: session.mail(question)),
    RcptTo: ("rcpt", lambda session, question: session.rcpt(question)),
    Hello: ("hello", lambda session, question: session.hello(question)),
}

# What those of a session that put questions are called; others are `extended`.
_METHODS: Final = {Connected: "connected", **{question: name for question, (name, _) in _HOOKS.items()}}


def _or_stock_yes(name: str, call: Hook) -> Hook:
    """*call*, but where the method is the stock one nothing is made that would have to be waited for."""
    stock = getattr(BaseSession, name)

    def hook(session: Session, question: Any) -> Answer:
        # One session may have a method of its own, which may be there to refuse.
        if getattr(getattr(session, name), "__func__", None) is stock:
            return None
        return call(session, question)

    return hook


@functools.lru_cache(maxsize=256)
def plain_hooks(kind: type[Session]) -> Mapping[type, Hook]:
    """How sessions of *kind* answer questions, as far as that needs no waiting."""
    hooks: dict[type, Hook] = {}
    for question, (name, call) in _HOOKS.items():
        method = getattr(kind, name, None)
        if method is getattr(BaseSession, name):
            hooks[question] = _or_stock_yes(name, call)
        elif not inspect.iscoroutinefunction(method):
            hooks[question] = call
    return hooks


@functools.lru_cache(maxsize=256)
def reads_bodies(kind: type[Session]) -> bool:
    """Whether `Session.data` of *kind* can wait for a body, as far as *kind* tells."""
    method = getattr(kind, "data", None)
    return method is None or inspect.iscoroutinefunction(inspect.unwrap(method))
