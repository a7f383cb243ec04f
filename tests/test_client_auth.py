"""AUTH from the side of the client: the exchanges, and what the config permits."""

import base64
import itertools
from collections.abc import Generator
from typing import Any

import pytest
from _client_play import (
    CRAM,
    NAME,
    PLAIN,
    SECRET,
    SITUATIONS,
    TLS,
    UNVERIFIED,
    Scripted,
    authenticating,
    b64,
    greeted,
    ready,
    state,
)

from smtpcore import (
    AuthDone,
    Cause,
    ClientConfig,
    Command,
    Deviation,
    LocalProtocolError,
    Oddity,
    Phase,
    Reply,
    Secret,
    TlsInfo,
    Violation,
    Wait,
)
from smtpcore.sasl import (
    SCRAM_SHA_256,
    AnonymousClient,
    Challenge,
    ClientExchange,
    ClientMechanism,
    ExternalClient,
    LoginClient,
    OAuthBearerClient,
    ScramClient,
    Strength,
    XOAuth2Client,
    client_mechanisms,
    scram_key,
)

EHLO = Command("EHLO", NAME)
HELO = Command("HELO", NAME)


# --- AUTH --------------------------------------------------------------------------------------------

TOKEN = Secret("dG9rZW4=")
PLAIN_TEXT = b"\0tim\0s3cr3t-horse"


INITIAL: list[Any] = [
    pytest.param(PLAIN, "PLAIN", PLAIN_TEXT, id="PLAIN"),
    pytest.param(
        XOAuth2Client(username="tim", token=TOKEN), "XOAUTH2", b"user=tim\x01auth=Bearer dG9rZW4=\x01\x01", id="XOAUTH2"
    ),
    pytest.param(
        OAuthBearerClient("tim", TOKEN, "mx.example", 587),
        "OAUTHBEARER",
        b"n,a=tim,\x01host=mx.example\x01port=587\x01auth=Bearer dG9rZW4=\x01\x01",
        id="OAUTHBEARER",
    ),
    pytest.param(ExternalClient("tim"), "EXTERNAL", b"tim", id="EXTERNAL"),
]


@pytest.mark.parametrize(("mechanism", "name", "initial"), INITIAL)
def test_a_mechanism_with_an_initial_response(mechanism: ClientMechanism, name: str, initial: bytes) -> None:
    play = authenticating(mechanism)
    assert play.sent() == f"AUTH {name} {b64(initial)}\r\n".encode()
    assert play.hear("235 2.7.0 Ok") == [AuthDone(Command("AUTH", f"{name} ***"), Reply(235, "Ok", "2.7.0"), name)]
    assert play.conn.authenticated
    assert play.wait is Wait.INTENT


@pytest.mark.parametrize("mechanism", [ExternalClient(), AnonymousClient("")], ids=["EXTERNAL", "ANONYMOUS"])
def test_an_empty_initial_response(mechanism: ClientMechanism) -> None:
    play = authenticating(mechanism, config=ClientConfig(auth_floor=Strength.ANONYMOUS))
    assert play.sent() == f"AUTH {mechanism.name} =\r\n".encode()
    play.hear("235 Ok")
    assert play.conn.authenticated


def test_login_waits_for_its_prompts() -> None:
    play = authenticating(LoginClient("tim", SECRET))
    assert play.sent() == b"AUTH LOGIN\r\n"
    assert play.hear("334 VXNlcm5hbWU6") == []
    assert play.conn.phase is Phase.AUTH
    assert play.sent() == b"dGlt\r\n"
    assert play.hear("334") == [Deviation(Oddity.MISSING_TEXT)]
    assert play.sent() == f"{b64(SECRET.reveal())}\r\n".encode()
    assert play.hear("235 Ok") == [AuthDone(Command("AUTH", "LOGIN"), Reply(235, "Ok"), "LOGIN")]
    assert play.conn.phase is Phase.READY


def test_cram_md5() -> None:
    # RFC 2195, section 2
    play = authenticating(type(CRAM)("tim", Secret("tanstaaftanstaaf")))
    assert play.sent() == b"AUTH CRAM-MD5\r\n"
    play.hear(f"334 {b64(b'<1896.697170952@postoffice.reston.mci.net>')}")
    assert play.sent() == f"{b64(b'tim b913a602c7eda7a495b4e6e7334d3890')}\r\n".encode()
    play.hear("235 Ok")
    assert play.conn.authenticated


def scram() -> ScramClient:
    return ScramClient(name="SCRAM-SHA-256", hash_name="sha256", username="tim", password=SECRET)


def test_scram_against_the_server_of_this_package() -> None:
    play = authenticating(scram())
    server = SCRAM_SHA_256.start(None)
    next(server)
    given: Any = base64.b64decode(play.sent().split()[2])
    while True:
        step = server.send(given)
        if not isinstance(step, Challenge):
            step = server.send(scram_key(SECRET, salt=b"salt" * 4, iterations=4096, hash_name="sha256"))
        assert isinstance(step, Challenge)
        play.hear(f"334 {b64(step.octets)}")
        line = play.sent()
        given = base64.b64decode(line)
        if line == b"\r\n":
            break
    with pytest.raises(StopIteration):
        server.send(given)
    play.hear("235 Ok")
    assert play.conn.authenticated


def test_a_refusal() -> None:
    play = authenticating(PLAIN)
    play.sent()
    assert play.hear("535 5.7.8 No") == [AuthDone(Command("AUTH", "PLAIN ***"), Reply(535, "No", "5.7.8"), "PLAIN")]
    assert not play.conn.authenticated
    assert play.conn.phase is Phase.READY
    play.conn.authenticate(PLAIN)
    assert play.sent().startswith(b"AUTH PLAIN ")


def test_a_token_refused_by_a_challenge() -> None:
    heard: list[Any] = []
    play = authenticating(XOAuth2Client(username="tim", token=TOKEN, refused=heard.append))
    play.sent()
    play.hear("334 " + b64(b'{"status": "401"}'))
    assert play.sent() == b"\r\n"
    assert heard == [{"status": "401"}]
    play.hear("535 No")
    assert not play.conn.authenticated


def test_a_refusal_in_the_middle() -> None:
    play = SITUATIONS["reply to an answer"]()
    assert play.hear("454 4.7.0 Later") == [
        AuthDone(Command("AUTH", "CRAM-MD5"), Reply(454, "Later", "4.7.0"), "CRAM-MD5")
    ]
    assert play.conn.phase is Phase.READY


@pytest.mark.parametrize("name", ["X", "X" * 20, "SCRAM-SHA-1", "X_UNDER", "-X", "9"])
def test_names_of_mechanisms(name: str) -> None:
    # RFC 4422 3.1: sasl-mech = 1*20mech-char, mech-char = UPPER-ALPHA / DIGIT / HYPHEN / UNDERSCORE
    play = authenticating(Scripted(b"x", name=name))
    assert play.sent() == f"AUTH {name} eA==\r\n".encode()


@pytest.mark.catalogue("B9")
@pytest.mark.parametrize(("octets", "withheld"), [(375, False), (376, True), (5000, True)])
def test_an_initial_response_too_long_for_the_command(octets: int, withheld: bool) -> None:
    mechanism = Scripted(b"a" * octets, name="X")
    play = authenticating(mechanism)
    wire = play.sent()
    if not withheld:
        assert len(wire) <= 512
        assert wire == f"AUTH X {b64(b'a' * octets)}\r\n".encode()
        return
    assert wire == b"AUTH X\r\n"
    play.hear("334 ")
    assert play.sent() == f"{b64(b'a' * octets)}\r\n".encode()
    assert mechanism.heard == []
    play.hear("235 Ok")
    assert mechanism.heard == [None]
    assert play.conn.authenticated


@pytest.mark.parametrize("name", ["X", "X" * 20])
def test_the_border_of_the_command(name: str) -> None:
    # Base64 grows by four octets: the longest that fits, and the next.
    fits = (512 - len(f"AUTH {name} \r\n")) // 4 * 3
    assert len(authenticating(Scripted(b"a" * fits, name=name)).sent()) in range(509, 513)
    assert authenticating(Scripted(b"a" * (fits + 1), name=name)).sent() == f"AUTH {name}\r\n".encode()


def test_a_border_of_exactly_512() -> None:
    # "AUTH " + 5 + " " + 4n + CRLF
    mechanism = Scripted(b"a" * 372, name="XXXX")
    assert len(f"AUTH XXXX {b64(b'a' * 372)}\r\n") == 508
    assert len(authenticating(mechanism).sent()) == 508
    assert len(authenticating(Scripted(b"a" * 372, name="X" * 8)).sent()) == 512
    assert authenticating(Scripted(b"a" * 372, name="X" * 9)).sent() == b"AUTH XXXXXXXXX\r\n"


@pytest.mark.catalogue("D5", "D6")
@pytest.mark.parametrize(
    "challenge", ["!!!!", "YQ", "Y=Q=", "YQ==YQ==", "YQ= =", "YWJj YWJj", "=", "===", "ü", "YQ==\t", "a" * 5]
)
def test_rubbish_for_base64_cancels(challenge: str) -> None:
    mechanism = Scripted(None, b"answer")
    play = authenticating(mechanism)
    play.sent()
    play.hear(f"334 {challenge}")
    assert play.sent() == b"*\r\n"
    assert mechanism.closed
    assert mechanism.heard == []
    (done,) = play.hear("501 5.7.0 Cancelled")
    assert isinstance(done, AuthDone)
    assert not play.conn.authenticated
    assert play.conn.phase is Phase.READY
    assert play.wait is Wait.INTENT


@pytest.mark.catalogue("D5")
def test_a_challenge_of_two_lines_cancels() -> None:
    play = authenticating(Scripted(None, b"answer"))
    play.sent()
    play.hear("334-YQ==", "334 YQ==")
    assert play.sent() == b"*\r\n"


@pytest.mark.catalogue("D5")
def test_a_challenge_that_the_mechanism_refuses_cancels() -> None:
    play = authenticating(CRAM)
    play.sent()
    play.hear(f"334 {b64(b'no message-id')}")
    assert play.sent() == b"*\r\n"
    play.hear("501 Cancelled")
    assert play.conn.choose([CRAM]) is CRAM


@pytest.mark.catalogue("D5")
def test_a_challenge_too_many_cancels() -> None:
    play = authenticating(PLAIN)
    play.sent()
    play.hear("334 ")
    assert play.sent() == b"*\r\n"


class Ending:
    """A mechanism that ends where it should answer, and one that has nothing to answer."""

    name = "X"
    strength = Strength.BOUND

    def __init__(self, *, silent: bool) -> None:
        self.silent = silent

    def available(self, tls: TlsInfo | None) -> bool:
        return True

    def start(self, tls: TlsInfo | None) -> Generator[bytes | None, bytes | None, None]:
        yield None
        if self.silent:
            yield None


@pytest.mark.parametrize("silent", [False, True])
def test_a_mechanism_without_an_answer_cancels(silent: bool) -> None:
    play = authenticating(Ending(silent=silent))
    play.sent()
    play.hear("334 YQ==")
    assert play.sent() == b"*\r\n"


@pytest.mark.catalogue("D7")
@pytest.mark.parametrize(("octets", "sent"), [(9213, True), (9214, False)])
@pytest.mark.parametrize("withheld", [False, True])
def test_an_answer_too_long_cancels(octets: int, sent: bool, withheld: bool) -> None:
    # 9213 octets are 12284 in base64, and with CRLF 12286: with one octet more it would be 12290.
    answer = b"a" * octets
    play = authenticating(Scripted(answer) if withheld else Scripted(None, answer))
    assert play.sent() == b"AUTH X\r\n"
    play.hear("334 ")
    wire = play.sent()
    assert wire == (f"{b64(answer)}\r\n".encode() if sent else b"*\r\n")
    assert len(wire) <= 12288


UNPROVEN: list[Any] = [
    pytest.param(LoginClient("tim", SECRET), [], id="LOGIN at once"),
    pytest.param(LoginClient("tim", SECRET), ["334 "], id="LOGIN behind the name"),
    pytest.param(CRAM, [], id="CRAM-MD5 at once"),
    pytest.param(scram(), [], id="SCRAM at once"),
    pytest.param(Scripted(b"a" * 1000), [], id="the initial response withheld"),
    pytest.param(Scripted(b"a", b"b"), [], id="one that says more"),
]


@pytest.mark.catalogue("D2")
@pytest.mark.parametrize(("mechanism", "before"), UNPROVEN)
def test_success_too_early(mechanism: ClientMechanism, before: list[str]) -> None:
    play = authenticating(mechanism)
    play.sent()
    for reply in before:
        play.hear(reply)
        play.sent()
    play.hear("235 Welcome")
    assert play.closed.violation is Violation.UNPROVEN
    assert play.closed.cause is Cause.PROTOCOL
    assert play.closed.reply == Reply(235, "Welcome")
    assert not play.conn.authenticated
    assert not any(isinstance(event, AuthDone) for event in play.events)


def test_scram_whose_server_does_not_know_the_password() -> None:
    play = authenticating(scram())
    first = base64.b64decode(play.sent().split()[2]).decode()
    nonce = first.rpartition("r=")[2]
    play.hear("334 " + b64(f"r={nonce}abc,s=c2FsdHNhbHQ=,i=4096".encode()))
    assert play.sent().endswith(b"\r\n")
    play.hear("334 " + b64(b"v=" + b64(b"x" * 32).encode()))
    assert play.sent() == b"*\r\n"


@pytest.mark.catalogue("D5")
@pytest.mark.parametrize("code", [235, 334])
def test_going_on_after_a_cancellation(code: int) -> None:
    play = SITUATIONS["reply to a cancellation"]()
    play.hear(f"{code} YQ==")
    assert play.closed.violation is Violation.WRONG_REPLY
    assert play.closed.detail == f"{code} to a cancelled AUTH"
    assert not play.conn.authenticated


@pytest.mark.parametrize("code", [200, 250, 220, 354, 300])
@pytest.mark.parametrize("situation", ["reply to AUTH", "reply to an answer", "reply to a cancellation"])
def test_other_replies_to_auth_are_none(situation: str, code: int) -> None:
    play = SITUATIONS[situation]()
    play.hear(f"{code} Ok")
    assert play.closed.violation is Violation.WRONG_REPLY
    assert not play.conn.authenticated


def test_closing_forgets_the_credential() -> None:
    mechanism = Scripted(None, b"x")
    play = authenticating(mechanism)
    assert not mechanism.closed
    play.conn.close()
    assert mechanism.closed


def test_a_mechanism_that_cannot_begin_changes_nothing() -> None:
    class Unable(Scripted):
        def start(self, tls: TlsInfo | None) -> ClientExchange:
            raise LocalProtocolError("not here")
            yield

    play = ready("AUTH X", tls=TLS)
    before = state(play.conn)
    with pytest.raises(LocalProtocolError, match="not here"):
        play.conn.authenticate(Unable())
    assert state(play.conn) == before
    play.conn.noop()
    assert play.sent() == b"NOOP\r\n"


# --- what may be used ----------------------------------------------------------------------------------

OFFER = "AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256 SCRAM-SHA-256-PLUS EXTERNAL ANONYMOUS"
BINDING = TlsInfo("TLSv1.3", verified=True, channel_bindings={"tls-server-end-point": b"x"})
MECHANISMS: dict[Strength, ClientMechanism] = {
    Strength.ANONYMOUS: AnonymousClient(""),
    Strength.REVEALED: PLAIN,
    Strength.HASHED: CRAM,
    Strength.MUTUAL: scram(),
    Strength.BOUND: ExternalClient(),
}
SETTINGS = list(
    itertools.product(Strength, Strength, (None, UNVERIFIED, TLS), (False, True), (False, True))
)  # fmt: skip


@pytest.mark.catalogue("D1", "D2")
@pytest.mark.parametrize(("strength", "floor", "tls", "cleartext", "unverified"), SETTINGS)
def test_the_policy(
    strength: Strength, floor: Strength, tls: TlsInfo | None, cleartext: bool, unverified: bool
) -> None:
    mechanism = MECHANISMS[strength]
    config = ClientConfig(auth_floor=floor, cleartext_auth=cleartext, unverified_auth=unverified)
    play = ready(OFFER, config=config, tls=tls)
    # By hand: nothing in the clear unless told; nothing below the floor; no secret shown to whom nobody has verified.
    permitted = (tls is not None or cleartext) and strength >= floor
    if tls is UNVERIFIED and strength == Strength.REVEALED and not unverified:
        permitted = False
    if strength == Strength.BOUND and tls is None:
        permitted = False  # EXTERNAL is for TLS
    assert play.conn.choose([mechanism]) is (mechanism if permitted else None)
    if permitted:
        play.conn.authenticate(mechanism)
        assert play.sent().startswith(f"AUTH {mechanism.name}".encode())
        return
    before = state(play.conn)
    with pytest.raises(LocalProtocolError, match=f"^{mechanism.name}: "):
        play.conn.authenticate(mechanism)
    assert state(play.conn) == before
    assert play.sent() == b""


def test_the_strongest_is_chosen() -> None:
    mechanisms = client_mechanisms("tim", SECRET)
    for offer, tls, chosen in [
        ("AUTH PLAIN LOGIN", TLS, "PLAIN"),
        ("AUTH LOGIN", TLS, "LOGIN"),
        ("AUTH PLAIN CRAM-MD5", TLS, "CRAM-MD5"),
        ("AUTH PLAIN CRAM-MD5 SCRAM-SHA-1", TLS, "SCRAM-SHA-1"),
        ("AUTH SCRAM-SHA-1 SCRAM-SHA-256", TLS, "SCRAM-SHA-256"),
        ("AUTH SCRAM-SHA-256 SCRAM-SHA-1-PLUS", BINDING, "SCRAM-SHA-1-PLUS"),
        ("AUTH SCRAM-SHA-256 SCRAM-SHA-1-PLUS", UNVERIFIED, "SCRAM-SHA-256"),
        ("AUTH=PLAIN", TLS, "PLAIN"),
        ("AUTH plain", TLS, "PLAIN"),
    ]:
        mechanism = ready(offer, tls=tls).conn.choose(mechanisms)
        assert mechanism is not None
        assert mechanism.name == chosen
    assert ready("AUTH GSSAPI", tls=TLS).conn.choose(mechanisms) is None
    assert ready("SIZE", tls=TLS).conn.choose(mechanisms) is None
    assert ready(OFFER, tls=TLS).conn.choose([]) is None
    assert greeted(tls=TLS).conn.choose(mechanisms) is None


def test_of_equals_the_first_is_chosen() -> None:
    one, other = Scripted(b"", name="A"), Scripted(b"", name="B")
    conn = ready("AUTH B A", tls=TLS).conn
    assert conn.choose([one, other]) is one
    assert conn.choose([other, one]) is other


def test_after_success_there_is_no_more_auth() -> None:
    play = authenticating(PLAIN)
    play.sent()
    play.hear("235 Ok")
    assert play.conn.choose([PLAIN]) is None
    with pytest.raises(LocalProtocolError, match="already authenticated"):
        play.conn.authenticate(PLAIN)


@pytest.mark.catalogue("D12", "J3")
def test_secrets_are_in_no_repr() -> None:
    for mechanism in (*client_mechanisms("tim", SECRET), Scripted(SECRET.reveal() * 50)):
        play = ready(f"AUTH {mechanism.name}", tls=BINDING)
        shown = [repr(play.conn.authenticate(mechanism)), str(play.conn.authenticate)]
        play.sent()
        for reply in ("334 ", "334 ", "334 ", "535 No"):
            if play.wait is Wait.DATA or play.conn.phase is Phase.AUTH:
                play.hear(reply)
                play.sent()
        shown += [repr(event) for event in play.events]
        shown += [str(event.command) for event in play.events if isinstance(event, AuthDone)]
        secrets = [SECRET.text(), b64(SECRET.reveal()), b64(PLAIN_TEXT), b64(SECRET.reveal() * 50)]
        text = " ".join(shown)
        assert "AUTH" in text
        assert not [secret for secret in secrets if secret in text]
