"""`ServerConnection`: the server's side of an SMTP, submission or LMTP session, without I/O.

Theory of operation. Octets and time come in by the methods that take them; `next_event` parses just
enough to say one thing; what is to be sent gathers until `data_to_send`. While a question is open
nothing behind it is parsed, because what it means may hang on the answer: after DATA the same octets
are a message or commands. Every move to another phase follows an `Edge` of the table (`_machine`
and the files of the extensions).
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from ._config import ServerConfig
from ._deadlines import DEADLINES, Deadline
from ._dialect import SMTP, Dialect
from ._errors import LocalProtocolError
from ._events import (
    BodyBegin,
    BodyEnd,
    Cause,
    Connected,
    Extended,
    Hello,
    MailFrom,
    PasswordCheck,
    Peer,
    Question,
    RcptTo,
    SecretWanted,
    ServerEvent,
    StartTls,
    TlsInfo,
    TokenCheck,
    Verify,
    Wait,
    XClient,
)
from ._machine import COMMAND_PHASES, Phase
from ._reading import STEPS, Reading
from ._reply import Reply
from .sasl import StoredKey

Acceptable = (
    Connected
    | Hello
    | PasswordCheck
    | TokenCheck
    | StartTls
    | MailFrom
    | RcptTo
    | BodyBegin
    | BodyEnd
    | Verify
    | Extended
    | XClient
)
"""The questions that have a yes; `SecretWanted` has `provide` instead."""

# Members of an enum are looked up by Python code in CPython 3.11: too slow for every command.
_REPLY: Final = Wait.REPLY
_CLOSED: Final = Phase.CLOSED
_TLS: Final = Phase.TLS
_BODY_PHASES: Final = frozenset((Phase.BODY, Phase.CHUNK))
_LINE_PHASES: Final = frozenset((*COMMAND_PHASES, Phase.AUTH))
_IDLE_PHASES: Final = _LINE_PHASES - {Phase.BDAT}


class ServerConnection(Reading):
    """One session with one client.

    Args:
        config: how to behave.
        peer: who is at the other end.
        tls: of a connection that began with TLS (RFC 8314); None in the clear.
        dialect: SMTP, SUBMISSION or LMTP.

    Raises:
        LocalProtocolError: the config does not suit the dialect.

    Feed it with `receive_data`, ask `next_event`, answer its questions, send what `data_to_send`
    returns, and call `handle_timeout` at `next_deadline`.
    """

    __slots__ = ()

    def __init__(
        self, config: ServerConfig, *, peer: Peer, tls: TlsInfo | None = None, dialect: Dialect = SMTP
    ) -> None:
        super().__init__(config, peer, tls, dialect)

    # --- in ----------------------------------------------------------------------------------------

    def receive_data(self, data: bytes, now: float) -> None:
        """Feed what was read; ``b""`` is the end of the stream.

        Raises:
            LocalProtocolError: octets after the end, or instead of a TLS handshake.
        """
        link, received = self._link, self._in
        if link.pending:
            link.touch(now)
        if self._phase is _CLOSED:
            return
        if not data:
            received.eof = True
            return
        if received.eof:
            raise LocalProtocolError("octets after the end of the stream")
        if self._phase is _TLS:
            raise LocalProtocolError("octets during the TLS handshake are for the TLS layer")
        received.feed(data)
        link.waiting = False
        if self._drain or self._phase in _BODY_PHASES:
            link.body_moved(len(data), now)

    def handle_timeout(self, now: float) -> None:
        """Say that it is *now*; what has expired takes effect. Calling it too early does nothing."""
        link = self._link
        if link.pending:
            link.touch(now)
        for deadline in link.clock.expired(now):
            row = DEADLINES[deadline]
            if row.peer_only and not link.waiting:
                link.restart(deadline, now)
            elif self._question is not None and row.reply is not None:
                link.clock.disarm(deadline)
                self._closing = (Cause.TIMED_OUT, deadline.value, getattr(self._replies, row.reply))
            else:
                # In the middle of a handshake nothing may be said in the clear.
                self._expire(deadline, None if self._phase is _TLS else row.reply)
                break

    def _expire(self, deadline: Deadline, reply: str | None) -> None:
        if reply is None:  # a reply would not get through
            self._link.take()
            self._link.clock.disarm(deadline)
        if self._phase is not _CLOSED:
            missed = self._link.missed(deadline)
            self._close(Cause.TIMED_OUT, missed, None if reply is None else getattr(self._replies, reply))

    def tls_started(self, info: TlsInfo) -> None:
        """The handshake that `Wait.TLS` asked for is done. All that the client said before is forgotten.

        Raises:
            LocalProtocolError: no handshake was asked for.
        """
        self._handshaken()
        self._link.disarm(Deadline.TLS)
        # RFC 3207 4.2: "Upon completion of the TLS handshake, the SMTP protocol is reset to the initial state".
        self._tls = info
        self._hello = None
        self._identity = None
        self._offered = frozenset()
        self._drop()
        self._open_gates()
        self._go(self._row("handshake").edge.ok)
        self._link.arm_soon(Deadline.COMMAND)

    def tls_failed(self) -> None:
        """The handshake failed; there is no way back to the clear.

        Raises:
            LocalProtocolError: no handshake was asked for.
        """
        self._handshaken()
        self._close(Cause.TLS_FAILED)

    def _handshaken(self) -> None:
        if self._phase is not Phase.TLS:
            raise LocalProtocolError("no TLS handshake was asked for")

    # --- out ---------------------------------------------------------------------------------------

    def data_to_send(self, now: float) -> list[bytes]:
        """All octets to send, which are taken by this call; after sending them call `data_sent`.

        Call it before every wait: the client's time to answer begins here.
        """
        link = self._link
        if link.pending:
            link.touch(now)
        return link.leave(now, answered=self._phase in _LINE_PHASES and not self._drain)

    def data_sent(self, now: float) -> None:
        """What `data_to_send` returned has left."""
        link = self._link
        if link.pending:
            link.touch(now)
        link.left()

    def next_deadline(self) -> float:
        """When to call `handle_timeout`; ``math.inf`` for never."""
        return self._link.next_deadline()

    def next_event(self) -> ServerEvent | Wait:
        """The next thing that happened, or what to do before something can.

        Never raises, whatever the peer sent.
        """
        while True:
            if self._reports:
                return self._reports.popleft()
            if self._question is not None:
                return _REPLY
            if self._closing is not None and self._close_if_idle():
                continue
            event = self._read_drain() if self._drain else STEPS[self._phase](self)
            if event is not None:
                return event

    # --- answers -----------------------------------------------------------------------------------

    def accept(self, to: Acceptable, reply: Reply | None = None) -> None:
        """Answer yes, with the stock reply or with *reply*.

        Raises:
            LocalProtocolError: *to* is not the open question, or *reply* does not say yes to it.
        """
        if to is not self._question:
            self._stale(to)
            return
        answer = _ACCEPT.get(type(to))
        if answer is None:
            raise LocalProtocolError(f"{type(to).__name__} is not answered by accept")
        if reply is not None and not 200 <= reply.code <= 299 and type(to) is not BodyBegin:
            raise LocalProtocolError(f"a {reply.code} reply accepts nothing")
        answer(self, to, reply)

    def reject(self, to: Question, reply: Reply) -> None:
        """Answer no. A 421 closes the connection after it.

        Raises:
            LocalProtocolError: *to* is not the open question, or *reply* does not say no.
        """
        if to is not self._question:
            self._stale(to)
            return
        if reply.code < 400:
            raise LocalProtocolError(f"a {reply.code} reply rejects nothing")
        self._question = None
        if isinstance(to, Connected | Hello):
            # RFC 2034 4: no enhanced status code in the greeting, nor in a reply to EHLO or HELO.
            self._link.send(reply.wire(False))
            if isinstance(to, Connected) or reply.code == 421:
                self._close(Cause.REJECTED)
        elif isinstance(to, BodyEnd):
            self._verdict([reply] * self._verdicts)
        elif reply.code == 421:
            self._close(Cause.REJECTED, "", reply)
        elif isinstance(to, PasswordCheck | TokenCheck | SecretWanted):
            assert self._exchange is not None
            self._exchange.rejection = reply
            self._auth_step(self._exchange.resume(None if isinstance(to, SecretWanted) else False))
        elif isinstance(to, BodyBegin) and to.verb == "BDAT":
            self._refuse_chunk(reply, report=False)
        else:
            self._say(reply)
            self._go(self._edge.no)
            if isinstance(to, BodyBegin):
                self._end_if_sent_ahead()

    def provide(self, to: SecretWanted, key: StoredKey | None) -> None:
        """Answer with what is kept for the user; None where there is nothing, or it must not be used.

        Raises:
            LocalProtocolError: *to* is not the open question.
        """
        if to is not self._question:
            self._stale(to)
            return
        if not isinstance(to, SecretWanted):
            raise LocalProtocolError(f"{type(to).__name__} is not answered by provide")
        assert self._exchange is not None
        self._question = None
        self._auth_step(self._exchange.resume(key))

    def settle(self, to: BodyEnd, verdicts: Sequence[Reply]) -> None:
        """Answer with one reply for each accepted recipient, in their order (LMTP: RFC 2033 section 4.2).

        Raises:
            LocalProtocolError: *to* is not the open question, or there is not one final reply each.
        """
        if to is not self._question:
            self._stale(to)
            return
        if not isinstance(to, BodyEnd):
            raise LocalProtocolError(f"{type(to).__name__} is not answered by settle")
        if len(verdicts) != self._verdicts:
            raise LocalProtocolError(f"{self._verdicts} verdicts are wanted, not {len(verdicts)}")
        if any(300 <= each.code <= 399 for each in verdicts):
            raise LocalProtocolError("a 3xx reply is no verdict")
        self._verdict(verdicts)

    def discard(self, reply: Reply) -> None:
        """Give up on the message that is coming in: consume the rest of it, then say *reply*.

        Raises:
            LocalProtocolError: no message is coming in, or *reply* does not say no.
        """
        if self._body is None or self._phase is Phase.EOM:
            raise LocalProtocolError("no message is coming in")
        if reply.code < 400:
            raise LocalProtocolError(f"a {reply.code} reply rejects nothing")
        if not self._body.refused:
            self._body.refuse(reply)

    def close(self, reply: Reply | None = None) -> None:
        """End the session in good order: *reply*, by default 421, at the next moment that one is legal.

        A message that is coming in is let in first, and its verdict given. Ask `next_event` after it.

        Raises:
            LocalProtocolError: *reply* is not a 4xx or 5xx.
        """
        reply = self._replies.shutting_down if reply is None else reply
        if reply.code < 400:
            raise LocalProtocolError(f"a {reply.code} reply closes no session")
        if self._phase is not _CLOSED:
            self._closing = (Cause.SHUTDOWN, "", reply)
            self._close_if_idle()

    def _close_if_idle(self) -> bool:
        """End a session that is to end, if this is a legal moment; whether it was."""
        if self._closing is None or self._question is not None or self._drain or self._phase not in _IDLE_PHASES:
            return False
        self._close(*self._closing)
        return True

    def _stale(self, to: Question) -> None:
        if to is not self._orphan:
            raise LocalProtocolError(f"{type(to).__name__} is not the open question")
        self._orphan = None  # the session ended while the application thought about it

    # --- what a yes does -----------------------------------------------------------------------------

    def _accept_connected(self, to: Connected, reply: Reply | None) -> None:
        self._question = None
        if len(self._in) and self._early_input():
            return
        # RFC 2034 4: no enhanced status code in the greeting.
        self._link.send((reply or self._replies.greeting).wire(False))
        self._go(self._edge.ok)

    def _accept_hello(self, to: Hello, reply: Reply | None) -> None:
        self._question = None
        self._reset()
        self._hello = to
        reply = reply or self._replies.hello
        offers = {}
        if to.verb != "HELO":
            offers = {each.keyword: each.offer(self) for each in self._plan.config.extensions}
        lines = [reply.text, *(f"{keyword} {words}".rstrip() for keyword, words in offers.items() if words is not None)]
        self._offered = frozenset(keyword for keyword, words in offers.items() if words is not None)
        self._link.send(Reply(reply.code, "\n".join(lines)).wire(False))
        self._go(self._edge.ok)

    def _accept_start_tls(self, to: StartTls, reply: Reply | None) -> None:
        self._question = None
        # RFC 3207 4.2 and 6: what was sent in the clear behind STARTTLS must not be taken for what
        # came through TLS. Nothing good sends it.
        if len(self._in):
            self._close(Cause.PROTOCOL, "early input", self._replies.early_input)
            return
        self._say(reply or self._replies.ready_for_tls)
        self._go(self._edge.ok)
        self._link.arm_soon(Deadline.TLS)

    def _accept_auth(self, to: PasswordCheck | TokenCheck, reply: Reply | None) -> None:
        assert self._exchange is not None
        self._question = None
        self._exchange.acceptance = reply
        self._auth_step(self._exchange.resume(True))

    def _accept_mail(self, to: MailFrom, reply: Reply | None) -> None:
        self._question = None
        self._sender = to
        self._transactions += 1
        self._discarded = 0
        self._pursued = 0
        self._surplus = 0
        self._say(self._replies.sender_ok if reply is None else reply)
        self._go(self._edge.ok)

    def _accept_rcpt(self, to: RcptTo, reply: Reply | None) -> None:
        self._question = None
        self._recipients.append(to)
        self._say(self._replies.recipient_ok if reply is None else reply)
        self._go(self._edge.ok)

    def _accept_body_begin(self, to: BodyBegin, reply: Reply | None) -> None:
        if reply is not None and (to.verb == "BDAT" or reply.code != 354):
            raise LocalProtocolError("DATA is accepted with 354, and BDAT with its octets' end")
        self._question = None
        self._go(self._edge.ok)
        if to.verb == "DATA":
            self._begin_body(dots=True)
            self._say(reply or self._replies.start_mail_input)
        else:
            self._begin_body(dots=False).begin_chunk(*self._chunk)

    def _accept_body_end(self, to: BodyEnd, reply: Reply | None) -> None:
        self._verdict([reply or self._replies.accepted] * self._verdicts)

    def _verdict(self, verdicts: Sequence[Reply]) -> None:
        self._question = None
        # RFC 5321 4.1.1.4: the transaction is over, whether the message was taken or not.
        self._drop()
        self._junk = 0
        self._go(self._edge.ok)
        closes = False
        for verdict in verdicts:
            self._say(verdict)
            if verdict.code == 421:
                closes = True
        if closes:
            self._close(Cause.REJECTED)

    def _accept_verify(self, to: Verify, reply: Reply | None) -> None:
        self._question = None
        reply = reply or self._replies.cannot_verify
        # RFC 6531 3.7.4.2: a client that said SMTPUTF8 takes UTF-8 in this reply.
        self._link.send(reply.encode(enhanced=self._enhanced, utf8=to.smtputf8))

    def _accept_extended(self, to: Extended, reply: Reply | None) -> None:
        self._question = None
        verb = self._row(to.verb).verb
        assert verb is not None
        self._say(reply or getattr(self._replies, verb.ok))
        self._go(self._edge.ok)

    def _accept_xclient(self, to: XClient, reply: Reply | None) -> None:
        self._question = None
        # A new session, so it is not known who the client is, but for what the application knows.
        self._hello = None
        self._identity = None
        self._offered = frozenset()
        self._open_gates()
        self._link.send((reply or self._replies.greeting).wire(False))
        self._go(self._edge.ok)


_ACCEPT: Final[dict[type[Any], Callable[[ServerConnection, Any, Reply | None], None]]] = {
    Connected: ServerConnection._accept_connected,
    Hello: ServerConnection._accept_hello,
    PasswordCheck: ServerConnection._accept_auth,
    TokenCheck: ServerConnection._accept_auth,
    StartTls: ServerConnection._accept_start_tls,
    MailFrom: ServerConnection._accept_mail,
    RcptTo: ServerConnection._accept_rcpt,
    BodyBegin: ServerConnection._accept_body_begin,
    BodyEnd: ServerConnection._accept_body_end,
    Verify: ServerConnection._accept_verify,
    Extended: ServerConnection._accept_extended,
    XClient: ServerConnection._accept_xclient,
}
