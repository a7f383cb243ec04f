"""SCRAM's client: against the RFCs' examples, the server side, another implementation, and hostile servers."""

import hashlib
import hmac
import time
import traceback
from base64 import b64decode, b64encode
from collections.abc import Callable

import pytest
from hypothesis import given, settings, strategies as st
from linearity import assert_linear
from sasl_play import Application, Question, converse, play_client
from sasl_texts import NO_NAMES, NO_PASSWORDS, NO_STORED_PASSWORDS, TEXT
from scramp import ScramException, ScramMechanism

from smtpcore._errors import GrammarError, LocalProtocolError
from smtpcore._events import Identity, SecretWanted, TlsInfo
from smtpcore._secret import Secret
from smtpcore._value import evolve
from smtpcore.sasl import (
    SCRAM_SHA_1,
    SCRAM_SHA_1_PLUS,
    SCRAM_SHA_256,
    SCRAM_SHA_256_PLUS,
    BadChallenge,
    ClientMechanism,
    Scram,
    ScramClient,
    Strength,
    saslprep,
    scram_key,
)
from smtpcore.sasl.scram import (
    MAX_ITERATIONS,
    MIN_ITERATIONS,
    _match_error,
    _match_nonce,
    _match_server_final,
    _match_server_first,
)

BINDING = "tls-server-end-point"
DATA = b"the hash of a certificate"
TLS = TlsInfo(channel_bindings={BINDING: DATA})
SERVERS = [SCRAM_SHA_1, SCRAM_SHA_1_PLUS, SCRAM_SHA_256, SCRAM_SHA_256_PLUS]
FORMS = pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)


def client_of(
    server: Scram, username: str = "user", password: str = "pencil", authzid: str | None = None
) -> ScramClient:
    return ScramClient(
        name=server.name, hash_name=server.hash_name, username=username, password=Secret(password), authzid=authzid
    )


CLIENT = evolve(client_of(SCRAM_SHA_1), nonce=lambda: "fyko+d2lbbFgONRv9qkxdawL")
MECHANISM: ClientMechanism = CLIENT

# --- the RFCs' own exchanges ---------------------------------------------------------------------

# RFC 5802 5
FIRST = b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL"
NONCE = "fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j"
SERVER_FIRST = f"r={NONCE},s=QSXCR+Q6sek8bf92,i=4096".encode()
FINAL = f"c=biws,r={NONCE},p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=".encode()
SERVER_FINAL = b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ="


def test_rfc5802_5_example() -> None:
    play_client(CLIENT.start(None), (FIRST, SERVER_FIRST), (FINAL, SERVER_FINAL), (b"", None))


def test_rfc7677_3_example() -> None:
    client = evolve(client_of(SCRAM_SHA_256), nonce=lambda: "rOprNGfwEbeRWgbNEkqO")
    nonce = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    play_client(
        client.start(None),
        (b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO", nonce + b",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"),
        (
            b"c=biws," + nonce + b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        ),
        (b"", None),
    )


# --- what it is given ----------------------------------------------------------------------------


@FORMS
def test_facts(server: Scram) -> None:
    client = client_of(server)
    assert client.name == server.name
    assert client.strength == (Strength.BOUND if server.binds else Strength.MUTUAL)
    assert client.available(TLS)
    for tls in (None, TlsInfo(), TlsInfo(channel_bindings={"tls-unique": b"x"})):
        assert client.available(tls) is not server.binds


def test_nonce_is_new_each_time() -> None:
    assert len({next(client_of(SCRAM_SHA_256).start(None)) for _ in range(10)}) == 10


@pytest.mark.parametrize(
    ("username", "authzid", "said"),
    [
        ("us,er=", None, b"n,,n=us=2Cer=3D,r="),
        ("user", "o,th=er", b"n,a=o=2Cth=3Der,n=user,r="),
        # RFC 5802 5.1: the client prepares the name, as a query
        ("I\u00adX\u00a0\u0221", None, "n,,n=IX \u0221,r=".encode()),
        # but not the other one
        ("user", "\u00aa", "n,a=\u00aa,n=user,r=".encode()),
    ],
)
def test_names(username: str, authzid: str | None, said: bytes) -> None:
    message = next(client_of(SCRAM_SHA_1, username, authzid=authzid).start(None))
    assert message is not None
    assert message.startswith(said)


@pytest.mark.catalogue("B5", "D8")
@pytest.mark.parametrize("name", NO_NAMES)
def test_bad_name(name: str) -> None:
    with pytest.raises(LocalProtocolError):
        client_of(SCRAM_SHA_1, name)
    with pytest.raises(LocalProtocolError):
        client_of(SCRAM_SHA_1, authzid=name)


# RFC 5802 2.2: the password is prepared as a stored string
@pytest.mark.parametrize("password", [*NO_PASSWORDS, *(text.encode() for text in NO_STORED_PASSWORDS)])
def test_bad_password(password: bytes) -> None:
    with pytest.raises(LocalProtocolError) as raised:
        evolve(CLIENT, password=Secret(password))
    assert raised.value.__context__ is None


@pytest.mark.catalogue("B5")
@pytest.mark.parametrize("name", ["", "scram-sha-1", "SCRAM SHA-1", "SCRAM-SHA-1\r\n", "SCRAM-SHA-1\n", "X" * 21, "É"])
def test_bad_mechanism_name(name: str) -> None:
    with pytest.raises(LocalProtocolError):
        evolve(CLIENT, name=name)


@pytest.mark.parametrize("hash_name", ["", "SCRAM-SHA-1", "md6", "shake_128"])
def test_bad_hash(hash_name: str) -> None:
    with pytest.raises(LocalProtocolError):
        evolve(CLIENT, hash_name=hash_name)


def test_more_hashes() -> None:
    server = Scram(name="SCRAM-SHA-512", hash_name="sha512")
    key = scram_key(Secret("pencil"), iterations=4096, hash_name="sha512")
    assert converse(client_of(server).start(None), server.start(None), lambda question: key) == Identity("user")


@pytest.mark.catalogue("B5")
@pytest.mark.parametrize("nonce", ["", "a,b", "a b", "a\r\nb", "a\n", "é", "x" * 1025])
def test_bad_nonce(nonce: str) -> None:
    with pytest.raises(LocalProtocolError):
        evolve(CLIENT, nonce=lambda: nonce).start(None)


# --- binding -------------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", [None, TlsInfo(), TlsInfo(channel_bindings={BINDING: b"", "tls-unique": b"x"})])
def test_nothing_to_bind_to(tls: TlsInfo | None) -> None:
    with pytest.raises(LocalProtocolError):
        client_of(SCRAM_SHA_256_PLUS).start(tls)


def first_of(client: ScramClient, tls: TlsInfo | None) -> bytes:
    said = next(client.start(tls))
    assert said is not None
    return said.partition(b",n=")[0]


def test_flag() -> None:
    for could_bind in (False, True):
        plus = evolve(client_of(SCRAM_SHA_256_PLUS), could_bind=could_bind)
        assert first_of(plus, TLS) == b"p=tls-server-end-point,"
        client = evolve(client_of(SCRAM_SHA_256), could_bind=could_bind)
        assert first_of(client, TLS) == (b"y," if could_bind else b"n,")
        # One that could not bind here says so.
        assert first_of(client, None) == first_of(client, TlsInfo()) == b"n,"


@pytest.mark.catalogue("D2")
def test_server_notices_that_its_offer_was_cut() -> None:
    key = scram_key(Secret("pencil"), iterations=4096)
    client = evolve(client_of(SCRAM_SHA_256), could_bind=True)
    assert converse(client.start(TLS), SCRAM_SHA_256.start(TLS), lambda question: key) is None
    # A server that cannot bind has offered nothing of the kind.
    assert converse(client.start(TLS), SCRAM_SHA_256.start(TlsInfo()), lambda question: key) == Identity("user")


@pytest.mark.parametrize("server", [SCRAM_SHA_1_PLUS, SCRAM_SHA_256_PLUS], ids=lambda server: server.name)
def test_somebody_between(server: Scram) -> None:
    key = scram_key(Secret("pencil"), iterations=4096, hash_name=server.hash_name)
    other = TlsInfo(channel_bindings={BINDING: b"the hash of another"})
    assert converse(client_of(server).start(other), server.start(TLS), lambda question: key) is None
    assert converse(client_of(server).start(TLS), server.start(TLS), lambda question: key) == Identity("user")


# --- against the server side, and another implementation -----------------------------------------


def can_be_hashed(text: str) -> bool:
    try:
        return bool(saslprep(text, stored=True))
    except GrammarError:
        return False


STORED = TEXT.filter(can_be_hashed)


@FORMS
@settings(max_examples=25)
@given(username=TEXT, password=STORED, kept=STORED, authzid=st.none() | TEXT, iterations=st.integers(4096, 5000))
def test_client_and_server(
    server: Scram, username: str, password: str, kept: str, authzid: str | None, iterations: int
) -> None:
    keys = {
        text: scram_key(Secret(text), iterations=iterations, hash_name=server.hash_name) for text in (password, kept)
    }
    exchange = client_of(server, username, password, authzid).start(TLS)
    asked: list[Question] = []

    identity = converse(exchange, server.start(TLS), Application(keys[password], asked))
    name, other = saslprep(username), saslprep(authzid or username)
    assert asked == [SecretWanted(server.name, name, None if other == name else other)]
    assert identity == (Identity(name) if other == name else Identity(other, authenticated_as=name))

    exchange = client_of(server, username, password, authzid).start(TLS)
    identity = converse(exchange, server.start(TLS), Application(keys[kept], []))
    assert (identity is not None) is (saslprep(kept) == saslprep(password))


def with_scramp(client: ScramClient, password: str, tls: TlsInfo | None, binding: bytes | None) -> None:
    """An exchange with scramp's server, for which *password* is that of everybody."""
    mechanism = ScramMechanism(client.name)
    salt, stored, server_key, iterations = mechanism.make_auth_info(password, 4096)
    server = mechanism.make_server(
        lambda name: (salt, stored, server_key, iterations),
        channel_binding=None if binding is None else (BINDING, binding),
    )
    exchange = client.start(tls)
    said = next(exchange)
    assert said is not None
    server.set_client_first(said.decode())
    said = exchange.send(server.get_server_first().encode())
    assert said is not None
    try:
        server.set_client_final(said.decode())
    except ScramException:
        # It says why: "e=...".
        with pytest.raises(BadChallenge, match="the server says"):
            exchange.send(server.get_server_final().encode())
        raise
    assert exchange.send(server.get_server_final().encode()) == b""
    with pytest.raises(StopIteration):
        exchange.send(None)


@FORMS
@settings(max_examples=25)
@given(username=STORED, password=STORED, wrong=STORED)
def test_with_scramp(server: Scram, username: str, password: str, wrong: str) -> None:
    binding = DATA if server.binds else None
    client = client_of(server, username, password)
    with_scramp(client, password, TLS, binding)
    if saslprep(wrong) != saslprep(password):
        with pytest.raises(ScramException):
            with_scramp(client, wrong, TLS, binding)


def test_scramp_notices_the_downgrade_and_the_one_between() -> None:
    could = evolve(client_of(SCRAM_SHA_256), could_bind=True)
    with_scramp(could, "pencil", TLS, None)
    with pytest.raises(ScramException, match="think"):
        with_scramp(could, "pencil", TLS, DATA)
    with pytest.raises(ScramException, match="bindings"):
        with_scramp(client_of(SCRAM_SHA_256_PLUS), "pencil", TLS, b"another")


# --- hostile servers -----------------------------------------------------------------------------

SALT = "s=QSXCR+Q6sek8bf92"
# What is not allowed where it stands, and never will be
KNOWN = [f"{letter}=y" for letter in "anmrcsipve"]


@pytest.mark.parametrize(
    "challenge",
    [
        # success before anything was proved
        None,
        "",
        "r=",
        f"r={NONCE}",
        f"r={NONCE},{SALT}",
        f"r={NONCE},i=4096",
        f"{SALT},r={NONCE},i=4096",
        f"r={NONCE},i=4096,{SALT}",
        f"r={NONCE},{SALT},i=4096,",
        f"r={NONCE},{SALT},i=4096\n",
        f"r={NONCE},{SALT},i=4096\0",
        f"r={NONCE},{SALT},i=4096,b",
        f"r={NONCE},{SALT},i=4096,b=",
        f"R={NONCE},{SALT},i=4096",
        # RFC 5802 5.1: "m" is reserved
        f"m=x,r={NONCE},{SALT},i=4096",
        *(f"r={NONCE},{SALT},i=4096,{known}" for known in KNOWN),
        *(f"r={NONCE},{SALT},i=4096,b=x,{known}" for known in KNOWN),
        # the nonce: another, the client's only, cut, in other case, none, no text, too long
        f"r=3rfcNHYJY1ZVvWVs7j,{SALT},i=4096",
        f"r=x{NONCE},{SALT},i=4096",
        f"r=fyko+d2lbbFgONRv9qkxdawL,{SALT},i=4096",
        f"r=fyko+d2lbbFgONRv9qkxdaw,{SALT},i=4096",
        f"r={NONCE.upper()},{SALT},i=4096",
        f"r=,{SALT},i=4096",
        f"r={NONCE}é,{SALT},i=4096",
        f"r={NONCE} ,{SALT},i=4096",
        f"r={NONCE}{'x' * 2048},{SALT},i=4096",
        # the salt: none, and no base64
        f"r={NONCE},s=,i=4096",
        f"r={NONCE},s=Q,i=4096",
        f"r={NONCE},s=QSXCR-Q6,i=4096",
        f"r={NONCE},s====,i=4096",
        f"r={NONCE},s=QQ==QQ==,i=4096",
        # the iterations: none, and no number
        f"r={NONCE},{SALT},i=",
        f"r={NONCE},{SALT},i=0",
        f"r={NONCE},{SALT},i=04096",
        f"r={NONCE},{SALT},i=-4096",
        f"r={NONCE},{SALT},i=+4096",
        f"r={NONCE},{SALT},i=4096.0",
        f"r={NONCE},{SALT},i=٤٠٩٦",
        # too few and too many
        f"r={NONCE},{SALT},i=1",
        f"r={NONCE},{SALT},i=4095",
        f"r={NONCE},{SALT},i=1000001",
        f"r={NONCE},{SALT},i=4294967296",
        f"r={NONCE},{SALT},i={'9' * 5000}",
        # errors
        "e=other-error",
        "e=",
        "e=no\r\nbody",
        # the last message first
        SERVER_FINAL.decode(),
    ],
)
def test_bad_server_first(challenge: str | None) -> None:
    sent = None if challenge is None else challenge.encode()
    start = time.thread_time()
    with pytest.raises(BadChallenge):
        play_client(CLIENT.start(None), (FIRST, sent))
    # Nothing is hashed: MAX_ITERATIONS would take longer, and what is above it for ever.
    assert time.thread_time() - start < 0.2


def test_bad_server_first_that_is_no_text() -> None:
    with pytest.raises(BadChallenge):
        play_client(CLIENT.start(None), (FIRST, SERVER_FIRST + b",b=\xff"))


def test_iterations() -> None:
    assert (MIN_ITERATIONS, MAX_ITERATIONS) == (4096, 1_000_000)
    for iterations in (MIN_ITERATIONS, MAX_ITERATIONS):
        exchange = CLIENT.start(None)
        next(exchange)
        final = exchange.send(f"r={NONCE},{SALT},i={iterations}".encode())
        assert final is not None
        assert final.startswith(b"c=biws,r=")


def test_longest_nonce_and_shortest() -> None:
    for nonce in ("x" * 1024, "x"):
        exchange = evolve(CLIENT, nonce=lambda nonce=nonce: nonce).start(None)
        next(exchange)
        assert exchange.send(f"r={nonce}y,s=QQ==,i=4096".encode()) is not None


@pytest.mark.parametrize(
    "challenge",
    [
        # success, and the server has not proved that it knows the password
        None,
        "",
        "v=",
        "v",
        "rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        "v=rmF9pqV8S7suAoZWja4dJRkFsKQ",
        "v=rmF9pqV8S7suAoZWja4dJRkFsKU=",
        "v=smF9pqV8S7suAoZWja4dJRkFsKQ=",
        "v=rmF9pqV8S7suAoZWja4dJRkF",
        "v=rmF9pqV8S7suAoZWja4dJRkFsKQA",
        "v=" + "A" * 28,
        "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=,",
        "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=\n",
        "V=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        "x=y,v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        "e=other-error,v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        *(f"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=,{known}" for known in KNOWN),
        "e=invalid-proof",
        "e=invalid-proof,x=y",
        "e=no\r\nbody",
        "e=" + "x" * 65,
        SERVER_FIRST.decode(),
        # the client's own proof, sent back
        "v=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
    ],
)
def test_bad_server_final(challenge: str | None) -> None:
    sent = None if challenge is None else challenge.encode()
    with pytest.raises(BadChallenge):
        play_client(CLIENT.start(None), (FIRST, SERVER_FIRST), (FINAL, sent))


def test_bad_server_final_that_is_no_text() -> None:
    with pytest.raises(BadChallenge):
        play_client(CLIENT.start(None), (FIRST, SERVER_FIRST), (FINAL, SERVER_FINAL + b",b=\xff"))


@pytest.mark.parametrize("sent", [b"", SERVER_FINAL, b"more"])
def test_challenge_after_the_proof(sent: bytes) -> None:
    with pytest.raises(BadChallenge):
        play_client(CLIENT.start(None), (FIRST, SERVER_FIRST), (FINAL, SERVER_FINAL), (b"", sent))


@pytest.mark.parametrize(
    ("challenge", "text"),
    [
        (b"e=channel-bindings-dont-match", "the server says channel-bindings-dont-match"),
        (b"e=other-error,x=y", "the server says other-error"),
        # No text of the server's gets into ours, but for such a word.
        (b"e=Call 555-1234 now", "not a server-final-message"),
        ("e=\u202e".encode(), "not a server-final-message"),
        (b"e=\xff", "a server-final-message that is not UTF-8"),
        (b"v=AAAA", "the server does not know the password"),
    ],
)
def test_errors_tell(challenge: bytes, text: str) -> None:
    with pytest.raises(BadChallenge) as raised:
        play_client(CLIENT.start(None), (FIRST, SERVER_FIRST), (FINAL, challenge))
    assert str(raised.value) == text


def sign(client: ScramClient, first: bytes, server_first: bytes, final: bytes) -> bytes:
    """The server-final-message, by the formulas of RFC 5802 section 3."""
    bare, without_proof = first.split(b",", 2)[2], final.rpartition(b",p=")[0]
    salt, iterations = server_first.split(b",")[1:3]
    salted = hashlib.pbkdf2_hmac(client.hash_name, b"pencil", b64decode(salt[2:]), int(iterations[2:]))
    key = hmac.digest(salted, b"Server Key", client.hash_name)
    message = b",".join([bare, server_first, without_proof])
    return b"v=" + b64encode(hmac.digest(key, message, client.hash_name))


def test_extensions_are_ignored_but_signed() -> None:
    exchange = CLIENT.start(None)
    assert next(exchange) == FIRST
    server_first = SERVER_FIRST + ",b=é,X=1=".encode()
    final = exchange.send(server_first)
    assert final is not None
    assert exchange.send(sign(CLIENT, FIRST, server_first, final) + b",x=y") == b""
    # So a change on the way is noticed.
    exchange = CLIENT.start(None)
    next(exchange)
    exchange.send(server_first)
    with pytest.raises(BadChallenge):
        exchange.send(SERVER_FINAL)


def test_proof_of_another_exchange() -> None:
    """A server that replays what another has signed."""
    exchange = evolve(CLIENT, nonce=lambda: "another").start(None)
    next(exchange)
    exchange.send(f"r=another3rfc,{SALT},i=4096".encode())
    with pytest.raises(BadChallenge):
        exchange.send(SERVER_FINAL)


def test_signature_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    compare_digest = hmac.compare_digest

    def spy(a: bytes, b: bytes) -> bool:
        compared.append({a, b})
        return compare_digest(a, b)

    monkeypatch.setattr(hmac, "compare_digest", spy)
    test_rfc5802_5_example()
    assert compared == [{b64decode(SERVER_FINAL[2:])}]


@pytest.mark.catalogue("D12", "J3")
@pytest.mark.parametrize(
    "script",
    [
        [b"?"],
        [f"r={NONCE},{SALT},i=1".encode()],
        [SERVER_FIRST, None],
        [SERVER_FIRST, b"v=AAAA"],
        [SERVER_FIRST, b"\xff"],
    ],
)
def test_keys_and_password_do_not_show(script: list[bytes | None]) -> None:
    """The frames of an error hold neither the password nor what is as good as it."""
    salted = hashlib.pbkdf2_hmac("sha1", b"pencil", b64decode("QSXCR+Q6sek8bf92"), 4096)
    client_key = hmac.digest(salted, b"Client Key", "sha1")
    exchange = CLIENT.start(None)
    next(exchange)
    for sent in script[:-1]:
        exchange.send(sent)
    with pytest.raises(BadChallenge) as raised:
        exchange.send(script[-1])
    assert raised.tb.tb_next is not None
    frames = traceback.walk_tb(raised.tb.tb_next)
    shown = "".join(traceback.StackSummary.extract(frames, capture_locals=True).format())
    for secret in (b"pencil", salted, client_key, b64decode(SERVER_FINAL[2:])):
        assert repr(secret)[2:-1] not in shown


# --- linear time ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda n: "r=" + "x" * n,
        lambda n: "r=x,s=" + "AAAA" * n,
        lambda n: "r=x,s=" + "AAAA" * n + "A,i=1",
        lambda n: "r=x,s=AAAA,i=" + "1" * n,
        lambda n: "r=x,s=AAAA,i=1" + ",b=y" * n + ",",
        lambda n: "r=x,s=AAAA,i=1,b=" + "é" * n + "\0",
    ],
)
def test_server_first_is_read_in_linear_time(make: Callable[[int], str]) -> None:
    assert_linear(_match_server_first, make)


@pytest.mark.parametrize(
    "make", [lambda n: "v=" + "AAAA" * n + "A", lambda n: "v=" + ",b=y" * n + ",", lambda n: "e=" + "x" * n]
)
def test_server_final_is_read_in_linear_time(make: Callable[[int], str]) -> None:
    assert_linear(_match_server_final, make)
    assert_linear(_match_error, make)


def test_nonce_is_read_in_linear_time() -> None:
    assert_linear(_match_nonce, lambda n: "x" * n)
