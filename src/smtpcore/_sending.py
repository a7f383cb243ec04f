"""Messages: MAIL, RCPT, DATA or BDAT, the message itself, and what became of it.

Every command of a transaction is issued at once, and leaves as soon as it may; so without PIPELINING the
same code waits for each reply. What turns out to be of no use, since MAIL or every RCPT was refused, is
dropped where it has not left yet; where it has, its reply is awaited like any other.
"""

from collections import deque
from typing import Final

from ._client_events import Answer, BodyWanted, MessageAnswer, RecipientAnswer, SenderAnswer
from ._commands import Command, encode_line
from ._composing import NO_MORE_MAIL, Composition, check_envelope, compose, divide
from ._dialling import EDGES, HANDLERS, Awaited, AwaitedChunk, Dialling
from ._envelope import Envelope
from ._errors import LocalProtocolError
from ._events import Cause, Violation
from ._machine import Phase
from ._outgoing import OutgoingBody
from ._reply import Reply, safe
from ._transaction import Fate, Outcome, Transaction

_DATA: Final = Command("DATA")
_RSET: Final = Command("RSET")
_END: Final = Command(".")
_DATA_LINE: Final = b"DATA\r\n"
_RSET_LINE: Final = b"RSET\r\n"
_LONE_DOT: Final = b".\r\n"
_MAIL_EDGE: Final = EDGES["MAIL"]
_RCPT_EDGE: Final = EDGES["RCPT"]
_DATA_EDGE: Final = EDGES["DATA"]
_BDAT_EDGE: Final = EDGES["BDAT"]
_VERDICT_EDGE: Final = EDGES["verdict"]
_RSET_EDGE: Final = EDGES["RSET"]
# Members of an enum are looked up by Python code in CPython 3.11: too slow for every recipient.
_ACCEPTED: Final = Fate.ACCEPTED
_REFUSED: Final = Fate.REFUSED
_CHUNK: Final = Phase.CHUNK


class Sending(Dialling):
    """What the application does with messages, and the replies to it."""

    __slots__ = ()

    def send(self, envelope: Envelope) -> Transaction:
        """Begin a transaction: MAIL, RCPT for each recipient, and DATA, in groups where PIPELINING is offered.

        `BodyWanted` follows, or `TransactionDone`. What the server cannot do for the message, by its reply to
        EHLO, refuses the message or the recipient here, and nothing is sent; so do its LIMITS, with UNSENT
        (see `divide`). With PIPELINING it may be called while the verdict over the message before is awaited.

        Raises:
            LocalProtocolError: this is not the moment, or a part of *envelope* cannot be sent to anybody.
        """
        self._intend("MAIL", group=True)
        check_envelope(envelope)
        composition = compose(
            envelope, self._capabilities, self._config, verified=self._tls is not None and self._tls.verified
        )
        limits = self._limits
        body = OutgoingBody(
            self._config.stray,
            chunking=composition.chunking,
            binary=composition.binary,
            eight_bit=composition.eight_bit,
            chunk_octets=limits.chunk_octets,
        )
        transaction = Transaction(envelope, body)
        for index, fate, reply in composition.decided:
            transaction._decide(index, fate, reply, local=True)
        full = self._mail_most is not None and self.transactions_left == 0
        commands = [] if full else self._commands(transaction, composition)
        self._transactions.append(transaction)
        if not commands:
            fate, refusal = (Fate.UNSENT, NO_MORE_MAIL) if full else (_REFUSED, composition.refused)
            transaction._rest = (fate, refusal, True)
            self._finish(transaction)
            return transaction
        transaction._rcpts_left = len(composition.rcpts)
        transaction._outstanding = len(commands)
        self._sent_transactions += 1
        if self._dirty:
            self._dirty = False
            self._todo.append(Awaited(_RSET_EDGE, _RSET, _RSET_LINE))
        self._todo.extend(commands)
        self._release()
        return transaction

    def _commands(self, transaction: Transaction, composition: Composition) -> list[Awaited]:
        rcpts = composition.rcpts
        if not rcpts:
            return []
        most = self._limits.command_octets
        mail = composition.mail
        commands = [Awaited(_MAIL_EDGE, Command("MAIL", mail[5:]), encode_line(mail, most), transaction)]
        for index, rcpt in rcpts:
            commands.append(Awaited(_RCPT_EDGE, Command("RCPT", rcpt[5:]), encode_line(rcpt, most), transaction, index))
        if not composition.chunking:
            commands.append(Awaited(_DATA_EDGE, _DATA, _DATA_LINE, transaction))
        return commands

    def divide(self, envelope: Envelope) -> tuple[Envelope, ...]:
        """*envelope* as several where the server's LIMITS (RFC 9422) want fewer recipients in a transaction.

        Raises:
            LocalProtocolError: it is none.
        """
        check_envelope(envelope)
        return divide(envelope, self._capabilities)

    def send_body(self, transaction: Transaction, octets: bytes) -> None:
        """Give octets of the message, in canonical form or as `ClientConfig.stray` permits, in any pieces.

        They gather until `data_to_send`; call that before giving more than memory has room for, and mind
        `Transaction.wants_body`. What comes after the server has refused the message is dropped.

        Raises:
            StrayOctets: they hold a bare CR, a bare LF or a NUL that the policy refuses. Nothing was taken.
            LocalProtocolError: the server has not asked for this message, its end was given, or the octets
                are beyond ASCII where BODY=8BITMIME was not said, or are not `bytes`.
        """
        if not self._takes_body(transaction):
            return
        encoded = transaction._body.give(octets)
        if encoded:
            self._link.send(encoded)
        elif transaction._body.full:
            self._send_chunks(transaction)

    def end_body(self, transaction: Transaction) -> None:
        """The message is complete; DATA ends a last line that has no end.

        Raises:
            StrayOctets: it ends with a bare CR, which the policy refuses.
            LocalProtocolError: as `send_body`.
        """
        if not self._takes_body(transaction):
            return
        body = transaction._body
        end = body.finish()
        transaction._ended = True
        if body.chunking:
            self._send_chunks(transaction)
            return
        self._pass("final dot")
        self._await_verdicts(transaction, _END, Awaited(_VERDICT_EDGE, _END, end, transaction))

    def abort(self, transaction: Transaction) -> None:
        """Leave a message unfinished. In BDAT this is done by RSET; in DATA only by closing the connection.

        Raises:
            LocalProtocolError: the verdict over the message before is awaited: `close` would leave both.
        """
        if transaction.done or transaction._refused:
            return
        self._check_own(transaction)
        if transaction is not self._transactions[0]:
            raise LocalProtocolError("the verdict over the message before is awaited")
        if not (transaction._wanted and transaction._body.chunking and not transaction._ended):
            self._close(Cause.ABORTED)
            return
        self._pass("abort")
        self._dirty = True
        self._give_up(transaction, Fate.UNSENT, None)
        self._finish_if_answered(transaction)

    def _takes_body(self, transaction: Transaction) -> bool:
        """Whether the body goes on; False where it is not wanted any more."""
        if transaction.done or transaction._refused:
            return False
        self._check_own(transaction)
        if not transaction._wanted or transaction._ended:
            raise LocalProtocolError("no octets of this message are wanted")
        return True

    def _check_own(self, transaction: Transaction) -> None:
        if transaction not in self._transactions:
            raise LocalProtocolError("a message of another connection")

    # --- on the way out ----------------------------------------------------------------------------

    def _await_verdicts(self, transaction: Transaction, command: Command, first: Awaited) -> None:
        """Issue the end of a message; RFC 2033 4.2: LMTP answers it for each recipient that it has accepted."""
        self._todo.append(first)
        transaction._outstanding += 1
        if self._dialect.per_recipient:
            first.index, *others = transaction._accepted
            for index in others:
                self._todo.append(Awaited(_VERDICT_EDGE, command, b"", transaction, index))
            transaction._outstanding += len(others)
        self._release()

    def _send_chunks(self, transaction: Transaction) -> None:
        """Issue what is held, if it is a chunk and may be sent."""
        body = transaction._body
        last = transaction._ended
        if not (body.full or last):
            return
        # The number of replies to a LAST behind a chunk that fails is not certain in LMTP: await the chunks first.
        alone = not self._pipelining or (last and self._dialect.per_recipient)
        if body.unanswered >= (1 if alone else self._limits.unanswered_chunks):
            return
        argument, content = body.chunk(last=last)
        command = Command("BDAT", argument)
        line = encode_line(str(command), self._limits.command_octets)
        chunk = AwaitedChunk(_VERDICT_EDGE if last else _BDAT_EDGE, command, line, transaction)
        chunk.content = content
        if last:
            self._pass("BDAT LAST")
            self._await_verdicts(transaction, command, chunk)
            return
        body.unanswered += 1
        transaction._outstanding += 1
        self._todo.append(chunk)
        self._release()

    # --- replies -----------------------------------------------------------------------------------

    def _on_mail(self, awaited: Awaited, reply: Reply, ok: bool) -> None:
        transaction = _of(awaited)
        self._events.append(SenderAnswer(transaction, awaited.command, reply))
        if ok:
            self._go(awaited.edge.ok)
            return
        self._give_up(transaction, _REFUSED, reply)
        self._finish_if_answered(transaction)

    def _on_rcpt(self, awaited: Awaited, reply: Reply, ok: bool) -> None:
        transaction, index = _of(awaited), awaited.index
        recipient = transaction._envelope.recipients[index]
        self._events.append(RecipientAnswer(transaction, awaited.command, recipient, reply))
        transaction._rcpts_left -= 1
        if ok:
            transaction._accepted[index] = None
        else:
            transaction._decide(index, _REFUSED, self._kept(reply))
        if transaction._refused:
            self._dirty = self._dirty or ok
            self._finish_if_answered(transaction)
            return
        if ok:
            self._go(awaited.edge.ok)
        if transaction._rcpts_left:
            return
        if not transaction._accepted:
            self._give_up(transaction, _REFUSED, reply)
            if not transaction._outstanding:
                self._pass("nobody")
                self._dirty = True
            self._finish_if_answered(transaction)
        elif transaction._body.chunking and reply.code != 421:
            self._pass("chunks")
            self._want(transaction)

    def _kept(self, reply: Reply) -> Reply:
        """*reply*, as it may be kept for one of many recipients."""
        most = self._limits.outcome_characters
        if len(reply.text) <= most:
            return reply
        return Reply(reply.code, safe(reply.text.replace("\n", " "), most), reply.status)

    def _want(self, transaction: Transaction) -> None:
        transaction._wanted = True
        self._events.append(BodyWanted(transaction))

    def _on_data(self, awaited: Awaited, reply: Reply, ok: bool) -> None:
        transaction = _of(awaited)
        if ok and not transaction._refused:
            self._go(awaited.edge.ok)
            self._want(transaction)
            return
        if ok:
            # RFC 2920 3.1: after a 354 where no recipient was accepted, the client sends a single dot. Where one was,
            # or where each has a reply to the dot, an empty message could be delivered, or a reply not come.
            if transaction._accepted or self._dialect.per_recipient:
                self._violated(Violation.WRONG_REPLY, "354 to DATA without a sender or a recipient", reply)
                return
            self._go(awaited.edge.ok)
            self._pass("final dot")
            self._await_verdicts(transaction, _END, Awaited(_VERDICT_EDGE, _END, _LONE_DOT, transaction))
            return
        if self._phase is not Phase.READY:  # MAIL was accepted
            self._dirty = True
        self._go(awaited.edge.no)
        if not transaction._refused:
            self._tell(MessageAnswer(transaction, awaited.command, reply))
            self._give_up(transaction, _REFUSED, reply)
        self._finish_if_answered(transaction)

    def _on_bdat(self, awaited: Awaited, reply: Reply, ok: bool) -> None:
        transaction = _of(awaited)
        transaction._body.unanswered -= 1
        if not ok and not transaction._refused:
            self._tell(MessageAnswer(transaction, awaited.command, reply))
            self._pass("chunk refused")
            self._dirty = True
            self._give_up(transaction, _REFUSED, reply)
        if transaction._refused:
            self._finish_if_answered(transaction)
        elif self._phase is _CHUNK:  # LAST has not been said
            self._send_chunks(transaction)

    def _on_verdict(self, awaited: Awaited, reply: Reply, ok: bool) -> None:
        transaction = _of(awaited)
        if transaction._refused:
            if ok and transaction._accepted:
                # RFC 3030 2: after a chunk that failed, the message fails. What has it taken now?
                for index in transaction._accepted:
                    transaction._decided[index] = Outcome(transaction._envelope.recipients[index], Fate.UNKNOWN)
                self._violated(Violation.WRONG_REPLY, "a message was accepted of which a chunk was refused", reply)
                return
            self._pass("verdict")
            self._finish_if_answered(transaction)
            return
        fate = _ACCEPTED if ok else _REFUSED
        recipient = None
        if awaited.index < 0:
            transaction._rest = (fate, reply, False)
        else:
            recipient = transaction._envelope.recipients[awaited.index]
            transaction._decide(awaited.index, fate, self._kept(reply))
        self._events.append(MessageAnswer(transaction, awaited.command, reply, recipient))
        if not transaction._outstanding:
            self._go(awaited.edge.ok if ok else awaited.edge.no)
            self._finish(transaction)

    def _on_reset(self, awaited: Awaited, reply: Reply, ok: bool) -> None:
        if not ok and reply.code not in (421, 530):
            # RFC 5321 4.1.1.5: a server must answer 250. What state it is in now nobody can tell. (RFC 3207 4: but a
            # server that demands TLS says 530 to nearly every command, and there is no transaction then.)
            self._violated(Violation.WRONG_REPLY, f"{reply.code} to RSET", reply)
            return
        self._dirty = False
        self._tell(Answer(awaited.command, reply))

    # --- no message, or no more of it ----------------------------------------------------------------

    def _give_up(self, transaction: Transaction, fate: Fate, reply: Reply | None) -> None:
        """Nothing more of *transaction* is sent; whoever's fate is open has this one."""
        transaction._refused = True
        transaction._rest = (fate, reply, False)
        if any(each.transaction is transaction for each in self._todo):
            kept = [each for each in self._todo if each.transaction is not transaction]
            transaction._outstanding -= len(self._todo) - len(kept)
            self._todo = deque(kept)

    def _finish_if_answered(self, transaction: Transaction) -> None:
        if not transaction._outstanding:
            self._finish(transaction)


def _of(awaited: Awaited) -> Transaction:
    """The transaction whose reply has come."""
    transaction = awaited.transaction
    assert transaction is not None
    return transaction


HANDLERS.update(
    {
        "MAIL": Sending._on_mail,
        "RCPT": Sending._on_rcpt,
        "DATA": Sending._on_data,
        "BDAT": Sending._on_bdat,
        "verdict": Sending._on_verdict,
        "RSET": Sending._on_reset,
    }
)
