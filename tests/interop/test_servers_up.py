"""The servers of others are what the tests take them for: the standard library's client talks to each."""

import smtplib

import pytest
from interop_messages import HEAD, big
from interop_servers import Server

SERVERS = ("postfix", "exim", "opensmtpd", "aiosmtpd", "smtp_server", "smtp_server_lmtp", "dovecot")
# Of LMTP the client of the standard library has none that begins with TLS, nor has Dovecot such a port.
NO_TLS = ("dovecot", "smtp_server_lmtp", "opensmtpd")
MODES = [
    (server, tls)
    for server in SERVERS
    for tls in ("clear", "STARTTLS", "TLS")
    if (tls != "TLS" or server not in NO_TLS) and (tls != "STARTTLS" or server != "opensmtpd")
]


def connected(server: Server, *, tls: str) -> smtplib.SMTP:
    context = server.certificate.context()
    if tls == "TLS":
        assert server.tls_port is not None
        return smtplib.SMTP_SSL("localhost", server.tls_port, "client.example", timeout=30, context=context)
    make = smtplib.LMTP if server.lmtp else smtplib.SMTP
    client = make("localhost", server.port, "client.example")
    if tls == "STARTTLS":
        client.starttls(context=context)
    return client


@pytest.mark.parametrize(("name", "tls"), MODES)
def test_smtplib_delivers(request: pytest.FixtureRequest, name: str, tls: str) -> None:
    server: Server = request.getfixturevalue(name)
    message = HEAD + big(1000) + b"\r\n.\r\n"
    with connected(server, tls=tls) as client:
        client.ehlo_or_helo_if_needed()
        if tls != "clear" and server.mechanisms:
            assert set(client.esmtp_features["auth"].split()) == set(server.mechanisms)
            client.login(server.user, server.password)
        assert client.mail(server.sender)[0] == 250
        asked = [*server.recipients, server.refused, *([server.full] if server.full else [])]
        answers = {recipient: client.rcpt(recipient)[0] for recipient in asked}
        assert {recipient for recipient in asked if answers[recipient] != 250} == {server.refused}
        assert answers[server.refused] == 550
        verdicts = [client.data(message)[0]]
        if server.lmtp:
            verdicts += [client.getreply()[0] for _ in asked[2:]]
    assert verdicts == [250, 250, 552] if server.lmtp else [250]
    deliveries = server.deliveries(len(server.recipients))
    assert [(each.sender, each.recipient) for each in deliveries] == [
        (server.sender, recipient) for recipient in server.recipients
    ]
    assert {each.octets for each in deliveries} == {message}
