"""The two ends of a session agree on what became of every message, whatever was said and wherever the link broke.

The server offers any extensions, refuses any recipients and gives any verdicts; the octets are cut anywhere, in both
directions; the link fails at any octet of either. What must hold then of each recipient:

- ACCEPTED: the server's application took the message for it, octet for octet as it was given;
- REFUSED, UNSENT: it did not;
- UNKNOWN: the link broke after the end of the message was handed out, and before the reply to it.
"""

import functools
import re
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from smtpcore import (
    LMTP,
    SMTP,
    Cause,
    ClientConfig,
    Closed,
    Envelope,
    Fate,
    Mailbox,
    MessageAnswer,
    NullPath,
    RcptTo,
    Recipient,
    Reply,
    ServerConfig,
    TransactionDone,
)
from smtpcore.extensions import CHUNKING, ENHANCEDSTATUSCODES, PIPELINING, STARTTLS
from smtpcore.testing import ConnectionPair, Fault, Greet, Intent, Leave, Mishap, Policy, Secure, Send, Side
from smtpcore.testing.strategies import HARMS, Session, sessions

MORE = settings(max_examples=settings().max_examples * 2)


def check(pair: ConnectionPair) -> None:
    """See that the two ends of a session agree, and that the client doubts only what it cannot know."""
    assert pair.closed
    wrong = [*pair.disagreements(), *needless_doubts(pair)]
    assert not wrong, "\n".join([*wrong, pair.transcript()])


def needless_doubts(pair: ConnectionPair) -> Iterator[str]:
    client = pair.client_end
    (closed,) = client.seen(Closed)
    if closed.violation is not None:
        yield f"the server broke no rule, and the client says {closed}"
    out = pair.octets(Side.CLIENT)
    for sent in client.sent:
        unknown = [each.recipient for each in sent.transaction.outcomes if each.fate is Fate.UNKNOWN]
        answers = [each for each in client.seen(MessageAnswer) if each.transaction is sent.transaction]
        if unknown and closed.cause is Cause.QUIT:
            yield "a reply did not come, and the session ended in good order"
        if unknown and not ended(out, sent.intent.message):
            yield f"the end was not handed out, and it is not known what became of {unknown}"
        if any(each.recipient is None or each.recipient in unknown for each in answers) and unknown:
            yield f"{answers}, and it is not known what became of {unknown}"


def ended(out: bytes, message: bytes) -> bool:
    """Whether the end of *message* is in what the client has handed out: by hand, from RFC 5321 and RFC 3030."""
    text = re.sub(rb"\r\n|\r|\n", b"\r\n", message)
    lines = text.removesuffix(b"\r\n").split(b"\r\n") if text else []
    dotted = b"".join((b"." if line.startswith(b".") else b"") + line + b"\r\n" for line in lines)
    return dotted + b".\r\n" in out or b" LAST\r\n" in out


@pytest.mark.catalogue("F13")
@MORE
@given(session=sessions(stray=True))
def test_both_ends_agree(session: Session) -> None:
    check(session.play())


@given(session=sessions(mishaps=(), go_away=0))
def test_over_a_link_that_works_nothing_is_unknown(session: Session) -> None:
    pair = session.play()
    check(pair)
    fates = {each.fate for sent in pair.client_end.sent for each in sent.transaction.outcomes}
    assert Fate.UNKNOWN not in fates


@given(session=sessions(mishaps=list(Mishap), stray=True))
def test_every_session_ends_whatever_comes(session: Session) -> None:
    # With octets in it that nobody sent, all that is certain is that both ends come to an end, and say so once.
    pair = session.play()
    assert pair.closed
    assert isinstance(pair.server_end.events[-1], Closed)
    assert [type(event) for event in pair.client_end.events].count(Closed) == 1
    for sent in pair.client_end.sent:
        told = [event for event in pair.client_end.seen(TransactionDone) if event.transaction is sent.transaction]
        assert len(told) == 1


def test_the_sessions_are_not_all_alike() -> None:
    # The laws above say nothing of messages that never get far.
    seen: set[object] = set()
    wanted = {
        *Fate, "SMTP", "SUBMISSION", "LMTP", "DATA", "BDAT", ("accepted", True), ("accepted", False),
        Cause.QUIT, Cause.ABORTED, Cause.EOF, Cause.TIMED_OUT, Cause.REJECTED,
    }  # fmt: skip

    # Which examples there are hangs on the modules that were imported, so some rounds may be needed.
    for number in range(10):

        @seed(number)
        @settings(max_examples=100, database=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
        @given(session=sessions())
        def collect(session: Session) -> None:
            if seen >= wanted:
                return
            pair = session.play()
            seen.update(each.fate for sent in pair.client_end.sent for each in sent.transaction.outcomes)
            for taken in pair.taken:
                seen.update((session.dialect.name, taken.verb, ("accepted", any(taken.accepted))))
            seen.update(event.cause for event in pair.client_end.seen(Closed))

        collect()
        if seen >= wanted:
            break
    assert seen >= wanted


# --- one session, broken at each octet -----------------------------------------------------------------

TO = tuple(Recipient(Mailbox.parse(f"{name}@d.example")) for name in ("c", "e", "no"))
PLAN: tuple[Intent, ...] = (
    Greet("a.example"),
    Secure(),
    Greet("a.example"),
    Send(Envelope(Mailbox.parse("a@b.example"), TO), b"Hello\r\n.x\r\n", (4,)),
    Send(Envelope(NullPath(), TO[:2]), b"Bye", (2,)),
    Leave(),
)


def _refuse(question: object) -> Reply | None:
    return Reply(550, "No") if isinstance(question, RcptTo) and question.path == TO[2].path else None


def _verdict(envelope: Envelope, message: bytes, recipient: Recipient | None) -> Reply | None:
    return Reply(450, "Full") if recipient == TO[1] else None


SERVER = ServerConfig(hostname="mx", extensions=(PIPELINING, ENHANCEDSTATUSCODES, CHUNKING, STARTTLS))
ONE_BY_ONE = ServerConfig(hostname="mx", extensions=(STARTTLS,))
BY_DATA = ClientConfig()
BY_BDAT = ClientConfig(prefer_chunking=True)

RECORDED = {
    "DATA": (SERVER, BY_DATA, SMTP, False),
    "DATA ahead": (SERVER, BY_DATA, SMTP, True),
    "one by one": (ONE_BY_ONE, BY_DATA, SMTP, False),
    "BDAT": (SERVER, BY_BDAT, SMTP, False),
    "LMTP": (SERVER, BY_DATA, LMTP, False),
    "LMTP BDAT": (SERVER, BY_BDAT, LMTP, True),
}


def record(name: str, *faults: Fault) -> ConnectionPair:
    server, client, dialect, ahead = RECORDED[name]
    policy = Policy(refuse=_refuse, verdict=_verdict)
    return ConnectionPair(server, client, dialect=dialect, policy=policy, faults=faults, ahead=ahead).play(*PLAN)


@functools.cache
def whole(name: str) -> ConnectionPair:
    pair = record(name)
    check(pair)
    assert len(pair.taken) == 2
    return pair


def breaks() -> Iterator[object]:
    for name in RECORDED:
        for mishap in HARMS if name == "DATA" else (Mishap.EOF, Mishap.CUT):
            for side in Side:
                yield pytest.param(name, mishap, side, id=f"{name} {mishap.name} {side.value}")


def test_the_recorded_session_has_the_length_of_some() -> None:
    pair = whole("DATA")
    assert len(pair.octets(Side.CLIENT)) + len(pair.octets(Side.SERVER)) > 600


@pytest.mark.catalogue("F13")
@pytest.mark.parametrize(("name", "mishap", "side"), list(breaks()))
def test_broken_at_each_octet(name: str, mishap: Mishap, side: Side) -> None:
    fates = set()
    for after in range(len(whole(name).octets(side)) + 1):
        pair = record(name, Fault(side, after, mishap))
        check(pair)
        fates.update(each.fate for sent in pair.client_end.sent for each in sent.transaction.outcomes)
    # A server that hears no more says 421 before the client has lost its patience.
    hopeless = {Fate.UNKNOWN} if (mishap, side) == (Mishap.STALL, Side.CLIENT) else set()
    assert fates == set(Fate) - hopeless
