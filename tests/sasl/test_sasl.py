import doctest
import traceback
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, strategies as st
from sasl_play import EMPTY, converse, play, play_client
from sasl_texts import MAX_NAME, MAX_SECRET, NO_NAMES, NO_PASSWORDS, NO_STORED_PASSWORDS

from smtpcore import sasl
from smtpcore._errors import LocalProtocolError
from smtpcore._events import Identity, PasswordCheck, SecretWanted, TlsInfo, TokenCheck
from smtpcore._secret import Secret
from smtpcore._value import evolve
from smtpcore.sasl._stored import StoredKey


def test_example_in_the_docstring() -> None:
    failed, attempted = doctest.testmod(sasl)
    assert failed == 0
    assert attempted >= 5


def test_all_is_all() -> None:
    public = {name for name, thing in vars(sasl).items() if name[0] != "_" and not isinstance(thing, ModuleType)}
    assert set(sasl.__all__) == public - {
        "Collection",
        "LocalProtocolError",
        "Secret",
        "suppress",
    }  # what `client_mechanisms` needs


class Toy:
    """One's own mechanism, as a type checker sees it."""

    name = "X-TOY"
    initial = False

    def available(self, tls: TlsInfo | None) -> bool:
        return tls is not None

    def start(self, tls: TlsInfo | None) -> sasl.Exchange:
        password = sasl.prepare_password(sasl.decode((yield sasl.Challenge(b"who?"))))
        if password is None:
            raise sasl.BadAnswer("nobody")
        return Identity("toy") if (yield PasswordCheck(self.name, "toy", password)) else None


def test_own_mechanism() -> None:
    toy: sasl.ServerMechanism = Toy()
    who, check = sasl.Challenge(b"who?"), PasswordCheck("X-TOY", "toy", Secret("me"))
    assert play(toy.start(None), (who, b"me"), (check, True)) == Identity("toy")
    assert play(toy.start(None), (who, b"me"), (check, False)) is None
    with pytest.raises(sasl.BadAnswer):
        play(toy.start(None), (who, b""))


# The one that plays the others must itself notice.
def test_player_notices() -> None:
    who, check = (sasl.Challenge(b"who?"), b"me"), PasswordCheck("X-TOY", "toy", Secret("me"))
    for script in [(who,), ((EMPTY, b"me"), (check, True)), (who, (check, True), (check, True)), ()]:
        with pytest.raises(AssertionError):
            play(Toy().start(None), *script)
    with pytest.raises(AssertionError):
        play(Toy().start(None), (sasl.Challenge(b"who?"), b""), (check, True))


MECHANISMS: list[sasl.ServerMechanism] = [
    sasl.ANONYMOUS, sasl.CRAM_MD5, sasl.EXTERNAL, sasl.LOGIN, sasl.OAUTHBEARER, sasl.PLAIN, sasl.SCRAM_SHA_1,
    sasl.SCRAM_SHA_1_PLUS, sasl.SCRAM_SHA_256, sasl.SCRAM_SHA_256_PLUS, sasl.XOAUTH2,
]  # fmt: skip
TLS = TlsInfo(client_subject="tim", channel_bindings={"tls-server-end-point": b"x"})
KEY = StoredKey(b"salt", 4096, Secret(b"x" * 32), Secret(b"y" * 32), password=Secret("x"))
# What messages are made of, so that some come near to being one
PIECES = st.sampled_from([
    b"n,", b"y,", b"p=tls-server-end-point,", b",", b"a=", b"n=", b"r=", b"c=", b"p=", b"biws", b"=2C", b"=", b"tim",
    b"\0", b"\x01", b" ", b"user=", b"auth=Bearer ", b"0123456789abcdef" * 2, "\u00ad".encode(), "\u202e".encode(),
    b"\r\n", b"\xff",
])  # fmt: skip
ANSWERS = st.one_of(st.binary(max_size=40), st.lists(PIECES, max_size=12).map(b"".join))


@pytest.mark.parametrize("mechanism", MECHANISMS, ids=lambda mechanism: mechanism.name)
@given(st.lists(ANSWERS, max_size=4), st.booleans(), st.sampled_from([None, KEY]))
def test_whatever_is_sent(
    mechanism: sasl.ServerMechanism, answers: list[bytes], verdict: bool, key: StoredKey | None
) -> None:
    """Nobody gets in of whom the application was not asked, and nothing is raised but BadAnswer."""
    exchange, asked = mechanism.start(TLS), False
    said: object = next(exchange)
    try:
        while True:
            match said:
                case sasl.Challenge():
                    if not answers:
                        return
                    said = exchange.send(answers.pop(0))
                case SecretWanted():
                    said = exchange.send(key)
                case PasswordCheck() | TokenCheck():
                    asked = True
                    said = exchange.send(verdict)
    except sasl.BadAnswer:
        return
    except StopIteration as end:
        identity = end.value
    assert isinstance(identity, Identity) is (asked and verdict)


def test_values_compare() -> None:
    assert sasl.Plain() == sasl.PLAIN
    assert sasl.OAuthBearer(scope="x") != sasl.OAUTHBEARER
    assert sasl.SCRAM_SHA_256 != sasl.SCRAM_SHA_1
    assert "***" in repr(sasl.SCRAM_SHA_256)


# --- clients -------------------------------------------------------------------------------------

PASSWORD = Secret("hunter2")
CLIENTS: list[sasl.ClientMechanism] = [
    sasl.AnonymousClient("tim"), sasl.ExternalClient("tim"), *sasl.client_mechanisms("tim", PASSWORD),
    sasl.OAuthBearerClient("tim", PASSWORD, "mail.example.com", 587), sasl.XOAuth2Client("tim", PASSWORD),
]  # fmt: skip
ALL_CLIENTS = pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)


class ToyClient:
    """One's own, as a type checker sees it."""

    name = "X-TOY"
    strength = sasl.Strength.REVEALED

    def available(self, tls: TlsInfo | None) -> bool:
        return True

    def start(self, tls: TlsInfo | None) -> sasl.ClientExchange:
        if (yield None) != b"who?":
            raise sasl.BadChallenge("not the question")
        yield b"me"


def test_own_client() -> None:
    toy: sasl.ClientMechanism = ToyClient()
    assert converse(toy.start(None), Toy().start(None), lambda question: True) == Identity("toy")
    assert converse(toy.start(None), Toy().start(None), lambda question: False) is None


def test_client_player_notices() -> None:
    for script in [
        [(None, b"who?")],
        [(b"", b"who?"), (b"me", None)],
        [(None, b"who?"), (b"you", None)],
        [(None, b"who?"), (b"me", None), (b"me", None)],
        [(None, b"why?"), (b"me", None)],
    ]:
        with pytest.raises(AssertionError):
            play_client(ToyClient().start(None), *script)


def test_strength() -> None:
    order = ["ANONYMOUS", "REVEALED", "HASHED", "MUTUAL", "BOUND"]
    assert [strength.name for strength in sorted(sasl.Strength)] == order
    assert list(sasl.Strength) == [0, 1, 2, 3, 4]


def test_client_mechanisms() -> None:
    mechanisms = sasl.client_mechanisms("tim", PASSWORD)
    assert [mechanism.name for mechanism in mechanisms] == [
        "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "PLAIN", "LOGIN",
    ]  # fmt: skip
    strengths = [mechanism.strength for mechanism in mechanisms]
    assert strengths == sorted(strengths, reverse=True)
    tls = TlsInfo(channel_bindings={"tls-server-end-point": b"x"})
    assert all(mechanism.available(tls) for mechanism in mechanisms)
    in_clear = [mechanism.name for mechanism in mechanisms if mechanism.available(None)]
    assert in_clear == ["SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "PLAIN", "LOGIN"]
    assert sasl.PlainClient("tim", PASSWORD) in mechanisms
    # Within TLS, a form that does not bind says that none was offered that does.
    assert [(next(mechanism.start(tls)) or b"")[:2] for mechanism in mechanisms[:4]] == [b"p=", b"p=", b"y,", b"y,"]


def test_client_mechanisms_for_acting_as_another() -> None:
    mechanisms = sasl.client_mechanisms("tim", PASSWORD, "list")
    assert [mechanism.name for mechanism in mechanisms] == [
        "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN",
    ]  # fmt: skip
    assert (next(mechanisms[2].start(None)) or b"").startswith(b"n,a=list,n=tim,r=")
    assert next(mechanisms[-1].start(None)) == b"list\0tim\0hunter2"


@pytest.mark.parametrize("password", NO_STORED_PASSWORDS)
def test_client_mechanisms_for_what_scram_cannot_hash(password: str) -> None:
    mechanisms = sasl.client_mechanisms("tim", Secret(password))
    assert [mechanism.name for mechanism in mechanisms] == ["CRAM-MD5", "PLAIN", "LOGIN"]


@pytest.mark.catalogue("B5", "D8")
def test_client_mechanisms_for_what_nobody_accepts() -> None:
    for name in NO_NAMES:
        with pytest.raises(LocalProtocolError):
            sasl.client_mechanisms(name, PASSWORD)
        with pytest.raises(LocalProtocolError):
            sasl.client_mechanisms("tim", PASSWORD, name)
    for password in NO_PASSWORDS:
        with pytest.raises(LocalProtocolError):
            sasl.client_mechanisms("tim", Secret(password))


SERVERS = {mechanism.name: mechanism for mechanism in MECHANISMS}


@pytest.mark.parametrize("name", ["=" * MAX_NAME, "x" * MAX_NAME])
def test_longest_answers_can_be_sent(name: str) -> None:
    """With the longest names and secrets each answer is a line that servers take; `converse` measures it."""
    secret = Secret("x" * MAX_SECRET)
    clients: list[sasl.ClientMechanism] = [
        *sasl.client_mechanisms(name, secret, name), *sasl.client_mechanisms(name, secret), sasl.ExternalClient(name),
        sasl.OAuthBearerClient(name, secret, "x" * 255, 65535), sasl.XOAuth2Client(name, secret),
    ]  # fmt: skip
    tls = TlsInfo(client_subject="tim", channel_bindings={"tls-server-end-point": b"x" * 64})

    def answer(question: object) -> object:
        if isinstance(question, SecretWanted):
            hash_name = "sha256" if "256" in question.mechanism else "sha1"
            return evolve(sasl.scram_key(secret, iterations=4096, hash_name=hash_name), password=secret)
        return True

    for client in clients:
        # A form that does not bind would say that it could, and this server offers those that do.
        session = tls if client.name.endswith("-PLUS") or client.name == "EXTERNAL" else None
        identity = converse(client.start(session), SERVERS[client.name].start(session), answer)
        assert identity is not None
        assert identity.username in {name, "tim"}


SERVER_PIECES = st.sampled_from([
    b"r=", b",", b"s=QUJD", b"i=4096", b"v=", b"e=other-error", b"m=x", b"<1@a>", b"{", b"}", b'"status":"x"', b"\xff",
    b"\0", b"Password:",
])  # fmt: skip
CHALLENGES = st.one_of(st.none(), st.binary(max_size=40), st.lists(SERVER_PIECES, max_size=8).map(b"".join))


@ALL_CLIENTS
@given(st.lists(CHALLENGES, max_size=4))
def test_whatever_a_client_is_sent(client: sasl.ClientMechanism, challenges: list[bytes | None]) -> None:
    """Nothing is raised but BadChallenge, nothing is said after success, and what is said can be."""
    exchange = client.start(TLS)
    said = next(exchange)
    for challenge in challenges:
        assert said is None or len(said) < 9_000
        try:
            said = exchange.send(challenge)
        except sasl.BadChallenge:
            return
        except StopIteration:
            assert challenge is None
            assert client.strength < sasl.Strength.MUTUAL or client.name == "EXTERNAL"
            return
        assert challenge is not None


SCRIPTS: list[list[bytes | None]] = [
    [None], [b"?"], [b"<a>", None], [b"<a>", b"?"], [b"<a>", b"<b>", b"?"], [b"{}", None], [b"", b""],
]  # fmt: skip


@pytest.mark.catalogue("D12", "J3")
@ALL_CLIENTS
def test_secrets_do_not_show(client: sasl.ClientMechanism) -> None:
    """Neither the mechanism, nor its errors, nor the frames of those."""
    assert "hunter2" not in repr(client)
    faults = 0
    for script in SCRIPTS:
        exchange = client.start(TLS)
        next(exchange)
        try:
            for sent in script:
                exchange.send(sent)
        except StopIteration:
            continue
        except sasl.BadChallenge as fault:
            error: sasl.BadChallenge = fault
        else:
            continue
        faults += 1
        assert error.__traceback__ is not None
        frames = traceback.walk_tb(error.__traceback__.tb_next)
        shown = "".join(traceback.StackSummary.extract(frames, capture_locals=True).format())
        assert "hunter2" not in f"{shown} {error} {error.__context__}"
    assert faults


def test_clients_compare() -> None:
    assert sasl.PlainClient("tim", PASSWORD) == sasl.PlainClient("tim", Secret("hunter2"))
    assert sasl.PlainClient("tim", PASSWORD) != sasl.PlainClient("tim", Secret("hunter3"))
    assert len({*CLIENTS, *CLIENTS}) == len(CLIENTS)


@pytest.mark.parametrize(
    ("names", "binding"),
    [
        (["SCRAM-SHA-256"], {"SCRAM-SHA-256": False}),
        (["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "PLAIN"], {"SCRAM-SHA-256": True, "SCRAM-SHA-256-PLUS": False}),
        ({"SCRAM-SHA-1", "SCRAM-SHA-256-PLUS"}, {"SCRAM-SHA-1": False, "SCRAM-SHA-256-PLUS": False}),
        (None, {f"SCRAM-SHA-{bits}{plus}": not plus for bits in (1, 256) for plus in ("", "-PLUS")}),
        ([], {}),
    ],
)
def test_who_may_not_bind_does_not_say_that_it_could(names: Any, binding: dict[str, bool]) -> None:
    made = sasl.client_mechanisms("alice", Secret("pencil"), names=names)
    assert {each.name: each.could_bind for each in made if isinstance(each, sasl.ScramClient)} == binding
    if names is not None:
        assert {each.name for each in made} == set(names)
