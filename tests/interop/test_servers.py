"""The engine's client talks to servers of others: what they deliver is what it was given, octet by octet."""

from collections.abc import Iterator
from typing import Any

import pytest
from blocking_client import BlockingClient
from interop_messages import HEAD, MESSAGES, big, ended
from interop_servers import OTHER_PASSWORD, Server

from smtpcore import (
    Answer,
    Body,
    Cause,
    ClientConfig,
    ClientLimits,
    Closed,
    Envelope,
    Fate,
    LocalProtocolError,
    Mailbox,
    MailParams,
    Notify,
    OriginalRecipient,
    RcptParams,
    Recipient,
    Ret,
    Secret,
    TransactionDone,
)
from smtpcore.sasl import (
    ClientMechanism,
    CramMd5Client,
    LoginClient,
    PlainClient,
    ScramClient,
    XOAuth2Client,
    client_mechanisms,
)

SERVERS = ("postfix", "exim", "opensmtpd", "aiosmtpd", "smtp_server", "smtp_server_lmtp", "dovecot")
# With AUTH.
ESMTP = ("postfix", "exim", "aiosmtpd", "smtp_server")
USUAL = MESSAGES["usual"]
ONE_MB = HEAD + big(1_000_000)


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    running: Server = request.getfixturevalue(request.param)
    yield running
    assert running.taken() == []


every_server = pytest.mark.parametrize("server", SERVERS, indirect=True)


def envelope(server: Server, *recipients: str, **params: Any) -> Envelope:
    to = tuple(Recipient(Mailbox.parse(each)) for each in recipients or server.recipients)
    return Envelope(Mailbox.parse(server.sender), to, MailParams(**params))


def connected(server: Server, tls: str | None = None, **config: Any) -> BlockingClient:
    """A client that has authenticated, where that can be; with STARTTLS, where there is any."""
    if tls is None:
        tls = "STARTTLS" if server.starttls else "clear"
    client = BlockingClient(server, tls, ClientConfig(**config))
    if tls != "clear" and server.mechanisms:
        assert client.authenticate().reply.code == 235
        assert client.connection.authenticated
    return client


def fates(outcomes: Any) -> list[tuple[str, Fate, int]]:
    return [(str(each.recipient.path), each.fate, each.reply.code) for each in outcomes]


def accepted(server: Server) -> list[tuple[str, Fate, int]]:
    return [(recipient, Fate.ACCEPTED, 250) for recipient in server.recipients]


def quit_properly(client: BlockingClient) -> None:
    client.connection.quit()
    events = client.run()
    assert isinstance(events[-1], Closed)
    assert events[-1].cause is Cause.QUIT
    assert [each.reply.code for each in events if isinstance(each, Answer)] == [221]


# --- TLS and AUTH ------------------------------------------------------------------------------------


# Of LMTP that begins with TLS, Dovecot has none; OpenSMTPD has no TLS here.
NONE = {("dovecot", "TLS"), ("opensmtpd", "STARTTLS"), ("opensmtpd", "TLS")}
MODES = [(name, tls) for name in SERVERS for tls in ("clear", "STARTTLS", "TLS") if (name, tls) not in NONE]


@pytest.mark.parametrize(("server", "tls"), MODES, indirect=["server"])
def test_engine_delivers(server: Server, tls: str) -> None:
    with connected(server, tls) as client:
        assert (client.connection.tls is not None) == (tls != "clear")
        assert fates(client.send(envelope(server), USUAL)) == accepted(server)
        quit_properly(client)
    deliveries = server.deliveries(2)
    assert [(each.sender, each.recipient) for each in deliveries] == [(server.sender, to) for to in server.recipients]
    assert [each.octets for each in deliveries] == [USUAL] * 2


def mechanism(server: Server, name: str, password: str) -> ClientMechanism:
    secret = Secret(password)
    match name:
        case "PLAIN":
            return PlainClient(server.user, secret)
        case "LOGIN":
            return LoginClient(server.user, secret)
        case "CRAM-MD5":
            return CramMd5Client(server.user, secret)
        case "XOAUTH2":
            return XOAuth2Client(server.user, Secret(server.token or "" if password == server.password else password))
        case _:
            (scram,) = (each for each in client_mechanisms(server.user, secret) if each.name == name)
            assert isinstance(scram, ScramClient)
            return scram


OFFERED = [
    *[("postfix", name) for name in ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256")],
    *[(server, name) for server in ("exim", "aiosmtpd") for name in ("PLAIN", "LOGIN")],
    *[("smtp_server", name) for name in ("PLAIN", "LOGIN", "CRAM-MD5", "XOAUTH2")],
]


@pytest.mark.parametrize(("server", "name"), OFFERED, indirect=["server"])
def test_engine_authenticates(server: Server, name: str) -> None:
    with BlockingClient(server) as client:
        assert name in client.connection.capabilities.mechanisms
        wrong = client.authenticate(mechanism(server, name, "wrong"))
        assert (wrong.reply.code, client.connection.authenticated) == (535, False)
        right = client.authenticate(mechanism(server, name, server.password))
        assert (right.reply.code, right.mechanism, client.connection.authenticated) == (235, name, True)
        assert fates(client.send(envelope(server), USUAL)) == accepted(server)
        quit_properly(client)
    for delivery in server.deliveries(2):
        told = str(delivery.fields)
        assert server.user in told or "with esmtpsa" in told.lower()


@pytest.mark.parametrize("name", ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"])
def test_unicode_password(postfix: Server, name: str) -> None:
    user, password = postfix.recipients[1], Secret(OTHER_PASSWORD)
    with BlockingClient(postfix) as client:
        (chosen,) = (each for each in client_mechanisms(user, password) if each.name == name)
        assert client.authenticate(chosen).reply.code == 235
        quit_properly(client)


def test_strongest_mechanism(request: pytest.FixtureRequest) -> None:
    chosen = {}
    for name in ESMTP:
        with BlockingClient(request.getfixturevalue(name)) as client:
            chosen[name] = client.authenticate().mechanism
    assert chosen == {"postfix": "SCRAM-SHA-256", "exim": "PLAIN", "aiosmtpd": "PLAIN", "smtp_server": "CRAM-MD5"}


@pytest.mark.parametrize("server", ESMTP, indirect=True)
def test_no_auth_in_the_clear(server: Server) -> None:
    with BlockingClient(server, "clear") as client:
        assert client.connection.choose(client_mechanisms(server.user, Secret(server.password))) is None


# --- recipients ----------------------------------------------------------------------------------------


@pytest.mark.catalogue("H16")
@pytest.mark.parametrize("pipelining", [True, False])
@every_server
def test_one_recipient_refused(server: Server, pipelining: bool) -> None:
    full = [server.full] if server.full else []
    asked = [server.recipients[0], server.refused, *full, server.recipients[1]]
    with connected(server, pipelining=pipelining) as client:
        outcomes = client.send(envelope(server, *asked), USUAL)
        quit_properly(client)
    assert fates(outcomes) == [
        (server.recipients[0], Fate.ACCEPTED, 250),
        (server.refused, Fate.REFUSED, 550),
        *[(to, Fate.REFUSED, 552) for to in full],
        (server.recipients[1], Fate.ACCEPTED, 250),
    ]
    assert not any(each.local for each in outcomes)
    assert [(each.recipient, each.octets) for each in server.deliveries(2)] == [(to, USUAL) for to in server.recipients]


@pytest.mark.parametrize("pipelining", [True, False])
@every_server
def test_all_recipients_refused(server: Server, pipelining: bool) -> None:
    with connected(server, pipelining=pipelining) as client:
        refused = client.send(envelope(server, server.refused), USUAL)
        assert fates(refused) == [(server.refused, Fate.REFUSED, 550)]
        assert fates(client.send(envelope(server), USUAL)) == accepted(server)
        quit_properly(client)
    assert [each.octets for each in server.deliveries(2)] == [USUAL] * 2


def test_all_full(smtp_server_lmtp: Server) -> None:
    assert smtp_server_lmtp.full is not None
    with connected(smtp_server_lmtp) as client:
        outcomes = client.send(envelope(smtp_server_lmtp, smtp_server_lmtp.full), USUAL)
        quit_properly(client)
    assert fates(outcomes) == [(smtp_server_lmtp.full, Fate.REFUSED, 552)]
    assert smtp_server_lmtp.taken() == []


@every_server
def test_many_recipients(server: Server) -> None:
    # More than leave in one group of commands.
    asked = [f"b+{number}@example.org" for number in range(50)]
    with connected(server, limits=ClientLimits(pipelined_octets=512)) as client:
        outcomes = client.send(envelope(server, *asked, server.refused, *server.recipients), USUAL)
        quit_properly(client)
    assert fates(outcomes[:50]) == [(each, Fate.ACCEPTED, 250) for each in asked]
    assert fates(outcomes[50:]) == [(server.refused, Fate.REFUSED, 550), *accepted(server)]
    assert [each.octets for each in server.deliveries(52)] == [USUAL] * 52


def test_too_many_errors(postfix: Server) -> None:
    with connected(postfix) as client:
        transaction = client.submit(envelope(postfix, *[postfix.refused] * 40), USUAL)
        (*_, done, closed) = client.run()
    assert done == TransactionDone(transaction)
    assert isinstance(closed, Closed)
    assert (closed.cause, closed.reply and closed.reply.code) == (Cause.REJECTED, 421)
    whole = [each.fate for each in transaction.outcomes]
    refused = whole.count(Fate.REFUSED)
    assert refused >= 20
    assert whole == [Fate.REFUSED] * refused + [Fate.UNSENT] * (40 - refused)


# --- messages ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunking", [False, True])
@pytest.mark.parametrize("pipelining", [True, False])
@every_server
def test_engine_sends_big_messages(server: Server, pipelining: bool, chunking: bool) -> None:
    with connected(server, pipelining=pipelining, prefer_chunking=chunking) as client:
        transaction = client.submit(envelope(server), ONE_MB)
        client.run()
        assert fates(transaction.outcomes) == accepted(server)
        sent = b"".join(client.sent)
        assert (b"\r\nBDAT " in sent) == (chunking and "CHUNKING" in client.connection.capabilities)
        quit_properly(client)
    assert all(each.octets == ONE_MB for each in server.deliveries(2))


TEXTS = ("usual", "dot lines", "ends with a dot line", "lines of 998", "no octets", "one octet")


@pytest.mark.catalogue("B3")
@pytest.mark.parametrize("chunking", [False, True])
@every_server
def test_engine_sends_messages(server: Server, chunking: bool) -> None:
    with connected(server, prefer_chunking=chunking) as client:
        for piece in (1, 7, 1_000_000):
            client.piece = piece
            for name in TEXTS:
                message = MESSAGES[name] if MESSAGES[name].startswith(HEAD) else HEAD + MESSAGES[name]
                assert fates(client.send(envelope(server, server.user), message)) == [(server.user, Fate.ACCEPTED, 250)]
                by_bdat = chunking and "CHUNKING" in client.connection.capabilities
                # Postfix and Exim end the last line of any message.
                expected = message if by_bdat and server.name not in ("Postfix", "Exim") else ended(message)
                assert server.deliveries(1)[0].octets == expected, name
        quit_properly(client)


@pytest.mark.parametrize("chunking", [False, True])
@every_server
def test_eight_bit_message(server: Server, chunking: bool) -> None:
    message = MESSAGES["8-bit"]
    with connected(server, prefer_chunking=chunking) as client:
        outcomes = client.send(envelope(server, body=Body.EIGHT_BIT_MIME), message)
        quit_properly(client)
    assert fates(outcomes) == accepted(server)
    assert [each.octets for each in server.deliveries(2)] == [message] * 2


@every_server
def test_binary_message_is_refused_here(server: Server) -> None:
    with connected(server) as client:
        (outcome,) = client.send(envelope(server, server.user, body=Body.BINARY_MIME), USUAL)
        assert (outcome.fate, outcome.local) == (Fate.REFUSED, True)
        assert outcome.reply is not None
        assert str(outcome.reply.status) == "5.6.3"
        quit_properly(client)


@every_server
def test_too_big_message_is_refused_here(server: Server) -> None:
    with connected(server) as client:
        size = client.connection.capabilities.size
        (outcome,) = client.send(envelope(server, server.user, size=33_554_433), USUAL)
        if size is None:
            assert server.deliveries(1)[0].octets == USUAL
            assert (outcome.fate, outcome.local) == (Fate.ACCEPTED, False)
        else:
            assert size == 33_554_432
            assert (outcome.fate, outcome.local) == (Fate.REFUSED, True)
            assert outcome.reply is not None
            assert (outcome.reply.code, str(outcome.reply.status)) == (552, "5.3.4")
        quit_properly(client)


# --- extensions ----------------------------------------------------------------------------------------

ALL = {"PIPELINING", "CHUNKING", "DSN", "SMTPUTF8", "8BITMIME", "SIZE"}
OFFERS = {
    "postfix": ALL,
    "exim": ALL,
    "opensmtpd": {"DSN", "8BITMIME", "SIZE"},
    "aiosmtpd": {"SMTPUTF8", "8BITMIME", "SIZE"},
    "smtp_server": ALL - {"CHUNKING"},
    "smtp_server_lmtp": ALL - {"CHUNKING"},
    "dovecot": {"PIPELINING", "CHUNKING", "8BITMIME"},
}


@pytest.mark.parametrize(("server", "offers"), OFFERS.items(), indirect=["server"])
def test_what_it_offers(server: Server, offers: set[str]) -> None:
    """The other tests ask each server for what it offers, so that must be what is written here."""
    with connected(server) as client:
        assert {keyword for keyword in ALL if keyword in client.connection.capabilities} == offers


@every_server
def test_unicode_recipient(server: Server) -> None:
    recipient = server.unicode or "\u03b4@example.org"
    with connected(server) as client:
        (outcome,) = client.send(envelope(server, recipient, smtputf8=True), USUAL)
        quit_properly(client)
    assert ("SMTPUTF8" in client.connection.capabilities) == (server.unicode is not None)
    if server.unicode is None:
        assert (outcome.fate, outcome.local) == (Fate.REFUSED, True)
        assert outcome.reply is not None
        assert str(outcome.reply.status) == "5.6.7"
    else:
        assert (outcome.fate, outcome.local) == (Fate.ACCEPTED, False)
        (delivery,) = server.deliveries(1)
        assert (delivery.recipient, delivery.octets) == (recipient, USUAL)


def notified(server: Server) -> Envelope:
    notify = frozenset({Notify.SUCCESS, Notify.FAILURE})
    params = RcptParams(notify=notify, orcpt=OriginalRecipient("rfc822", "first+=@example.org"))
    return Envelope(
        Mailbox.parse(server.sender),
        (Recipient(Mailbox.parse(server.user), params),),
        MailParams(ret=Ret.HEADERS, envid="Q+2=7"),
    )


@pytest.mark.parametrize("server", ["smtp_server", "smtp_server_lmtp"], indirect=True)
def test_dsn_is_asked_for(server: Server) -> None:
    with connected(server) as client:
        assert [each.fate for each in client.send(notified(server), USUAL)] == [Fate.ACCEPTED]
        quit_properly(client)
    (delivery,) = server.deliveries(1)
    # It has decoded the xtext.
    assert delivery.params == {"RET": "HDRS", "ENVID": "Q+2=7"}
    notify = set(delivery.rcpt_params.pop("NOTIFY").split(","))
    assert notify == {"SUCCESS", "FAILURE"}
    assert delivery.rcpt_params == {"ORCPT": "rfc822;first+=@example.org"}


# What a notification says of the message that it is about. Exim tells the xtext as it came, OpenSMTPD nothing.
ABOUT = {
    "postfix": [b"Original-Envelope-Id: Q+2=7", b"Original-Recipient: rfc822;first+=@example.org"],
    "exim": [b"Original-Envelope-ID: Q+2B2+3D7", b"Original-Recipient: rfc822;first+2B+3D@example.org"],
    "opensmtpd": [],
}


@pytest.mark.parametrize(("server", "about"), ABOUT.items(), indirect=["server"])
def test_dsn_comes(server: Server, about: list[bytes]) -> None:
    with connected(server) as client:
        assert [each.fate for each in client.send(notified(server), USUAL)] == [Fate.ACCEPTED]
        quit_properly(client)
    notification, delivery = server.deliveries(2)
    assert delivery.octets == USUAL
    assert (notification.sender, notification.recipient) == ("", server.sender)
    lines = notification.octets.split(b"\r\n")
    assert {*about, b"Action: delivered"} <= set(lines)
    # Its headers only.
    assert b"Subject: x" in lines
    assert b"Hello," not in lines


@pytest.mark.parametrize("server", ["aiosmtpd", "dovecot"], indirect=True)
def test_dsn_is_left_out(server: Server) -> None:
    with connected(server) as client:
        assert "DSN" not in client.connection.capabilities
        assert [each.fate for each in client.send(notified(server), USUAL)] == [Fate.ACCEPTED]
        quit_properly(client)
        assert b"NOTIFY" not in b"".join(client.sent)
    (delivery,) = server.deliveries(1)
    assert (delivery.params, delivery.rcpt_params, delivery.octets) == ({}, {}, USUAL)


@every_server
def test_require_tls(server: Server) -> None:
    with connected(server) as client:
        (outcome,) = client.send(envelope(server, server.user, requiretls=True), USUAL)
        quit_properly(client)
    if server.name.startswith("smtp-server"):
        assert (outcome.fate, outcome.local) == (Fate.ACCEPTED, False)
        assert server.deliveries(1)[0].params == {"REQUIRETLS": True}
    else:
        assert (outcome.fate, outcome.local) == (Fate.REFUSED, True)
        assert outcome.reply is not None
        assert str(outcome.reply.status) == "5.7.30"


@pytest.mark.parametrize("server", ["postfix", "smtp_server"], indirect=True)
def test_engine_xclient(server: Server) -> None:
    attributes = {"NAME": "far.example", "ADDR": "192.0.2.1", "PORT": None, "HELO": "[192.0.2.1]"}
    with BlockingClient(server) as client:
        client.connection.xclient(attributes)
        assert client.code() == 220
        client.hello()
        assert fates(client.send(envelope(server, server.user), USUAL)) == [(server.user, Fate.ACCEPTED, 250)]
        quit_properly(client)
    (delivery,) = server.deliveries(1)
    assert delivery.octets == USUAL
    if server.name == "Postfix":
        assert "(far.example [192.0.2.1])" in delivery.fields["Received"]


# --- commands, and their order ---------------------------------------------------------------------------


@every_server
def test_other_commands(server: Server) -> None:
    with connected(server) as client:
        connection = client.connection
        connection.noop()
        assert client.code() == 250
        connection.reset()
        assert client.code() == 250
        connection.verify(server.user)
        assert client.code() in (252, 500, 501)  # Dovecot can only be asked about a string
        connection.expand("list")
        assert client.code() in (500, 502, 550)
        connection.help()
        assert client.code() in (214, 250, 500)
        if "XFORWARD" in connection.capabilities:
            connection.command("XFORWARD", "NAME=far.example ADDR=192.0.2.1")
            assert client.code() == 250
        quit_properly(client)


@pytest.mark.parametrize("chunking", [False, True])
@pytest.mark.parametrize("pipelining", [True, False])
@every_server
def test_several_transactions(server: Server, pipelining: bool, chunking: bool) -> None:
    messages = [HEAD + b"%d\r\n" % number for number in range(3)]
    with connected(server, pipelining=pipelining, prefer_chunking=chunking) as client:
        for message in messages:
            assert fates(client.send(envelope(server), message)) == accepted(server)
            client.connection.reset()
            assert client.code() == 250
            assert {each.octets for each in server.deliveries(2)} == {message}
        quit_properly(client)


@pytest.mark.parametrize("chunking", [False, True])
@pytest.mark.parametrize("server", ["postfix", "exim", "smtp_server", "smtp_server_lmtp", "dovecot"], indirect=True)
def test_next_transaction_before_the_verdict(server: Server, chunking: bool) -> None:
    messages = [HEAD + b"%d\r\n" % number for number in range(3)]
    with connected(server, prefer_chunking=chunking) as client:
        transactions = [client.submit(envelope(server), messages[0])]
        while len(transactions) < 3:
            client.run(until_given=transactions[-1])
            transactions.append(client.submit(envelope(server), messages[len(transactions)]))
        client.run(until_given=transactions[-1])
        client.connection.quit()
        events = client.run()
        assert isinstance(events[-1], Closed)
        assert events[-1].cause is Cause.QUIT
    for transaction in transactions:
        assert fates(transaction.outcomes) == accepted(server)
    assert sorted(each.octets for each in server.deliveries(6)) == sorted(messages * 2)


def test_message_given_up(postfix: Server) -> None:
    with connected(postfix, prefer_chunking=True) as client:
        transaction = client.connection.send(envelope(postfix))
        client.run()
        client.connection.send_body(transaction, ONE_MB[:300_000])
        client.run()
        client.connection.abort(transaction)
        client.run()
        assert {each.fate for each in transaction.outcomes} == {Fate.UNSENT}
        assert fates(client.send(envelope(postfix), USUAL)) == accepted(postfix)
        quit_properly(client)
    assert [each.octets for each in postfix.deliveries(2)] == [USUAL] * 2


@every_server
def test_data_given_up(server: Server) -> None:
    with connected(server) as client:
        transaction = client.connection.send(envelope(server))
        client.run()
        client.connection.send_body(transaction, USUAL)
        client.run()
        client.connection.abort(transaction)
        (*_, closed) = client.run()
        assert isinstance(closed, Closed)
        assert closed.cause is Cause.ABORTED
        assert {each.fate for each in transaction.outcomes} == {Fate.UNSENT}
    # What came of it was thrown away: the next message is the next that is delivered.
    message = HEAD + b"next\r\n"
    with connected(server) as client:
        assert fates(client.send(envelope(server), message)) == accepted(server)
        quit_properly(client)
    assert [each.octets for each in server.deliveries(2)] == [message] * 2


@every_server
def test_stray_octets_never_leave(server: Server) -> None:
    with connected(server) as client:
        transaction = client.connection.send(envelope(server))
        client.run()
        with pytest.raises(LocalProtocolError):
            client.connection.send_body(transaction, b"x\n.\nMAIL FROM:<x@example.org>\r\n")
        client.connection.send_body(transaction, USUAL)
        client.connection.end_body(transaction)
        client.run()
        assert fates(transaction.outcomes) == accepted(server)
        quit_properly(client)
    assert [each.octets for each in server.deliveries(2)] == [USUAL] * 2
