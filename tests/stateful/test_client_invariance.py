"""What a server says, cut anywhere, comes to the same events, the same output and the same end.

Whole sessions are tried. What the client's application does, it does between the same replies; and what it says
leaves there, too. That a reply may not begin before its command has left depends on how octets come, and so does what
stands in the clear behind the reply to STARTTLS: each of those has its tests elsewhere.
"""

import itertools
import re
from collections.abc import Callable
from typing import Any

from _client_play import CRAM, ENVELOPE, NAME, PLAIN, TLS, TWO, Play, replayed
from hypothesis import given, settings, strategies as st

from smtpcore import LMTP, SMTP, ClientConfig, ClientLimits, LocalProtocolError, Phase, Quirk, Transaction, Wait
from smtpcore.testing import pieces

# --- what the application does -----------------------------------------------------------------------


def _send(envelope: Any) -> Callable[[Play], None]:
    def send(play: Play) -> None:
        play.transaction = play.conn.send(envelope)

    return send


def _give(octets: bytes, *, end: bool) -> Callable[[Play], None]:
    def give(play: Play) -> None:
        if play.transaction is not None:
            play.conn.send_body(play.transaction, octets)
            if end:
                play.conn.end_body(play.transaction)

    return give


def _abort(play: Play) -> None:
    if play.transaction is not None:
        play.conn.abort(play.transaction)


INTENTS: dict[str, Callable[[Play], Any]] = {
    "hello": lambda play: play.conn.hello(NAME),
    "one": _send(ENVELOPE),
    "two": _send(TWO),
    "give": _give(b"x\r\n" * 20, end=False),
    "end": _give(b".y", end=True),
    "abort": _abort,
    "reset": lambda play: play.conn.reset(),
    "noop": lambda play: play.conn.noop(),
    "verify": lambda play: play.conn.verify("tim"),
    "cram": lambda play: play.conn.authenticate(CRAM),
    "plain": lambda play: play.conn.authenticate(PLAIN),
    "quit": lambda play: play.conn.quit(),
    "nothing": lambda play: None,
}

# --- what the server says ----------------------------------------------------------------------------

OFFERS = [
    "250-mx\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 AUTH PLAIN CRAM-MD5", "250 mx", "250-mx\r\n250 CHUNKING",
    "250-mx\r\n250-PIPELINING\r\n250 auth=PLAIN",
]  # fmt: skip
FITTING = {
    "greeting": ["220 mx", "220-mx\r\n220 hello", "220 mx", "554 No"],
    "EHLO": [*OFFERS, OFFERS[0], "502 No", "450 No"],
    "LHLO": [*OFFERS, OFFERS[0], "450 No"],
    "HELO": ["250 mx", "250 mx", "550 No"],
    "AUTH": ["334 PHhAeT4=", "235 Ok", "535 5.7.8 No", "334 !"],
    "exchange": ["235 Ok", "235 Ok", "535 No", "501 No", "334 !"],
    "MAIL": ["250 2.1.0 Ok", "250 Ok", "250-a\r\n250 b", "250", "550 No"],
    "RCPT": ["250 2.1.5 Ok", "250 Ok", "251 Forwarded", "250 Ok", "550-5.1.1 No\r\n550 5.1.1 such user", "450 No"],
    "DATA": ["354 Go", "354 Go", "354 Go", "451 No"],
    "BDAT": ["250 Ok", "250 Ok", "250 Ok", "552 No"],
    "verdict": ["250 2.0.0 queued", "250 Ok", "550-No\r\n550 at all", "451 Later"],
    "QUIT": ["221 Bye"],
}
ANY = ["250 Ok", "250 \xff\xe9", "250 " + "x" * 505, "250 Ok"]
ODD = [
    "250 Ok", "354 Go", "550 5.1.1 No", "503 No", "235 Ok", "334 ", "221 Bye", "259 odd", "421 Bye", "250 " + "x" * 520,
    "250-a\r\n251 b", "x", "250 a\rb", "250 a\nb", "250-", "250 \xff\xe9", "250 Ok\n", "",
]  # fmt: skip
Choice = tuple[int, str | None, str]
FAIR: list[Choice] = [(0, None, "")] * 12
# The numbers choose among what fits; one in about fifteen times something else comes. Behind the choices all is fair,
# or there is silence.
choice = st.tuples(st.integers(0, 11), st.sampled_from([None] * 14 + ["odd"]), st.sampled_from(ODD))
turn = st.tuples(
    st.sampled_from([*INTENTS, "one", "two", "give", "end", "end"]),
    st.tuples(st.lists(choice, max_size=6), st.sampled_from([FAIR, FAIR, FAIR, []])).map(
        lambda parts: parts[0] + parts[1]
    ),
)
opening = st.sampled_from(
    [["hello", "one"], ["hello", "two"], ["hello", "cram"], ["hello", "plain", "two"], ["nothing"]]
)
Moves = list[tuple[str, list[Choice]]]
moves = st.tuples(opening, st.lists(turn, max_size=8)).map(
    lambda parts: [(intent, FAIR) for intent in parts[0]] + parts[1]
)
Script = list[tuple[bytes, str]]


def written(moves: Moves, config: ClientConfig, dialect: Any) -> Script:
    """A script of replies that fit, for the most part, to what the client has said."""
    play = Play(config, dialect=dialect, tls=TLS)
    script: Script = []
    for intent, choices in moves:
        awaited = [each.edge.input for each in play.conn._expected]
        said = ""
        for name, (number, odd, line) in zip(awaited, choices, strict=False):
            fitting = FITTING.get(name, ANY)
            said += f"{line if odd else fitting[number % len(fitting)]}\r\n"
        octets = said.encode("latin-1")
        play.feed(octets)
        act(play, intent)
        script.append((octets, intent))
    return script


def act(play: Play, intent: str) -> bytes:
    """Do what *intent* says if that is possible, and let leave what is to be sent."""
    said = b""
    if play.wait is Wait.INTENT or intent in ("reset", "quit", "one", "two"):
        try:
            INTENTS[intent](play)
        except LocalProtocolError as error:
            said = f"# {error}\n".encode()
    said += play.sent()
    play.pump()
    return said


def play_it(script: Script, cuts: list[int], config: ClientConfig, dialect: Any) -> Any:
    """The events, the output, and how it ended."""
    play = Play(config, dialect=dialect, tls=TLS)
    said: list[bytes] = []
    transactions: dict[int, Transaction] = {}
    for octets, intent in script:
        for piece in pieces(octets, cuts):
            play.feed(piece)
        said.append(act(play, intent))
        if play.transaction is not None:
            transactions[id(play.transaction)] = play.transaction
    play.eof()
    fates = [[(each.fate.name, str(each.reply)) for each in tx.outcomes] for tx in transactions.values()]
    return replayed(play), b"|".join(said), fates, play.conn.phase, play.wait


CONFIGS = [
    ClientConfig(),
    ClientConfig(prefer_chunking=True, limits=ClientLimits(chunk_octets=25, unanswered_chunks=2)),
    ClientConfig(quirks=frozenset({Quirk.BARE_LF}), limits=ClientLimits(reply_line_octets=512, reply_lines=4)),
    ClientConfig(pipelining=False),
]


@settings(max_examples=400)
@given(
    moves=moves,
    cuts=st.lists(st.integers(1, 80), max_size=6),
    config=st.sampled_from(CONFIGS),
    dialect=st.sampled_from([SMTP, SMTP, LMTP]),
)
def test_cuts_change_nothing(moves: Moves, cuts: list[int], config: ClientConfig, dialect: Any) -> None:
    script = written(moves, config, dialect)
    whole = play_it(script, [], config, dialect)
    assert play_it(script, cuts, config, dialect) == whole
    assert play_it(script, list(range(1, 600)), config, dialect) == whole
    events, _, _, phase, wait = whole
    assert (phase, wait) == (Phase.CLOSED, Wait.CLOSED)
    assert sum(event.startswith("Closed") for event in events) == 1


GOOD_SESSION = [
    (b"220-mx\r\n220 hello\r\n", "hello"),
    (b"250-mx\r\n250-PIPELINING\r\n250 AUTH CRAM-MD5\r\n", "cram"),
    (b"334 PHhAeT4=\r\n", "nothing"),
    (b"235 2.7.0 Ok\r\n", "two"),
    (b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n550-5.1.1 No\r\n550 5.1.1 such user\r\n354 Go\r\n", "give"),
    (b"", "end"),
    (b"250 2.0.0 queued\r\n", "quit"),
    (b"221 2.0.0 Bye\r\n", "nothing"),
]


def test_every_single_cut_and_every_pair_of_a_good_session() -> None:
    whole = play_it(GOOD_SESSION, [], ClientConfig(), SMTP)
    assert re.search("cause=<Cause.QUIT", whole[0][-1])
    assert [fate for ((fate, _), *_) in whole[2]] == ["ACCEPTED"]
    longest = max(len(octets) for octets, _ in GOOD_SESSION)
    for cut in range(1, longest):
        assert play_it(GOOD_SESSION, [cut], ClientConfig(), SMTP) == whole
    for pair in itertools.combinations(range(1, longest, 3), 2):
        assert play_it(GOOD_SESSION, list(pair), ClientConfig(), SMTP) == whole
