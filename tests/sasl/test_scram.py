import hmac
import time
from base64 import b64decode, b64encode
from collections.abc import Callable
from hashlib import pbkdf2_hmac

import attrs
import pytest
from hypothesis import assume, given, settings, strategies as st
from sasl_play import EMPTY, play
from scramp import ScramClient, ScramMechanism

from smtpcore._errors import GrammarError
from smtpcore._events import Identity, SecretWanted, TlsInfo
from smtpcore._secret import Secret
from smtpcore.sasl import (
    SCRAM_SHA_1,
    SCRAM_SHA_1_PLUS,
    SCRAM_SHA_256,
    SCRAM_SHA_256_PLUS,
    BadAnswer,
    Challenge,
    Exchange,
    Scram,
    ServerMechanism,
    saslprep,
    scram_key,
)
from smtpcore.sasl._stored import StoredKey
from smtpcore.sasl.scram import _match_final, _match_first

STANDARD = [SCRAM_SHA_1, SCRAM_SHA_1_PLUS, SCRAM_SHA_256, SCRAM_SHA_256_PLUS]
MECHANISMS: list[ServerMechanism] = [*STANDARD]
FORMS = pytest.mark.parametrize("mechanism", STANDARD, ids=lambda mechanism: mechanism.name)
PLAIN_FORMS = pytest.mark.parametrize("mechanism", [SCRAM_SHA_1, SCRAM_SHA_256], ids=lambda mechanism: mechanism.name)

BINDING = "tls-server-end-point"
DATA = b"the hash of a certificate"
TLS = TlsInfo(channel_bindings={BINDING: DATA})


# --- the RFCs' own exchanges ---------------------------------------------------------------------

SHA_1 = attrs.evolve(SCRAM_SHA_1, nonce=lambda: "3rfcNHYJY1ZVvWVs7j")
SHA_1_KEY = scram_key(
    Secret("pencil"), salt=b"\x41\x25\xc2\x47\xe4\x3a\xb1\xe9\x3c\x6d\xff\x76", iterations=4096, hash_name="sha1"
)
SHA_256 = attrs.evolve(SCRAM_SHA_256, nonce=lambda: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
SHA_256_KEY = scram_key(
    Secret("pencil"), salt=b"\x5b\x6d\x99\x68\x9d\x12\x35\x8e\xec\xa0\x4b\x14\x12\x36\xfa\x81", iterations=4096
)

FIRST = b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL"
WANTED = SecretWanted("SCRAM-SHA-1", "user")
SERVER_FIRST = Challenge(b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096")
FINAL = b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="
SERVER_FINAL = Challenge(b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=")


def test_rfc5802_5_example() -> None:
    script = ((EMPTY, FIRST), (WANTED, SHA_1_KEY), (SERVER_FIRST, FINAL), (SERVER_FINAL, b""))
    assert play(SHA_1.start(None), *script) == Identity("user")


def test_rfc7677_3_example() -> None:
    nonce = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    script = (
        (EMPTY, b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"),
        (SecretWanted("SCRAM-SHA-256", "user"), SHA_256_KEY),
        (
            Challenge(nonce + b",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"),
            b"c=biws," + nonce + b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        ),
        (Challenge(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), b""),
    )
    assert play(SHA_256.start(None), *script) == Identity("user")


# --- the offer -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", MECHANISMS, ids=lambda mechanism: mechanism.name)
def test_offer(mechanism: ServerMechanism) -> None:
    assert mechanism.initial
    plus = mechanism.name.endswith("-PLUS")
    assert mechanism.available(TLS)
    for tls in (
        None,
        TlsInfo(),
        TlsInfo(channel_bindings={"tls-unique": b"x"}),
        TlsInfo(channel_bindings={BINDING: b""}),
    ):
        assert mechanism.available(tls) is not plus


def test_names() -> None:
    assert [mechanism.name for mechanism in STANDARD] == [
        "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS",
    ]  # fmt: skip


def test_nonce_is_new_each_time() -> None:
    challenges = set()
    for _ in range(10):
        exchange = SCRAM_SHA_256.start(None)
        next(exchange)
        exchange.send(FIRST)
        challenge = exchange.send(SHA_256_KEY)
        assert isinstance(challenge, Challenge)
        assert challenge.octets.startswith(b"r=fyko+d2lbbFgONRv9qkxdawL")
        challenges.add(challenge)
    assert len(challenges) == 10


# --- against another implementation --------------------------------------------------------------


def talk(mechanism: Scram, client: ScramClient, key: StoredKey | None, tls: TlsInfo | None) -> Identity | None:
    """An exchange with *client*, which also verifies the server's signature."""
    exchange = mechanism.start(tls)
    assert next(exchange) == EMPTY
    try:
        assert isinstance(exchange.send(client.get_client_first().encode()), SecretWanted)
        challenge = exchange.send(key)
        assert isinstance(challenge, Challenge)
        client.set_server_first(challenge.octets.decode())
        challenge = exchange.send(client.get_client_final().encode())
        assert isinstance(challenge, Challenge)
        client.set_server_final(challenge.octets.decode())
        exchange.send(b"")
    except StopIteration as end:
        result: Identity | None = end.value
        return result
    raise AssertionError("the exchange goes on")


def prepares(text: str) -> bool:
    try:
        return bool(saslprep(text, stored=True))
    except GrammarError:
        return False


TEXT = st.one_of(
    st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=20),
    st.text(st.characters(max_codepoint=0x3FF, exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20),
).filter(prepares)


@FORMS
@settings(max_examples=25)
@given(username=TEXT, password=TEXT, wrong=TEXT, salt=st.binary(min_size=12, max_size=24), bound=st.booleans())
def test_with_scramp(mechanism: Scram, username: str, password: str, wrong: str, salt: bytes, bound: bool) -> None:
    # scramp sends "y" for a client that could bind; the engine shows a plain form no binding to check it against.
    tls = TLS if mechanism.binds else None
    binding = (BINDING, DATA) if mechanism.binds or bound else None
    key = scram_key(Secret(password), salt=salt, iterations=4096, hash_name=mechanism.hash_name)

    def client(shown: str) -> ScramClient:
        return ScramClient([mechanism.name], username, shown, channel_binding=binding)

    assert talk(mechanism, client(password), key, tls) == Identity(saslprep(username))
    assert talk(mechanism, client(password), None, tls) is None
    assume(saslprep(wrong) != saslprep(password))
    assert talk(mechanism, client(wrong), key, tls) is None


@pytest.mark.parametrize("mechanism", [SCRAM_SHA_1_PLUS, SCRAM_SHA_256_PLUS], ids=lambda mechanism: mechanism.name)
def test_somebody_between(mechanism: Scram) -> None:
    key = scram_key(Secret("pencil"), iterations=4096, hash_name=mechanism.hash_name)
    for data, identity in ((DATA, Identity("user")), (b"the hash of another", None)):
        client = ScramClient([mechanism.name], "user", "pencil", channel_binding=(BINDING, data))
        assert talk(mechanism, client, key, TLS) == identity


@pytest.mark.parametrize("hash_name", ["sha1", "sha256"])
@settings(max_examples=25)
@given(password=TEXT, salt=st.binary(min_size=12, max_size=24), iterations=st.integers(4096, 5000))
def test_key_of_scramp(hash_name: str, password: str, salt: bytes, iterations: int) -> None:
    theirs = ScramMechanism(f"SCRAM-SHA-{hash_name[3:]}").make_auth_info(password, iterations, salt)
    key = scram_key(Secret(password), salt=salt, iterations=iterations, hash_name=hash_name)
    assert (key.salt, key.stored_key.reveal(), key.server_key.reveal(), key.iterations) == theirs
    assert key.password is None


def test_key_by_default() -> None:
    first, second = scram_key(Secret("pencil")), scram_key(Secret("pencil"))
    assert first.salt != second.salt
    assert (len(first.salt), first.iterations, len(first.stored_key.reveal())) == (16, 15_000, 32)


@pytest.mark.parametrize(("password", "error"), [("a\nb", GrammarError), ("\U0001f642", GrammarError)])
def test_key_of_what_is_no_password(password: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        scram_key(Secret(password))


def test_key_of_what_is_no_text() -> None:
    with pytest.raises(UnicodeDecodeError):
        scram_key(Secret(b"\xff"))


def test_more_hashes() -> None:
    mechanism = Scram(name="SCRAM-SHA-512", hash_name="sha512")
    key = scram_key(Secret("pencil"), iterations=4096, hash_name="sha512")
    assert talk(mechanism, ScramClient(["SCRAM-SHA-512"], "user", "pencil"), key, None) == Identity("user")


# --- names ---------------------------------------------------------------------------------------


def first_of(mechanism: Scram, answer: bytes, tls: TlsInfo | None = None) -> object:
    """What *mechanism* says to a client-first-message."""
    exchange = mechanism.start(tls)
    next(exchange)
    return exchange.send(answer)


@pytest.mark.parametrize(
    ("sent", "username", "authzid"),
    [
        ("n,,n=user,r=x", "user", None),
        ("n,a=user,n=user,r=x", "user", None),
        ("n,a=other,n=user,r=x", "user", "other"),
        ("n,a=o=2Cther,n=us=3Der,r=x", "us=er", "o,ther"),
        ("n,a=\u2168,n=I\u00adX,r=x", "IX", None),
        ("n,,n=us=2Cer,r=!+-~,b=x=y,Z=é", "us,er", None),
    ],
)
def test_names_in_client_first(sent: str, username: str, authzid: str | None) -> None:
    assert first_of(SHA_1, sent.encode()) == SecretWanted("SCRAM-SHA-1", username, authzid)


@pytest.mark.catalogue("D9")
def test_acting_as_another() -> None:
    exchange = SHA_1.start(None)
    next(exchange)
    assert exchange.send(b"n,a=other,n=user,r=x") == SecretWanted("SCRAM-SHA-1", "user", "other")
    server_first = exchange.send(SHA_1_KEY)
    exchange.send(client_final(SHA_1_KEY, "n,a=other,", "n=user,r=x", server_first))
    assert end(exchange, b"") == Identity("other", authenticated_as="user")


@pytest.mark.catalogue("D8", "E10")
@pytest.mark.parametrize(
    "sent",
    [
        b"n,,n=no\r\nbody,r=x",
        b"n,a=no\r\nbody,n=user,r=x",
        b"n,,n=us\x7fer,r=x",
        b"n,,n=us\xefer,r=x",
        "n,,n=\u00ad,r=x".encode(),
        "n,a=\u00ad,n=user,r=x".encode(),
    ],
)
def test_bad_name(sent: bytes) -> None:
    with pytest.raises(BadAnswer):
        play(SHA_1.start(None), (EMPTY, sent))


# --- messages ------------------------------------------------------------------------------------


def client_final(
    key: StoredKey,
    gs2: str,
    bare: str,
    server_first: object,
    *,
    extensions: str = "",
    data: bytes = b"",
    nonce: str = "",
) -> bytes:
    """The client-final-message of one whose password is "pencil", by the formulas of RFC 5802 section 3."""
    assert isinstance(server_first, Challenge)
    said = server_first.octets.decode()
    hash_name = "sha1" if len(key.stored_key.reveal()) == 20 else "sha256"
    client_key = hmac.digest(pbkdf2_hmac(hash_name, b"pencil", key.salt, key.iterations), b"Client Key", hash_name)
    nonce = f"r={nonce}" if nonce else said.partition(",")[0]
    without_proof = f"c={b64encode(gs2.encode() + data).decode()},{nonce}{extensions}"
    signature = hmac.digest(key.stored_key.reveal(), f"{bare},{said},{without_proof}".encode(), hash_name)
    proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
    return f"{without_proof},p={b64encode(proof).decode()}".encode()


def end(exchange: Exchange, answer: bytes) -> Identity | None:
    """What *exchange* returns after *answer*."""
    with pytest.raises(StopIteration) as stop:
        exchange.send(answer)
    identity: Identity | None = stop.value.value
    return identity


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "n",
        "n,,",
        "n=user,r=x",
        ",,n=user,r=x",
        "n,n=user,r=x",
        "n,,,n=user,r=x",
        "N,,n=user,r=x",
        "z,,n=user,r=x",
        "ny,,n=user,r=x",
        "p,,n=user,r=x",
        "p=,,n=user,r=x",
        "p=a_b,,n=user,r=x",
        "n,other,n=user,r=x",
        "n,a=,n=user,r=x",
        "n,a=o=2cther,n=user,r=x",
        "n,,n=,r=x",
        "n,,user,r=x",
        "n,,n=us=er,r=x",
        "n,,n=user=,r=x",
        "n,,n=user=3d,r=x",
        "n,,n=us\0er,r=x",
        "n,,r=x,n=user",
        "n,,n=user",
        "n,,n=user,",
        "n,,n=user,r=",
        "n,,n=user,r=x y",
        "n,,n=user,r=x\x7f",
        "n,,n=user,r=é",
        "n,,n=user,r=x\n",
        "n,,n=user,r=" + "x" * 1025,
        "n,,n=user,r=x,",
        "n,,n=user,r=x,,b=y",
        "n,,n=user,r=x,b",
        "n,,n=user,r=x,b=",
        "n,,n=user,r=x,b=\0",
        "n,,n=user,r=x,bb=y",
        "n,,n=user,r=x,1=y",
        "n,,n=user,r=x,é=y",
        # RFC 5802 5.1: "m" is reserved; and nothing may be said twice, or by the wrong side
        "n,,m=y,n=user,r=x",
        *(f"n,,n=user,r=x,{letter}=y" for letter in "anmrcsipve"),
        *(f"n,,n=user,r=x,b=y,{letter}=y" for letter in "anmrcsipve"),
    ],
)
def test_bad_client_first(sent: str) -> None:
    with pytest.raises(BadAnswer):
        play(SHA_1.start(None), (EMPTY, sent.encode()))


def test_bad_client_first_that_is_no_text() -> None:
    with pytest.raises(BadAnswer):
        play(SHA_1.start(None), (EMPTY, FIRST + b",b=\xff"))


def test_longest_nonce() -> None:
    assert first_of(SHA_1, b"n,,n=user,r=" + b"x" * 1024) == WANTED


NONCE = "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j"
PROOF = "p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="


@pytest.mark.parametrize(
    "sent",
    [
        "",
        f"c=biws,{NONCE}",
        f"c=biws,{PROOF}",
        f"{NONCE},{PROOF}",
        f"{NONCE},c=biws,{PROOF}",
        f"c=biws,{PROOF},{NONCE}",
        f"c=biws,{NONCE},{PROOF},",
        f"c=biws,{NONCE},{PROOF}\n",
        f"c=biws,{NONCE},{PROOF},b=x",
        f"c=biws,{NONCE},{PROOF},{PROOF}",
        f"c=biw,{NONCE},{PROOF}",
        f"c=bi s,{NONCE},{PROOF}",
        f"c=biws\n,{NONCE},{PROOF}",
        f"c=biw=s,{NONCE},{PROOF}",
        f"c=biws,r=,{PROOF}",
        f"c=biws,{NONCE}é,{PROOF}",
        f"c=biws,{NONCE},p=v0X8v3Bz2T0CJGbJQyF0X+HI4T",
        f"c=biws,{NONCE},p=v0X8v3Bz2T0CJGbJQyF0X-HI4Ts=",
        f"c=biws,{NONCE},p=====",
        # base64, but not of twenty octets
        f"c=biws,{NONCE},p=",
        f"c=biws,{NONCE},p=v0X8v3Bz2T0CJGbJQyF0X+HI4Q==",
        f"c=biws,{NONCE},p=v0X8v3Bz2T0CJGbJQyF0X+HI4TsA",
        *(f"c=biws,{NONCE},{letter}=y,{PROOF}" for letter in "anmrcsipve"),
    ],
)
def test_bad_client_final(sent: str) -> None:
    with pytest.raises(BadAnswer):
        play(SHA_1.start(None), (EMPTY, FIRST), (WANTED, SHA_1_KEY), (SERVER_FIRST, sent.encode()))


def test_bad_client_final_that_is_no_text() -> None:
    with pytest.raises(BadAnswer):
        play(SHA_1.start(None), (EMPTY, FIRST), (WANTED, SHA_1_KEY), (SERVER_FIRST, FINAL + b"\xff"))


@pytest.mark.parametrize(
    "sent",
    [
        # another nonce: cut, longer, in other case, the client's own
        f"c=biws,{NONCE[:-1]},{PROOF}",
        f"c=biws,{NONCE}x,{PROOF}",
        f"c=biws,{NONCE.lower()},{PROOF}",
        f"c=biws,r=fyko+d2lbbFgONRv9qkxdawL,{PROOF}",
        # another GS2 header: "y,,", "n,a=x,", none, and "n,," with a stray bit
        f"c=eSws,{NONCE},{PROOF}",
        f"c=bixhPXgs,{NONCE},{PROOF}",
        f"c=,{NONCE},{PROOF}",
        f"c=biwsAA==,{NONCE},{PROOF}",
        # another proof, or one of another message
        f"c=biws,{NONCE},p=w0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        f"c=biws,{NONCE},b=x,{PROOF}",
    ],
)
def test_failing_client_final(sent: str) -> None:
    script = ((EMPTY, FIRST), (WANTED, SHA_1_KEY), (SERVER_FIRST, sent.encode()))
    assert play(SHA_1.start(None), *script) is None


@pytest.mark.parametrize("nonce", ["x", "xserver", "otherserver"])
def test_replay(nonce: str) -> None:
    """A proof that is right, of a nonce that is not."""
    exchange = attrs.evolve(SCRAM_SHA_1, nonce=lambda: "server2").start(None)
    next(exchange)
    exchange.send(b"n,,n=user,r=x")
    server_first = exchange.send(SHA_1_KEY)
    replayed = client_final(SHA_1_KEY, "n,,", "n=user,r=x", server_first, nonce=nonce)
    assert end(exchange, replayed) is None


def test_extensions_are_ignored_but_signed() -> None:
    exchange = SHA_1.start(None)
    next(exchange)
    bare = "n=user,r=x,b=1,Z==,z=é"
    exchange.send(f"n,,{bare}".encode())
    server_first = exchange.send(SHA_1_KEY)
    exchange.send(client_final(SHA_1_KEY, "n,,", bare, server_first, extensions=",b=é,X=1"))
    assert end(exchange, b"") == Identity("user")


def test_nothing_is_left_to_say() -> None:
    script = ((EMPTY, FIRST), (WANTED, SHA_1_KEY), (SERVER_FIRST, FINAL), (SERVER_FINAL, b"thanks"))
    with pytest.raises(BadAnswer):
        play(SHA_1.start(None), *script)


# Megabytes never get here. Quadratic time would be sixteen times that of linear.
@pytest.mark.parametrize(
    "make",
    [
        lambda n: "n,,n=" + "=2C" * n + "=",
        lambda n: "n,,n=" + "a" * n + "\0",
        lambda n: "n,,n=u,r=x" + ",b=y" * n + ",",
        lambda n: "p=" + "a" * n,
        lambda n: "n,a=" + "é" * n,
    ],
)
def test_client_first_is_read_in_linear_time(make: Callable[[int], str]) -> None:
    assert growth(_match_first, make) < 4


@pytest.mark.parametrize(
    "make",
    [
        lambda n: "c=" + "A" * n,
        lambda n: "c=AAAA,r=" + "x" * n,
        lambda n: "c=AAAA,r=x" + ",b=y" * n + ",p",
        lambda n: "c=AAAA,r=x,p=" + "AAAA" * n + "A",
    ],
)
def test_client_final_is_read_in_linear_time(make: Callable[[int], str]) -> None:
    assert growth(_match_final, make) < 4


def growth(match: Callable[[str], object], make: Callable[[int], str]) -> float:
    """By how much more the time grows than the input, when that grows sixteenfold."""

    def seconds(n: int) -> float:
        text = make(n)
        best = float("inf")
        for _ in range(5):
            start = time.thread_time()
            assert match(text) is None
            best = min(best, time.thread_time() - start)
        return best

    return seconds(320_000) / seconds(20_000) / 16


# --- binding -------------------------------------------------------------------------------------

PLUS_KEY = SHA_256_KEY


@PLAIN_FORMS
def test_client_was_told_of_no_plus(mechanism: Scram) -> None:
    first = b"y,,n=user,r=x"
    assert play(mechanism.start(TLS), (EMPTY, first)) is None
    # No -PLUS form was on offer, so nobody took it away.
    wanted = SecretWanted(mechanism.name, "user")
    assert first_of(mechanism, first) == wanted
    assert first_of(mechanism, first, TlsInfo(channel_bindings={"tls-unique": b"x"})) == wanted


@PLAIN_FORMS
def test_client_that_cannot_bind(mechanism: Scram) -> None:
    assert first_of(mechanism, b"n,,n=user,r=x", TLS) == SecretWanted(mechanism.name, "user")


@pytest.mark.parametrize(
    ("mechanism", "flag"),
    [(SCRAM_SHA_256, f"p={BINDING}"), (SCRAM_SHA_256_PLUS, "n"), (SCRAM_SHA_256_PLUS, "y")],
)
def test_flag_of_the_other_form(mechanism: Scram, flag: str) -> None:
    with pytest.raises(BadAnswer):
        play(mechanism.start(TLS), (EMPTY, f"{flag},,n=user,r=x".encode()))


@pytest.mark.parametrize(
    ("tls", "kind"),
    [
        (None, BINDING),
        (TlsInfo(), BINDING),
        (TlsInfo(channel_bindings={BINDING: b""}), BINDING),
        (TLS, "tls-unique"),
        (TLS, BINDING.upper()),
    ],
)
def test_unknown_binding(tls: TlsInfo | None, kind: str) -> None:
    assert play(SCRAM_SHA_256_PLUS.start(tls), (EMPTY, f"p={kind},,n=user,r=x".encode())) is None


@pytest.mark.parametrize(
    ("gs2", "data", "identity"),
    [
        (f"p={BINDING},,", DATA, Identity("user")),
        ("p=tls-exporter,,", b"another", Identity("user")),
        (f"p={BINDING},,", b"another", None),
        (f"p={BINDING},,", b"", None),
        (f"p={BINDING},,", DATA[:-1], None),
    ],
)
def test_binding(gs2: str, data: bytes, identity: Identity | None) -> None:
    tls = TlsInfo(channel_bindings={BINDING: DATA, "tls-exporter": b"another"})
    exchange = SCRAM_SHA_256_PLUS.start(tls)
    next(exchange)
    exchange.send(f"{gs2}n=user,r=x".encode())
    final = client_final(PLUS_KEY, gs2, "n=user,r=x", exchange.send(PLUS_KEY), data=data)
    if identity is not None:
        exchange.send(final)
        final = b""
    assert end(exchange, final) == identity


# --- names that nobody has -----------------------------------------------------------------------


def shown(mechanism: Scram, username: str, key: StoredKey | None = None) -> tuple[str, str]:
    """The salt and the iterations that one who calls itself *username* is shown."""
    exchange = mechanism.start(TLS)
    next(exchange)
    flag = f"p={BINDING}" if mechanism.binds else "n"
    exchange.send(f"{flag},,n={username},r=x".encode())
    challenge = exchange.send(key)
    assert isinstance(challenge, Challenge)
    _, salt, iterations = challenge.octets.decode().split(",")
    return salt, iterations


@pytest.mark.catalogue("D4")
def test_made_up_salt_tells_nothing() -> None:
    salt, iterations = shown(SCRAM_SHA_256, "nobody")
    assert iterations == "i=15000"
    assert len(b64decode(salt.removeprefix("s="))) == 16
    # It stays the same for a name, in both forms, and is another for every other.
    assert shown(SCRAM_SHA_256, "nobody") == (salt, iterations)
    assert shown(SCRAM_SHA_256, "no\u00adbody") == (salt, iterations)
    assert shown(SCRAM_SHA_256_PLUS, "nobody") == (salt, iterations)
    assert shown(SCRAM_SHA_256, "somebody")[0] != salt
    assert shown(SCRAM_SHA_1, "nobody")[0] != salt
    # Each mechanism that is given no seed has its own.
    new = [Scram(name="SCRAM-SHA-256", hash_name="sha256") for _ in range(2)]
    assert len({salt, *(shown(mechanism, "nobody")[0] for mechanism in new)}) == 3


def test_made_up_key_is_as_configured() -> None:
    mechanism = attrs.evolve(SCRAM_SHA_256, iterations=4096, salt_octets=24, seed=Secret("seed"))
    salt, iterations = shown(mechanism, "nobody")
    assert iterations == "i=4096"
    assert len(b64decode(salt.removeprefix("s="))) == 24
    assert shown(attrs.evolve(mechanism), "nobody") == (salt, iterations)


@pytest.mark.catalogue("D4")
def test_key_of_another_hash_counts_as_none() -> None:
    assert shown(SCRAM_SHA_256, "user", SHA_256_KEY) == ("s=W22ZaJ0SNY7soEsUEjb6gQ==", "i=4096")
    for key in (SHA_1_KEY, StoredKey(password=Secret("pencil"))):
        assert shown(SCRAM_SHA_256, "user", key) == shown(SCRAM_SHA_256, "user", None)


@pytest.mark.catalogue("D4")
@pytest.mark.parametrize("key", [None, SHA_1_KEY, scram_key(Secret("pen"), iterations=4096)])
def test_nobody_fails_like_one_with_a_wrong_password(key: StoredKey | None) -> None:
    exchange = attrs.evolve(SCRAM_SHA_256, iterations=4096).start(None)
    next(exchange)
    assert exchange.send(b"n,,n=user,r=x") == SecretWanted("SCRAM-SHA-256", "user")
    server_first = exchange.send(key)
    assert isinstance(server_first, Challenge)
    # The client does all that it can with the salt that it was shown.
    _, salt, iterations = server_first.octets.decode().split(",")
    assert iterations == "i=4096"
    guess = scram_key(Secret("pencil"), salt=b64decode(salt.removeprefix("s=")), iterations=4096)
    assert end(exchange, client_final(guess, "n,,", "n=user,r=x", server_first)) is None
