"""What mutants of the client showed that no other test looks at."""

import functools
import math
from collections.abc import Callable
from typing import Any

import pytest
from _client_play import (
    ALL_OFFERED,
    ENVELOPE,
    OPEN,
    PLAIN,
    SITUATIONS,
    SITUATIONS_ONE_BY_ONE,
    TWO,
    UNVERIFIED,
    Play,
    Scripted,
    ready,
)

from smtpcore import (
    LMTP,
    Cause,
    ClientConfig,
    ClientLimits,
    ClientTimeouts,
    Envelope,
    Fate,
    Gate,
    GrammarError,
    Greeting,
    LocalProtocolError,
    MailParams,
    Phase,
    Reply,
    Transaction,
    Violation,
    Wait,
)
from smtpcore._client import _Exchange
from smtpcore._composing import NO_MORE_MAIL, NO_ROOM
from smtpcore._deadlines import Deadline
from smtpcore._dialling import EDGES, HANDLERS, AwaitedChunk, Handler, _heard_before
from smtpcore._framing import Stray
from smtpcore._machine import CLIENT
from smtpcore._outgoing import OutgoingBody
from smtpcore._transaction import Outcome
from smtpcore.extensions import Extension, Param


def told(play: Play) -> list[tuple[str, str, int]]:
    """The answers: which event, to what command, by what code."""
    found = []
    for event in play.events:
        command, reply = getattr(event, "command", None), getattr(event, "reply", None)
        if command is not None and reply is not None:
            found.append((type(event).__name__, str(command), reply.code))
    return found


def deliver(play: Play) -> Transaction:
    transaction = play.conn.send(ENVELOPE)
    for reply in ("250 Ok", "250 Ok", "354 Go"):
        play.sent()
        play.hear(reply)
    play.conn.end_body(transaction)
    play.sent()
    play.hear("250 Ok")
    return transaction


def test_each_answer_names_its_command() -> None:
    play = ready("PIPELINING")
    play.events.clear()
    transaction = play.conn.send(TWO)
    play.sent()
    play.hear("250 a", "550 b", "250 c", "354 d")
    play.conn.send_body(transaction, b"x\r\n")
    play.conn.end_body(transaction)
    assert play.sent() == b"x\r\n.\r\n"
    play.hear("250 e")
    assert told(play) == [
        ("SenderAnswer", "MAIL FROM:<a@b.example>", 250),
        ("RecipientAnswer", "RCPT TO:<c@d.example>", 550),
        ("RecipientAnswer", "RCPT TO:<e@d.example>", 250),
        ("MessageAnswer", ".", 250),
    ]


def test_a_refused_data_is_named() -> None:
    play = ready("PIPELINING")
    play.conn.send(ENVELOPE)
    play.sent()
    play.events.clear()
    play.hear("250 a", "250 b", "451 c")
    assert told(play)[2:] == [("MessageAnswer", "DATA", 451)]


def test_after_nobody_was_accepted() -> None:
    play = ready("PIPELINING")
    transaction = play.conn.send(ENVELOPE)
    play.sent()
    play.events.clear()
    play.hear("250 a", "550 b", "354 c")
    assert play.sent() == b".\r\n"
    assert play.done == []
    play.hear("554 d")
    assert play.done == [transaction]
    assert play.conn.phase is Phase.READY
    play.conn.noop()
    assert play.sent() == b"NOOP\r\n"


def test_a_reset_of_our_own_is_answered_by_its_name() -> None:
    play = ready()
    transaction = play.conn.send(ENVELOPE)
    for reply in ("250 Ok", "550 No"):
        play.sent()
        play.hear(reply)
    assert transaction.done
    play.events.clear()
    play.conn.send(ENVELOPE)
    assert play.sent() == b"RSET\r\n"
    play.hear("250 Ok")
    assert told(play) == [("Answer", "RSET", 250)]
    assert play.sent() == b"MAIL FROM:<a@b.example>\r\n"


def test_a_reset_where_the_server_demands_tls() -> None:
    """RFC 3207 4: it says 530 to nearly every command, and there is no transaction."""
    play = ready()
    play.conn.reset()
    play.sent()
    play.events.clear()
    play.hear("530 Must issue a STARTTLS command first")
    assert told(play) == [("Answer", "RSET", 530)]
    assert (play.conn.phase, play.wait) == (Phase.READY, Wait.INTENT)


def test_as_many_messages_as_the_server_takes() -> None:
    """RFC 9422 4.1, MAILMAX."""
    play = ready("LIMITS MAILMAX=2")
    for left in (1, 0):
        assert deliver(play).outcomes[0].fate is Fate.ACCEPTED
        assert play.conn.transactions_left == left
    assert play.conn.transactions_left == 0
    transaction = play.conn.send(ENVELOPE)
    assert transaction.outcomes == (Outcome(ENVELOPE.recipients[0], Fate.UNSENT, NO_MORE_MAIL, local=True),)
    assert (NO_MORE_MAIL.code, str(NO_MORE_MAIL.status)) == (452, "4.3.2")
    assert transaction.done
    assert play.sent() == b""


def test_as_many_recipients_as_the_server_takes() -> None:
    """RFC 9422 4.2, RCPTMAX."""
    play = ready("LIMITS RCPTMAX=1")
    transaction = play.conn.send(TWO)
    assert transaction.outcomes[1] == Outcome(TWO.recipients[1], Fate.UNSENT, NO_ROOM, local=True)
    assert (NO_ROOM.code, str(NO_ROOM.status)) == (452, "4.5.3")
    assert [each.recipients for each in play.conn.divide(TWO)] == [TWO.recipients[:1], TWO.recipients[1:]]


def test_no_tls_that_was_not_verified_for_requiretls() -> None:
    """RFC 8689 4.2.1."""
    play = ready("REQUIRETLS", tls=UNVERIFIED)
    transaction = play.conn.send(Envelope(ENVELOPE.reverse_path, ENVELOPE.recipients, MailParams(requiretls=True)))
    (outcome,) = transaction.outcomes
    assert (transaction.done, outcome.fate, outcome.local) == (True, Fate.REFUSED, True)


def test_the_status_of_the_least_code_that_says_no() -> None:
    play = Play()
    play.hear("400 4.3.2 No")
    greeting = play.last
    assert isinstance(greeting, Greeting)
    assert (str(greeting.reply.status), greeting.reply.text) == ("4.3.2", "No")


def test_only_short_replies_are_remembered() -> None:
    play = ready()
    _heard_before.cache_clear()
    for length, kept in ((81, 0), (80, 1)):
        play.conn.noop()
        play.sent()
        play.hear(f"250 {'x' * length}")
        assert _heard_before.cache_info().currsize == kept


def test_octets_of_a_chunk_are_let_go_as_it_leaves() -> None:
    play = ready("CHUNKING", "PIPELINING", config=ClientConfig(prefer_chunking=True))
    transaction = play.conn.send(ENVELOPE)
    play.sent()
    play.hear("250 Ok", "250 Ok")
    play.conn.send_body(transaction, b"x" * 300_000)
    assert len(play.sent()) > 300_000
    (chunk,) = play.conn._expected
    assert isinstance(chunk, AwaitedChunk)
    assert chunk.content == []


def test_of_two_parameters_for_one_wish_the_first_is_missed() -> None:
    first = Param("MAIL", "X-A", "own", unmet=lambda wanted: Reply(551, "No"))
    second = Param("MAIL", "X-B", "own", unmet=lambda wanted: Reply(552, "No"))
    extensions = (Extension("X-A", rfc=0, params=(first,)), Extension("X-B", rfc=0, params=(second,)))
    play = ready(config=ClientConfig(extensions=extensions))
    wishes = MailParams(extra={"own": True})
    (outcome,) = play.conn.send(Envelope(ENVELOPE.reverse_path, ENVELOPE.recipients, wishes)).outcomes
    assert (outcome.fate, outcome.reply, outcome.local) == (Fate.REFUSED, Reply(551, "No"), True)


def test_why_a_wish_cannot_be_said() -> None:
    play = ready("SIZE")
    envelope = Envelope(ENVELOPE.reverse_path, ENVELOPE.recipients, MailParams(size=-1))
    with pytest.raises(LocalProtocolError, match="size cannot be -1: not a number") as caught:
        play.conn.send(envelope)
    assert isinstance(caught.value.__cause__, GrammarError)


def test_a_message_given_up_before_its_chunks_are_wanted() -> None:
    """RSET does not end what the server may be about to answer."""
    play = ready("CHUNKING", "PIPELINING", config=ClientConfig(prefer_chunking=True))
    transaction = play.conn.send(ENVELOPE)
    play.sent()
    play.hear("250 Ok")
    play.conn.abort(transaction)
    play.pump()
    assert play.closed.cause is Cause.ABORTED
    assert play.done == [transaction]


def test_one_by_one_a_chunk_waits_in_one_place_only() -> None:
    play = ready("CHUNKING", config=ClientConfig(prefer_chunking=True, limits=ClientLimits(chunk_octets=4)))
    transaction = play.conn.send(ENVELOPE)
    for reply in ("250 Ok", "250 Ok"):
        play.sent()
        play.hear(reply)
    play.conn.send_body(transaction, b"abcd")
    assert play.sent() == b"BDAT 4\r\nabcd"
    play.conn.send_body(transaction, b"efgh")
    assert not transaction.wants_body
    assert play.sent() == b""


def test_a_reply_that_just_fits_is_kept_as_it_is() -> None:
    play = ready(config=ClientConfig(limits=ClientLimits(outcome_characters=64)))
    transaction = play.conn.send(ENVELOPE)
    play.sent()
    play.hear("250 Ok")
    play.sent()
    play.hear(f"550-{'x' * 31}", f"550 {'y' * 32}")
    reply = transaction.outcomes[0].reply
    assert reply is not None
    assert reply.text == f"{'x' * 31}\n{'y' * 32}"


def test_what_is_no_envelope() -> None:
    play = ready()
    nothing = Envelope(ENVELOPE.reverse_path, ())
    for refused in (play.conn.send, play.conn.divide):
        with pytest.raises(LocalProtocolError, match="without a tuple of recipients"):
            refused(nothing)


def test_what_is_dropped_is_no_chunk() -> None:
    body = OutgoingBody(Stray.REJECT, chunking=True, binary=False, eight_bit=False, chunk_octets=1)
    body.give(b"a")
    body.drop()
    assert (body.full, body.held_octets) == (False, 0)
    assert body.chunk(last=False) == ("0", [])


# --- the table -----------------------------------------------------------------------------------

# RFC 3207 4.2 and what says nothing of anybody: all else waits for TLS where that is required.
IN_THE_CLEAR = {"EHLO", "HELO", "LHLO", "STARTTLS", "RSET", "NOOP", "HELP", "QUIT"}
# RFC 2920 3.1, RFC 3207 4 and RFC 4954 4; and what an extension adds, which may be anything.
LAST_OF_A_GROUP = {
    "EHLO", "HELO", "LHLO", "DATA", "VRFY", "EXPN", "QUIT", "NOOP", "STARTTLS", "AUTH", "XCLIENT", "HELP", "other",
}  # fmt: skip

# RFC 5321 4.3.2, RFC 3207 4, RFC 4954 4 and 6, RFC 3030 2: what says yes.
CODES = {
    "greeting": (220,), "EHLO": (250,), "HELO": (250,), "LHLO": (250,), "STARTTLS": (220,), "AUTH": (235,),
    "challenge": (334,), "exchange": (235,), "XCLIENT": (220,), "MAIL": (250,), "RCPT": (250, 251, 252), "DATA": (354,),
    "BDAT": (250,), "verdict": (250,), "RSET": (250,), "NOOP": (250,), "HELP": (211, 214), "VRFY": (250, 251, 252),
    "EXPN": (250, 252), "other": (250, 251, 252, 253), "QUIT": (221,),
}  # fmt: skip
# What another yes would let begin must not begin by mistake.
EXACT = {"STARTTLS", "AUTH", "challenge", "exchange", "DATA"}
# RFC 5321 4.5.3.2 has its own for these; QUIT's is ours.
TIMED = {
    "greeting": Deadline.GREETING, "MAIL": Deadline.MAIL, "RCPT": Deadline.RCPT, "DATA": Deadline.DATA,
    "verdict": Deadline.DOT, "QUIT": Deadline.QUIT,
}  # fmt: skip


def test_what_the_table_says_of_replies() -> None:
    awaited = {edge.input: edge for edge in CLIENT if edge.codes}
    assert {name: edge.codes for name, edge in awaited.items()} == CODES
    assert {name for name, edge in awaited.items() if edge.exact} == EXACT
    assert {name: edge.deadline for name, edge in awaited.items() if edge.deadline is not Deadline.COMMAND} == TIMED


def test_no_lhlo_out_of_order() -> None:
    refused = Play(dialect=LMTP)
    refused.hear("554 No")
    secured = ready("STARTTLS", dialect=LMTP)
    secured.conn.start_tls()
    secured.sent()
    secured.hear("220 Go")
    for play in (refused, secured):
        with pytest.raises(LocalProtocolError, match="out of order"):
            play.conn.hello("client.example")
    for keyword, replies in (("SIZE", ["250 a", "250 b", "354 c"]), ("CHUNKING", ["250 a", "250 b"])):
        play = ready(keyword, config=ClientConfig(prefer_chunking=True), dialect=LMTP)
        transaction = play.conn.send(ENVELOPE)
        for reply in replies:
            play.sent()
            play.hear(reply)
        assert transaction.wants_body
        with pytest.raises(LocalProtocolError, match="out of order"):
            play.conn.hello("client.example")


def test_what_the_table_shows_of_gates_and_groups() -> None:
    said = {edge.input for edge in CLIENT if edge.is_verb or edge.input == "other"}
    assert {edge.input for edge in CLIENT if edge.input in said and Gate.TLS not in edge.gates} == IN_THE_CLEAR
    assert {edge.input for edge in CLIENT if edge.ends_group} == LAST_OF_A_GROUP


AWAITING = [name for name, make in SITUATIONS_ONE_BY_ONE.items() if name != "verdicts" and make().wait is Wait.DATA]


def give_a_chunk(play: Play) -> None:
    assert play.transaction is not None
    play.conn.send_body(play.transaction, b"x" * 300_000)


MORE: dict[str, Callable[[Play], object]] = {
    "LHLO": lambda play: play.conn.hello("client.example"),
    "EHLO": lambda play: play.conn.help(),
    "anything": lambda play: play.conn.expand("list"),
    "anything in LMTP": lambda play: play.conn.hello("client.example"),
    "QUIT alone": lambda play: play.conn.quit(),
    "chunk": give_a_chunk,
}


# What happens inside then is an edge of its own.
INSIDE = {("RCPT", False): "nobody", ("BDAT", False): "chunk refused"}


def awaiting(situation: str) -> Play:
    play = SITUATIONS_ONE_BY_ONE[situation]()
    if situation in MORE:
        MORE[situation](play)
        assert play.sent()
    return play


@pytest.mark.parametrize("situation", [*AWAITING, *MORE])
def test_replies_come_and_lead_where_the_table_shows(situation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    moves: list[tuple[str, bool, Phase, Phase]] = []

    def watched(name: str, handler: Handler) -> Handler:
        def handle(conn: Any, awaited: Any, reply: Any, ok: bool) -> None:
            before = conn.phase
            handler(conn, awaited, reply, ok)
            if not (ok and conn.phase is Phase.CLOSED and name in ("AUTH", "exchange")):  # nothing was proved
                moves.append((name, ok, before, conn.phase))

        return handle

    replies = ("220 a", "250 a", "235 a", "354 a", "221 a", "450 a")
    heard = [(awaiting(situation), reply) for reply in replies]
    for name, handler in HANDLERS.items():
        monkeypatch.setitem(HANDLERS, name, watched(name, handler))
    for play, reply in heard:
        play.hear(reply)
    assert moves
    for name, ok, before, after in moves:
        edge = EDGES[name]
        assert before in edge.sources
        if (name, ok) in INSIDE:
            edge = EDGES[INSIDE[name, ok]]
            ok = True
        if (name, ok) != ("RSET", False):  # closes the connection
            assert after is ((edge.ok if ok else edge.no) or before)


def test_a_handshake_leads_where_the_table_shows() -> None:
    for ok in (True, False):
        play = SITUATIONS_ONE_BY_ONE["handshake"]()
        assert EDGES["handshake"].sources == (play.conn.phase,)
        if ok:
            play.secure()
            play.conn.hello("client.example")
            assert play.sent() == b"EHLO client.example\r\n"
        else:
            play.conn.tls_failed()
        assert play.conn.phase is (EDGES["handshake"].ok if ok else EDGES["handshake"].no)


@pytest.mark.parametrize(("situation", "phase"), [("reply to EHLO", Phase.HELLO), ("reply to EHLO again", Phase.READY)])
def test_helo_follows_where_the_table_shows(situation: str, phase: Phase) -> None:
    play = SITUATIONS_ONE_BY_ONE[situation]()
    play.hear("550 No")
    assert play.sent() == b"HELO client.example\r\n"
    assert play.conn.phase is phase
    assert phase in EDGES["HELO"].sources


def test_auth_leads_where_the_table_shows() -> None:
    for reply, phase in (("235 Ok", EDGES["AUTH"].ok), ("535 No", EDGES["AUTH"].no or Phase.READY)):
        play = ready("AUTH PLAIN", config=OPEN)
        play.conn.authenticate(PLAIN)
        play.sent()
        assert play.conn.phase in EDGES["AUTH"].sources
        play.hear(reply)
        assert play.conn.phase is phase is Phase.READY


def test_too_many_keywords_are_a_limit() -> None:
    play = Play(ClientConfig(limits=ClientLimits(capabilities=32)))
    play.hear("220 Hi")
    play.conn.hello("client.example")
    play.sent()
    play.hear("250-mx", *(f"250-X-{each}" for each in range(40)), "250 END")
    assert (play.closed.cause, play.closed.violation) == (Cause.LIMIT, Violation.TOO_MANY_CAPABILITIES)


def test_octets_that_had_not_left_keep_no_time_behind_the_end() -> None:
    play = ready()
    play.conn.noop()
    assert play.conn.data_to_send(0.0) == [b"NOOP\r\n"]
    play.conn.close()
    play.pump()
    assert play.conn.next_deadline() == math.inf


def test_words_that_are_refused() -> None:
    conn = ready(*ALL_OFFERED, config=OPEN).conn
    refused: list[Callable[[], object]] = [
        lambda: conn.hello("b\xfccher.example"),
        lambda: conn.verify(""),
        lambda: conn.verify("b\xfccher"),
        lambda: conn.command("ETRN", "b\xfccher"),
    ]
    verbs = ("TURN", "ATRN", "SEND", "SOML", "SAML", "AUTH", "BDAT", "STARTTLS")
    refused += [functools.partial(conn.command, verb) for verb in verbs]
    for intent in refused:
        with pytest.raises(LocalProtocolError, match=r"ASCII|A-labels|is not for this method"):
            intent()


def test_a_reset_while_a_verdict_is_awaited() -> None:
    play = SITUATIONS["verdict"]()
    play.conn.reset()
    assert play.sent() == b"RSET\r\n"


def test_a_handshake_has_a_time_of_its_own() -> None:
    play = SITUATIONS["handshake"]()
    play.at(ClientTimeouts().tls - 0.5)
    assert play.wait is Wait.TLS
    play.at(ClientTimeouts().tls + 0.5)
    assert (play.closed.cause, play.closed.detail) == (Cause.TIMED_OUT, "tls")


def test_a_mechanism_that_is_not_done() -> None:
    generator = Scripted(b"a", b"b").start(None)
    next(generator)
    assert _Exchange("X", generator).succeeded() is False
    unsaid = Scripted(b"a").start(None)
    next(unsaid)
    exchange = _Exchange("X", unsaid)
    exchange.withheld = b"a"
    assert exchange.succeeded() is False


def test_a_refused_recipient_leads_where_the_table_shows() -> None:
    play = ready()
    play.conn.send(TWO)
    play.sent()
    play.hear("250 Ok")
    play.sent()
    play.hear("550 No")
    assert play.conn.phase is (EDGES["RCPT"].no or Phase.MAIL) is Phase.MAIL


def test_only_a_handshake_fails_without_a_reply() -> None:
    assert {edge.input for edge in CLIENT if not edge.codes and edge.no is not None} == {"handshake"}
    assert [EDGES[name].no for name, _ in INSIDE] == [None, None]


def test_a_chunk_refused_behind_the_last() -> None:
    play = SITUATIONS["chunk"]()
    give_a_chunk(play)
    assert play.transaction is not None
    play.conn.end_body(play.transaction)
    play.sent()
    assert play.conn.phase in EDGES["chunk refused"].sources
    play.hear("550 No")
    assert play.conn.phase is EDGES["chunk refused"].ok
