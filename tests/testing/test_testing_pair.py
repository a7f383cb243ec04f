"""The two ends of a session, and all that may happen between them."""

import doctest
import subprocess
import sys
from typing import Any

import pytest

from smtpcore import (
    LMTP,
    Authenticated,
    AuthFailed,
    Body,
    BodyAborted,
    Cause,
    ClientConfig,
    ClientLimits,
    ClientTimeouts,
    Closed,
    Envelope,
    Fate,
    Limits,
    LocalProtocolError,
    Mailbox,
    MailFrom,
    MailParams,
    RcptTo,
    Recipient,
    Reply,
    Secret,
    SecretWanted,
    ServerConfig,
    Stray,
    TlsInfo,
    TokenCheck,
    TransactionDone,
    Violation,
    testing,
)
from smtpcore.extensions import ALL, AUTH, CHUNKING, PIPELINING, STANDARD, STARTTLS
from smtpcore.sasl import (
    ANONYMOUS,
    CRAM_MD5,
    EXTERNAL,
    PLAIN,
    SCRAM_SHA_1,
    SCRAM_SHA_256,
    AnonymousClient,
    ClientMechanism,
    ExternalClient,
    PlainClient,
    ServerMechanism,
)
from smtpcore.testing import (
    ConnectionPair,
    EndlessSession,
    Fault,
    Greet,
    HangUp,
    Leave,
    LogIn,
    Mishap,
    Pause,
    Policy,
    Say,
    Secure,
    Send,
    Sent,
    Side,
    Taken,
)

SENDER = Mailbox.parse("a@b.example")
C, E = (Mailbox.parse(each) for each in ("c@d.example", "e@d.example"))
ENVELOPE = Envelope(SENDER, (Recipient(C), Recipient(E)))
SEND = Send(ENVELOPE, b"Hello")
NO = Reply(550, "No")


def fates(pair: ConnectionPair, at: int = 0) -> list[Fate]:
    return [outcome.fate for outcome in pair.client_end.sent[at].transaction.outcomes]


def causes(pair: ConnectionPair) -> list[Cause]:
    """Why each end closed, the server first."""
    ends: list[Any] = [pair.server_end, pair.client_end]
    return [end.seen(Closed)[0].cause for end in ends]


def test_the_docstring() -> None:
    failed, attempted = doctest.testmod(testing)
    assert attempted
    assert not failed


def test_without_hypothesis() -> None:
    source = "import sys; sys.modules['hypothesis'] = None; import smtpcore.testing; print(smtpcore.testing.YES)"
    done = subprocess.run([sys.executable, "-c", source], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


# --- sessions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(), (1,), (3, 7)])
def test_a_session(sizes: tuple[int, ...]) -> None:
    pair = ConnectionPair(server_sizes=sizes, client_sizes=sizes).play(Greet(), SEND, Leave())
    assert pair.closed
    assert pair.taken == [Taken(ENVELOPE, "DATA", b"Hello\r\n", (True, True))]
    assert fates(pair) == [Fate.ACCEPTED, Fate.ACCEPTED]
    assert causes(pair) == [Cause.QUIT, Cause.QUIT]
    assert pair.octets(Side.CLIENT).endswith(b"DATA\r\nHello\r\n.\r\nQUIT\r\n")
    assert pair.octets(Side.SERVER).startswith(b"220 mx.example.org ESMTP ready\r\n250-")
    assert pair.arrived(Side.SERVER) == len(pair.octets(Side.SERVER))
    assert pair.disagreements() == []
    assert pair.now == 0.0


def test_the_log() -> None:
    pair = ConnectionPair(client_sizes=(4,)).play(Greet(), Leave())
    told = [each for each in pair.log if not isinstance(each.what, bytes)]
    assert [(each.side.value, type(each.what).__name__) for each in told] == [
        ("server", "Connected"),
        ("client", "Greeting"),
        ("client", "Greet"),
        ("server", "Hello"),
        ("client", "HelloDone"),
        ("client", "Leave"),
        ("server", "Quit"),
        ("server", "Closed"),
        ("client", "Answer"),
        ("client", "Closed"),
    ]
    pieces = [each.what for each in pair.log if isinstance(each.what, bytes) and each.side is Side.CLIENT]
    assert pieces == [b"EHLO", b" cli", b"ent.", b"exam", b"ple\r", b"\n", b"QUIT", b"\r\n"]
    transcript = pair.transcript()
    assert "     0.0 client b'EHLO client.example\\r\\n'\n" in transcript
    assert "\n     0.0 client Leave()\n" in transcript


def test_the_same_each_time() -> None:
    def hold() -> str:
        return ConnectionPair(server_sizes=(5, 2), client_sizes=(3,)).play(Greet(), SEND, SEND).transcript()

    assert hold() == hold()


def test_step_by_step() -> None:
    pair = ConnectionPair()
    pair.run()
    assert not pair.closed
    with pytest.raises(LocalProtocolError):
        pair.do(SEND)
    pair.do(Greet())
    pair.do(SEND)
    assert len(pair.taken) == 1
    pair.do(Pause(10.0))
    assert pair.now == 10.0
    pair.wait(291.0)
    assert pair.closed
    assert causes(pair) == [Cause.TIMED_OUT, Cause.REJECTED]
    pair.wait(1.0)


def test_a_client_that_has_no_more_to_do_hangs_up() -> None:
    pair = ConnectionPair().play(Greet())
    assert causes(pair) == [Cause.EOF, Cause.ABORTED]


def test_what_is_not_possible_is_left_out() -> None:
    pair = ConnectionPair().play(Secure(), Greet(), Secure(), HangUp())
    assert [each.what for each in pair.log if isinstance(each.what, str)][:2] == [
        "not possible: STARTTLS is out of order: this connection waits for EHLO, HELO or LHLO",
        "not possible: STARTTLS is not offered",
    ]
    assert "HangUp()" in pair.transcript()


def test_a_pause_too_long() -> None:
    pair = ConnectionPair().play(Greet(), Pause(299.0), SEND, Pause(301.0), SEND)
    assert causes(pair) == [Cause.TIMED_OUT, Cause.REJECTED]
    assert len(pair.client_end.sent) == 1
    assert pair.now == 600.0


def test_go_ahead() -> None:
    intents = (Greet(), SEND, Say("RSET"), SEND, Say("NOOP"), SEND, Leave())
    pair = ConnectionPair(ahead=True).play(*intents)
    assert len(pair.taken) == 3
    assert b".\r\nRSET\r\nMAIL" in pair.octets(Side.CLIENT)
    assert b".\r\nQUIT\r\n" in pair.octets(Side.CLIENT)
    at = [entry.what for entry in pair.log].index(Say("RSET"))
    assert not any(isinstance(entry.what, TransactionDone) for entry in pair.log[:at])
    one_by_one = ServerConfig(hostname="a", extensions=())
    pair = ConnectionPair(one_by_one, ahead=True).play(*intents)
    assert len(pair.taken) == 3
    assert pair.disagreements() == []


def test_what_a_client_does_not_send() -> None:
    pair = ConnectionPair().play(Greet(), Send(ENVELOPE, b"a\nb"))
    assert causes(pair) == [Cause.EOF, Cause.ABORTED]
    assert fates(pair) == [Fate.UNSENT, Fate.UNSENT]
    assert pair.server_end.seen(BodyAborted)
    assert pair.taken == []


def test_a_message_that_was_left_and_one_after_it() -> None:
    server = ServerConfig(hostname="a", extensions=(CHUNKING, PIPELINING))
    client = ClientConfig(prefer_chunking=True)
    pair = ConnectionPair(server, client).play(Greet(), Send(ENVELOPE, b"abcd", (2,), abandon=2), Send(ENVELOPE, b"xy"))
    assert [taken.message for taken in pair.taken] == [b"xy"]
    assert pair.taken[0].verb == "BDAT"
    assert pair.disagreements() == []


# --- what the server's application says ------------------------------------------------------------


def test_refusals() -> None:
    def refuse(question: object) -> Reply | None:
        return NO if isinstance(question, RcptTo) and question.path == C else None

    pair = ConnectionPair(policy=Policy(refuse=refuse)).play(Greet(), SEND, Leave())
    assert fates(pair) == [Fate.REFUSED, Fate.ACCEPTED]
    assert [each.path for each in pair.taken[0].envelope.recipients] == [E]
    assert pair.disagreements() == []


def test_a_verdict() -> None:
    pair = ConnectionPair(policy=Policy(verdict=lambda envelope, message, recipient: NO)).play(Greet(), SEND, Leave())
    assert fates(pair) == [Fate.REFUSED, Fate.REFUSED]
    assert pair.taken[0].accepted == (False, False)


def test_verdicts_for_each_recipient() -> None:
    def verdict(envelope: Envelope, message: bytes, recipient: Recipient | None) -> Reply | None:
        assert (envelope, message) == (ENVELOPE, b"Hello\r\n")
        return NO if recipient == Recipient(C) else None

    pair = ConnectionPair(dialect=LMTP, policy=Policy(verdict=verdict)).play(Greet(), SEND, Leave())
    assert fates(pair) == [Fate.REFUSED, Fate.ACCEPTED]
    assert pair.taken[0].accepted == (False, True)
    assert pair.disagreements() == []


def logged_in(
    mechanism: ServerMechanism, intent: LogIn, *, tls: TlsInfo | None = None, by: ClientMechanism | None = None
) -> ConnectionPair:
    server = ServerConfig(hostname="a", extensions=(AUTH,), mechanisms=(mechanism,), cleartext_auth=True)
    pair = ConnectionPair(
        server,
        ClientConfig(cleartext_auth=True, auth_floor=0),  # type: ignore[arg-type]
        policy=Policy(users={"tim": "secret"}),
        server_tls=tls,
        client_tls=tls,
        tls=tls is not None,
    )
    pair.run()
    pair.do(Greet())
    if by is None:
        pair.do(intent)
    else:
        pair.client_end.conn.authenticate(by)
        pair.run()
    return pair


@pytest.mark.parametrize("mechanism", [PLAIN, CRAM_MD5, SCRAM_SHA_1, SCRAM_SHA_256], ids=lambda each: each.name)
@pytest.mark.parametrize(("name", "password"), [("tim", "secret"), ("tim", "wrong"), ("tom", "secret")])
def test_log_in(mechanism: ServerMechanism, name: str, password: str) -> None:
    pair = logged_in(mechanism, LogIn(name, password))
    good = (name, password) == ("tim", "secret")
    assert pair.client_end.conn.authenticated == good
    assert bool(pair.server_end.seen(Authenticated)) == good
    assert bool(pair.server_end.seen(AuthFailed)) != good


def test_log_in_without_a_password() -> None:
    nobody = LogIn("", "")
    tls = TlsInfo(client_subject="tim", verified=True)
    assert logged_in(EXTERNAL, nobody, tls=tls, by=ExternalClient()).client_end.conn.authenticated
    tls = TlsInfo(client_subject="tom", verified=True)
    assert not logged_in(EXTERNAL, nobody, tls=tls, by=ExternalClient()).client_end.conn.authenticated
    assert logged_in(ANONYMOUS, nobody, by=AnonymousClient()).client_end.conn.authenticated


def test_nobody_acts_as_another() -> None:
    by = PlainClient("tim", Secret("secret"), "tom")
    assert not logged_in(PLAIN, LogIn("", ""), by=by).client_end.conn.authenticated
    policy = Policy(users={"tim": "secret"})
    assert policy.stored(SecretWanted("SCRAM-SHA-1-PLUS", "tim", "tom")) is None
    assert policy.stored(SecretWanted("SCRAM-SHA-1-PLUS", "tim")) is not None
    assert policy.vouches(TokenCheck("XOAUTH2", "tim", Secret("secret")))


# --- TLS -----------------------------------------------------------------------------------------

SECURE = ServerConfig(hostname="mx.example.org", extensions=(*STANDARD, STARTTLS))


def test_handshake() -> None:
    theirs, ours = TlsInfo("theirs"), TlsInfo("ours", verified=True)
    pair = ConnectionPair(SECURE, server_tls=theirs, client_tls=ours).play(Greet(), Secure(), Greet(), SEND, Leave())
    assert (pair.server_end.conn.tls, pair.client_end.conn.tls) == (theirs, ours)
    assert len(pair.taken) == 1
    assert "the handshake is done" in pair.transcript()


def test_tls_from_the_start() -> None:
    pair = ConnectionPair(SECURE, tls=True).play(Greet(), Secure(), SEND)
    assert pair.client_end.conn.tls is not None
    assert "not possible: TLS is active" in pair.transcript()


@pytest.mark.parametrize(
    ("infos", "ends"),
    [
        ((None, None), [Cause.TLS_FAILED, Cause.TLS_FAILED]),
        ((None, TlsInfo()), [Cause.TLS_FAILED, Cause.EOF]),
        ((TlsInfo(), None), [Cause.EOF, Cause.TLS_FAILED]),
    ],
)
def test_failed_handshake(infos: tuple[TlsInfo | None, TlsInfo | None], ends: list[Cause]) -> None:
    pair = ConnectionPair(SECURE, server_tls=infos[0], client_tls=infos[1]).play(Greet(), Secure(), Greet(), SEND)
    assert causes(pair) == ends
    assert pair.taken == []
    assert "the handshake failed" in pair.transcript()


def test_octets_instead_of_a_handshake() -> None:
    pair = ConnectionPair(SECURE, server_sizes=(1,))
    pair.run()
    pair.do(Greet())
    said = pair.arrived(Side.SERVER) + len("220 2.0.0 Ready to start TLS\r\n")
    pair.add_fault(Fault(Side.SERVER, said, Mishap.GARBAGE, b"250 mx\r\n"))
    pair.play(Secure(), Greet())
    assert causes(pair) == [Cause.EOF, Cause.TLS_FAILED]


def test_a_link_that_dies_before_the_handshake() -> None:
    pair = ConnectionPair(SECURE)
    pair.run()
    pair.do(Greet())
    pair.add_fault(Fault(Side.SERVER, pair.arrived(Side.SERVER) + 30, Mishap.STALL))
    pair.play(Secure())
    assert causes(pair) == [Cause.TIMED_OUT, Cause.TIMED_OUT]


# --- faults --------------------------------------------------------------------------------------


def broken(mishap: Mishap, sender: Side, until: bytes, **more: Any) -> ConnectionPair:
    """A session whose link breaks when *sender*'s octets up to *until* have arrived."""
    whole = ConnectionPair(**more).play(Greet(), SEND, Leave()).octets(sender)
    after = whole.index(until) + len(until)
    return ConnectionPair(faults=[Fault(sender, after, mishap)], **more).play(Greet(), SEND, Leave())


END = b"Hello\r\n.\r\n"


@pytest.mark.parametrize(
    ("mishap", "sender", "until", "ends", "fate"),
    [
        (Mishap.EOF, Side.CLIENT, END, [Cause.EOF, Cause.EOF], Fate.ACCEPTED),
        (Mishap.EOF, Side.CLIENT, END[:-1], [Cause.EOF, Cause.EOF], Fate.UNKNOWN),
        (Mishap.EOF, Side.SERVER, b"354 ", [Cause.EOF, Cause.EOF], Fate.UNSENT),
        (Mishap.CUT, Side.CLIENT, END, [Cause.EOF, Cause.EOF], Fate.UNKNOWN),
        (Mishap.CUT, Side.CLIENT, b"DATA", [Cause.EOF, Cause.EOF], Fate.UNSENT),
        (Mishap.STALL, Side.CLIENT, END[:-1], [Cause.TIMED_OUT, Cause.REJECTED], Fate.REFUSED),
        (Mishap.STALL, Side.SERVER, b"Message acc", [Cause.TIMED_OUT, Cause.TIMED_OUT], Fate.UNKNOWN),
        (Mishap.DROP, Side.CLIENT, END, [Cause.TIMED_OUT, Cause.TIMED_OUT], Fate.UNKNOWN),
        (Mishap.JAM, Side.CLIENT, b"DATA\r", [Cause.TIMED_OUT, Cause.TIMED_OUT], Fate.UNSENT),
        (Mishap.JAM, Side.SERVER, b"354", [Cause.EOF, Cause.TIMED_OUT], Fate.UNSENT),
    ],
)
def test_mishap(mishap: Mishap, sender: Side, until: bytes, ends: list[Cause], fate: Fate) -> None:
    pair = broken(mishap, sender, until)
    assert (causes(pair), fates(pair)) == (ends, [fate, fate]), pair.transcript()
    assert pair.disagreements() == []
    assert f"{mishap.name} after " in pair.transcript()


def test_garbage() -> None:
    pair = ConnectionPair(faults=[Fault(Side.SERVER, 10, Mishap.GARBAGE, b"\0"), Fault(Side.CLIENT, 9999)])
    pair.play(Greet())
    assert pair.client_end.seen(Closed)[0].violation is Violation.MALFORMED_REPLY


def test_faults_in_their_order() -> None:
    def garbage(after: int, octets: bytes) -> Fault:
        return Fault(Side.CLIENT, after, Mishap.GARBAGE, octets)

    pair = ConnectionPair(faults=[garbage(7, b"z"), garbage(5, b"x")])
    pair.add_fault(garbage(6, b"y"))
    pair.play(Greet("a.example"))
    said = b"".join(each.what for each in pair.log if isinstance(each.what, bytes) and each.side is Side.CLIENT)
    assert said.startswith(b"EHLO xyza.example\r\n")


def test_a_client_that_cannot_get_rid_of_its_message() -> None:
    pair = broken(Mishap.JAM, Side.CLIENT, b"DATA\r\n")
    assert pair.client_end.seen(Closed)[0].detail == "block"
    assert fates(pair) == [Fate.UNKNOWN, Fate.UNKNOWN]


def test_a_client_that_waits_to_give() -> None:
    server = ServerConfig(hostname="a", extensions=(CHUNKING,))
    client = ClientConfig(
        prefer_chunking=True, limits=ClientLimits(chunk_octets=2), timeouts=ClientTimeouts(command=180.0)
    )
    pair = ConnectionPair(server, client)
    pair.run()
    pair.do(Greet())
    pair.add_fault(Fault(Side.SERVER, pair.arrived(Side.SERVER) + 70, Mishap.STALL))
    pair.play(Send(ENVELOPE, b"abcdefgh", (1,)), Leave())
    assert causes(pair) == [Cause.EOF, Cause.TIMED_OUT]
    assert fates(pair) == [Fate.UNSENT, Fate.UNSENT]


def test_back_pressure() -> None:
    limits = Limits()
    pair = ConnectionPair(ServerConfig(hostname="a", limits=limits))
    pair.run()
    pair.do(Greet())
    message = b"x" * 70 + b"\r\n"
    pair.do(Send(ENVELOPE, message * 3000))
    assert pair.taken[0].message == message * 3000


# --- sessions without end ------------------------------------------------------------------------


def test_a_session_of_too_many_steps() -> None:
    with pytest.raises(EndlessSession, match="too many steps"):
        ConnectionPair(client_sizes=(1,), most_steps=50).play(Greet(), SEND)


def test_a_session_that_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = ConnectionPair()
    monkeypatch.setattr(pair, "_next_deadline", lambda: float("inf"))
    monkeypatch.setattr(pair, "run", lambda: None)
    with pytest.raises(EndlessSession, match="no deadline runs"):
        pair.play()


# --- disagreements -------------------------------------------------------------------------------


def finished() -> ConnectionPair:
    pair = ConnectionPair().play(Greet(), SEND, Leave())
    assert pair.disagreements() == []
    return pair


def test_a_message_that_the_server_does_not_have() -> None:
    pair = finished()
    pair.taken.clear()
    wrong = pair.disagreements()
    assert len(wrong) == 2
    assert wrong[0].startswith("c@d.example has the message, says the client, and the server took none")


def test_a_message_that_the_server_refused() -> None:
    pair = finished()
    pair.taken[0] = Taken(ENVELOPE, "DATA", b"Hello\r\n", (True, False))
    (wrong,) = pair.disagreements()
    assert "e" in wrong
    assert wrong.endswith("and the server took it for ['c@d.example']")


@pytest.mark.parametrize(
    "taken",
    [
        Taken(ENVELOPE, "DATA", b"Hello", (True, True)),
        Taken(ENVELOPE, "BDAT", b"Hello\r\n", (True, True)),
        Taken(Envelope(C, ENVELOPE.recipients), "DATA", b"Hello\r\n", (True, True)),
        Taken(Envelope(SENDER, (Recipient(SENDER),)), "DATA", b"Hello\r\n", (True,)),
        Taken(Envelope(SENDER, ENVELOPE.recipients, MailParams(size=5)), "DATA", b"Hello\r\n", (True, True)),
    ],
)
def test_a_message_that_nobody_sent(taken: Taken) -> None:
    pair = finished()
    pair.taken[0] = taken
    wrong = pair.disagreements()
    assert any(each.startswith(f"nobody sent {taken.message!r}") for each in wrong)
    assert len(wrong) == 3


def test_two_messages_that_are_alike() -> None:
    # The first was lost: the second is the one that was taken.
    def refuse(question: object) -> Reply | None:
        return NO if isinstance(question, MailFrom) and not asked.append(question) and len(asked) == 1 else None

    asked: list[object] = []
    pair = ConnectionPair(policy=Policy(refuse=refuse)).play(Greet(), SEND, SEND, Leave())
    assert fates(pair, 0) == [Fate.REFUSED, Fate.REFUSED]
    assert fates(pair, 1) == [Fate.ACCEPTED, Fate.ACCEPTED]
    assert pair.disagreements() == []


def test_normalised_messages_agree() -> None:
    client = ClientConfig(stray=Stray.NORMALISE)
    pair = ConnectionPair(client=client).play(Greet(), Send(ENVELOPE, b"a\nb\rc"), Leave())
    assert pair.taken[0].message == b"a\r\nb\r\nc\r\n"
    assert pair.disagreements() == []
    server = ServerConfig(hostname="a", extensions=ALL[:7])
    binary = Envelope(SENDER, (Recipient(C),), MailParams(body=Body.BINARY_MIME))
    pair = ConnectionPair(server, client).play(Greet(), Send(binary, b"a\nb\0"), Leave())
    assert pair.taken[0].message == b"a\nb\0"
    assert pair.disagreements() == []


def test_events_out_of_order() -> None:
    pair = finished()
    events = pair.client_end.events
    done = next(event for event in events if isinstance(event, TransactionDone))
    events.remove(done)
    (wrong,) = pair.disagreements()
    assert wrong.startswith("TransactionDone was said 0 times of ")
    events.append(done)
    (wrong,) = pair.disagreements()
    assert wrong.startswith("Closed is not the last event, said once, but at [")


def test_outcomes_out_of_order() -> None:
    class Shuffled:
        envelope = ENVELOPE
        done = True
        outcomes = finished().client_end.sent[0].transaction.outcomes[::-1]

    pair = finished()
    shuffled: Any = Shuffled()
    pair.client_end.sent[0] = Sent(shuffled, SEND)
    pair.client_end.events.insert(0, TransactionDone(shuffled))
    (wrong,) = pair.disagreements()
    assert wrong.startswith("the outcomes are not those of ")
