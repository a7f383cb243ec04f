"""Envelopes into command lines: what is asked of which server, what is not, and what is never put on any wire."""

import itertools
from typing import Any

import pytest
from _client_wire import ScriptedServer, begun, converse, envelope, fates, start
from hypothesis import given, strategies as st

from smtpcore import (
    LMTP,
    NULL_PATH,
    POSTMASTER,
    SMTP,
    Body,
    Capabilities,
    ClientConfig,
    DeliverBy,
    Envelope,
    LocalProtocolError,
    Mailbox,
    MailFrom,
    MailParams,
    Notify,
    OriginalRecipient,
    RcptParams,
    RcptTo,
    Recipient,
    Reply,
    RequireRecipientValidSince,
    Ret,
    ServerConfig,
    TlsInfo,
    Wait,
    extensions as x,
)
from smtpcore._capabilities import parse_capabilities
from smtpcore._composing import compose, divide
from smtpcore.testing import CLIENT_TLS, HOSTNAME, TLS, ClientDriver, Greet, Send, ServerDriver
from smtpcore.testing.strategies import EXTENSIONS, MECHANISMS, envelopes, extension_sets, recipients

made: Any = Mailbox  # without a check, and of what the type checker would not take
by: Any = DeliverBy
OFFERED = (
    "PIPELINING", "8BITMIME", "SMTPUTF8", "CHUNKING", "BINARYMIME", "DSN", "REQUIRETLS", "RRVS", "MT-PRIORITY",
    "FUTURERELEASE 1000 2030-01-01T00:00:00Z", "DELIVERBY 60", "NO-SOLICITING", "SIZE 1000", "AUTH PLAIN",
)  # fmt: skip


def capabilities(*lines: str) -> Capabilities:
    return parse_capabilities(["mx.example.org", *lines], x.ALL, 100)[0]


def one(path: str = "x@y.example", **params: Any) -> tuple[Recipient, ...]:
    return (Recipient(Mailbox.parse(path), RcptParams(**params)),)


def said(driver: ClientDriver, of: Envelope) -> list[str]:
    """What is sent for *of* at first: MAIL, and RCPT in a group."""
    start(driver, of)
    return [line for line in driver.fresh().decode().split("\r\n") if line[:4] in ("MAIL", "RCPT")]


# --- what is said --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({}, ""),
        ({"size": 0}, " SIZE=0"),
        ({"size": 1000}, " SIZE=1000"),
        ({"body": Body.SEVEN_BIT}, " BODY=7BIT"),
        ({"body": Body.EIGHT_BIT_MIME}, " BODY=8BITMIME"),
        ({"body": Body.BINARY_MIME}, " BODY=BINARYMIME"),
        ({"smtputf8": True}, " SMTPUTF8"),
        ({"auth": "<>"}, " AUTH=<>"),
        ({"auth": Mailbox.parse("e+mc2@example.com")}, " AUTH=e+2Bmc2@example.com"),
        ({"ret": Ret.HEADERS}, " RET=HDRS"),
        ({"ret": Ret.FULL, "envid": "QQ 314+="}, " RET=FULL ENVID=QQ+20314+2B+3D"),
        ({"priority": -3}, " MT-PRIORITY=-3"),
        ({"priority": 0}, " MT-PRIORITY=0"),
        ({"hold_for": 1000}, " HOLDFOR=1000"),
        ({"hold_until": "2029-12-31T23:59:59Z"}, " HOLDUNTIL=2029-12-31T23:59:59Z"),
        ({"by": DeliverBy(60, "R", False)}, " BY=60;R"),
        ({"by": DeliverBy(-5, "N", True)}, " BY=-5;NT"),
        ({"requiretls": True}, " REQUIRETLS"),
        ({"solicit": ("net.example:ADV", "org.x")}, " SOLICIT=net.example:ADV,org.x"),
    ],
    ids=str,
)
def test_parameters_of_mail(params: dict[str, Any], text: str) -> None:
    driver = begun(*OFFERED, tls=CLIENT_TLS)
    assert said(driver, envelope(**params)) == [f"MAIL FROM:<a@b.example>{text}", "RCPT TO:<x@y.example>"]


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({}, ""),
        ({"notify": frozenset({Notify.NEVER})}, " NOTIFY=NEVER"),
        ({"notify": frozenset({Notify.DELAY, Notify.SUCCESS})}, " NOTIFY=SUCCESS,DELAY"),
        ({"orcpt": OriginalRecipient("rfc822", "Bob+x@a.example")}, " ORCPT=rfc822;Bob+2Bx@a.example"),
        ({"rrvs": RequireRecipientValidSince("2014-04-03T23:01:00Z", "R")}, " RRVS=2014-04-03T23:01:00Z;R"),
    ],
    ids=lambda each: each if isinstance(each, str) else ",".join(each),
)
def test_parameters_of_rcpt(params: dict[str, Any], text: str) -> None:
    driver = begun(*OFFERED)
    of = Envelope(NULL_PATH, one(**params) + one("z@y.example"))
    assert said(driver, of) == ["MAIL FROM:<>", f"RCPT TO:<x@y.example>{text}", "RCPT TO:<z@y.example>"]


@pytest.mark.parametrize(
    "params",
    [
        {"size": 10**9}, {"body": Body.SEVEN_BIT}, {"auth": "<>"}, {"ret": Ret.FULL, "envid": "x"}, {"priority": 9},
        {"by": DeliverBy(1, "N", True)}, {"solicit": ("org.x",)},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_left_out_where_it_is_not_offered(params: dict[str, Any]) -> None:
    of = Envelope(
        NULL_PATH,
        one(
            notify=frozenset({Notify.NEVER}),
            orcpt=OriginalRecipient("rfc822", "x"),
            rrvs=RequireRecipientValidSince("2014-04-03T23:01:00Z", "C"),
        ),
        MailParams(**params),
    )
    driver = begun("PIPELINING")
    assert said(driver, of) == ["MAIL FROM:<>", "RCPT TO:<x@y.example>"]


def test_addresses_as_they_were_written() -> None:
    to = ('"a b"@y.example', "x@[192.0.2.1]", "x@[IPv6:2001:db8::1]", "O'Neil/=?x@Y.EXAMPLE", r'"\"\a"@y.example')
    driver = begun("PIPELINING")
    assert said(driver, envelope("", *to)) == ["MAIL FROM:<>", *(f"RCPT TO:<{each}>" for each in to)]
    driver = begun("PIPELINING")
    of = Envelope(Mailbox.parse("A@[1.2.3.4]"), (Recipient(POSTMASTER), Recipient(made("PostMaster", ""))))
    assert said(driver, of) == ["MAIL FROM:<A@[1.2.3.4]>", "RCPT TO:<Postmaster>", "RCPT TO:<PostMaster>"]


# --- SMTPUTF8 ------------------------------------------------------------------------------------


@pytest.mark.catalogue("B10")
def test_a_domain_goes_in_a_labels() -> None:
    """With SMTPUTF8 offered or not: where nothing else needs it, fewer relays behind it need to have it."""
    for offered in (("PIPELINING",), ("PIPELINING", "SMTPUTF8", "8BITMIME")):
        driver = begun(*offered)
        assert said(driver, envelope("a@BÜCHER.example", "x@例子.example", "y@plain.example")) == [
            "MAIL FROM:<a@xn--bcher-kva.example>",
            "RCPT TO:<x@xn--fsqu00a.example>",
            "RCPT TO:<y@plain.example>",
        ]


@pytest.mark.catalogue("B10")
@pytest.mark.parametrize(
    ("sender", "recipients", "params"),
    [
        ("ä@b.example", ("x@y.example",), {}),
        ("a@b.example", ("x@y.example", "ö@bücher.example"), {}),
        ("a@b.example", ("x@bücher.example",), {"smtputf8": True}),
        ("", ('"ü "@y.example',), {}),
    ],
)
def test_smtputf8_is_said_where_it_is_needed(sender: str, recipients: tuple[str, ...], params: dict[str, Any]) -> None:
    driver = begun("PIPELINING", "SMTPUTF8", "8BITMIME")
    assert said(driver, envelope(sender, *recipients, **params)) == [
        f"MAIL FROM:<{sender}> SMTPUTF8",
        *(f"RCPT TO:<{each}>" for each in recipients),
    ]


@pytest.mark.catalogue("B10")
@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (envelope("ä@b.example", "x@y.example", "z@y.example"), ["REFUSED 550 5.6.7 local"] * 2),
        (envelope("a@b.example", "x@y.example", smtputf8=True), ["REFUSED 550 5.6.7 local"]),
        (envelope("a@b.example", "ü@y.example"), ["REFUSED 550 5.6.7 local"]),
        (envelope("a@b.example", "x@y.example", "ü@y.example"), ["ACCEPTED 250", "REFUSED 550 5.6.7 local"]),
        (envelope("", '"ü"@y.example', "x@ü.example"), ["REFUSED 550 5.6.7 local", "ACCEPTED 250"]),
    ],
    ids=str,
)
def test_without_smtputf8(of: Envelope, expected: list[str]) -> None:
    for offered in ((), ("PIPELINING",)):
        driver = begun(*offered)
        transaction = start(driver, of)
        converse(driver, ScriptedServer())
        assert fates(transaction) == expected
        assert driver.out.isascii()
        assert (driver.out.count(b"MAIL ") == 1) == ("ACCEPTED 250" in expected)


# --- what a server cannot do ---------------------------------------------------------------------

LATER = "2030-01-01T00:00:01Z"


@pytest.mark.catalogue("B11")
@pytest.mark.parametrize(
    ("offered", "params", "expected"),
    [
        ((), {"body": Body.EIGHT_BIT_MIME}, "554 5.6.3"),
        (("CHUNKING",), {"body": Body.EIGHT_BIT_MIME}, "554 5.6.3"),
        (("BINARYMIME", "CHUNKING"), {"body": Body.EIGHT_BIT_MIME}, None),
        (("8BITMIME",), {"body": Body.EIGHT_BIT_MIME}, None),
        (("8BITMIME", "CHUNKING"), {"body": Body.BINARY_MIME}, "554 5.6.3"),
        (("8BITMIME", "BINARYMIME"), {"body": Body.BINARY_MIME}, "554 5.6.3"),
        (("8BITMIME", "BINARYMIME", "CHUNKING"), {"body": Body.BINARY_MIME}, None),
        ((), {"body": Body.BINARY_MIME}, "554 5.6.3"),
        ((), {"requiretls": True}, "550 5.7.30"),
        (("SIZE 100",), {"size": 101}, "552 5.3.4"),
        (("SIZE 100",), {"size": 100}, None),
        (("SIZE 0",), {"size": 10**19}, None),
        (("SIZE",), {"size": 10**19}, None),
        (("SIZE many",), {"size": 10**19}, None),
        ((), {"size": 10**19}, None),
        ((), {"hold_for": 5}, "550 5.3.3"),
        ((), {"hold_until": "2029-01-01T00:00:00Z"}, "550 5.3.3"),
        (("FUTURERELEASE 9 2030-01-01T00:00:00Z",), {"hold_for": 9}, None),
        (("FUTURERELEASE 9 2030-01-01T00:00:00Z",), {"hold_for": 10}, "501 5.5.4"),
        (("FUTURERELEASE 9 2030-01-01T00:00:00Z",), {"hold_until": "2030-01-01T00:00:00Z"}, None),
        (("FUTURERELEASE 9 2030-01-01T00:00:00Z",), {"hold_until": LATER}, "501 5.5.4"),
        (("FUTURERELEASE",), {"hold_until": LATER}, None),
        (("FUTURERELEASE",), {"hold_until": LATER, "hold_for": 1}, "501 5.5.4"),
        ((), {"by": DeliverBy(5, "R", False)}, "550 5.3.3"),
        ((), {"by": DeliverBy(5, "N", False)}, None),
        (("DELIVERBY 6",), {"by": DeliverBy(5, "R", False)}, "555 5.5.4"),
        (("DELIVERBY 6",), {"by": DeliverBy(6, "R", False)}, None),
        (("DELIVERBY 6",), {"by": DeliverBy(5, "N", False)}, None),
        (("DELIVERBY",), {"by": DeliverBy(1, "R", False)}, None),
        (("DELIVERBY", "FUTURERELEASE"), {"by": DeliverBy(4, "R", False), "hold_for": 5}, "501 5.5.4"),
    ],
    ids=str,
)
def test_what_a_server_cannot_do(offered: tuple[str, ...], params: dict[str, Any], expected: str | None) -> None:
    driver = begun(*offered, tls=CLIENT_TLS)
    transaction = start(driver, envelope("a@b.example", "x@y.example", "z@y.example", **params))
    if expected is not None:
        assert fates(transaction) == [f"REFUSED {expected} local"] * 2
        assert driver.fresh() == b""
        assert driver.conn.awaits_intent
    else:
        converse(driver, ScriptedServer())
        assert fates(transaction) == ["ACCEPTED 250"] * 2


@pytest.mark.parametrize("tls", [None, TlsInfo("TLSv1.3"), CLIENT_TLS])
@pytest.mark.parametrize("offered", [(), ("REQUIRETLS",)])
def test_requiretls(tls: TlsInfo | None, offered: tuple[str, ...]) -> None:
    """A server may offer it without TLS, or without a certificate that verifies; it is asked for only within both."""
    driver = begun(*offered, tls=tls)
    transaction = start(driver, envelope(requiretls=True))
    if tls is CLIENT_TLS and offered:
        assert driver.fresh() == b"MAIL FROM:<a@b.example> REQUIRETLS\r\n"
    else:
        assert fates(transaction) == ["REFUSED 550 5.7.30 local"]
        assert driver.fresh() == b""


@pytest.mark.parametrize("action", ["R", "C"])
def test_rrvs(action: Any) -> None:
    """R refuses, where nobody would look at the date; C goes without it."""
    driver = begun()
    to = one(rrvs=RequireRecipientValidSince("2014-04-03T23:01:00Z", action)) + one("z@y.example")
    transaction = start(driver, Envelope(NULL_PATH, to))
    converse(driver, ScriptedServer())
    expected = "REFUSED 550 5.3.3 local" if action == "R" else "ACCEPTED 250"
    assert fates(transaction) == [expected, "ACCEPTED 250"]


def test_what_a_recipient_wants_and_a_server_does_not_offer() -> None:
    """An extension of one's own may refuse the recipient."""
    own = x.Extension(
        "X-OWN",
        rfc=0,
        params=(x.Param("RCPT", "X-OWN", "x_own", unmet=lambda wanted: Reply(550, "No", "5.5.4")),),
    )
    config = ClientConfig(extensions=(*x.ALL, own))
    to = Recipient(Mailbox.parse("x@y.example"), RcptParams(extra={"x_own": True}))
    for offered, expected in (((), "REFUSED 550 5.5.4 local"), (("X-OWN",), "ACCEPTED 250")):
        driver = begun(*offered, config=config)
        transaction = start(driver, Envelope(NULL_PATH, (to, *one("z@y.example"))))
        converse(driver, ScriptedServer())
        assert fates(transaction) == [expected, "ACCEPTED 250"]
        assert (b"RCPT TO:<x@y.example> X-OWN\r\n" in driver.out) == bool(offered)
    driver = begun("X-OWN")
    with pytest.raises(LocalProtocolError, match="x_own"):
        driver.conn.send(Envelope(NULL_PATH, (to,)))


def test_the_order_of_the_extensions_does_not_matter() -> None:
    """BODY= is of two: each value goes by whichever is offered and has it."""
    config = ClientConfig(extensions=(x.BINARYMIME, x.CHUNKING, x.EIGHTBITMIME))
    for body, offered, expected in (
        (Body.EIGHT_BIT_MIME, ("8BITMIME",), "ACCEPTED 250"),
        (Body.EIGHT_BIT_MIME, (), "REFUSED 554 5.6.3 local"),
        (Body.BINARY_MIME, ("8BITMIME", "CHUNKING"), "REFUSED 554 5.6.3 local"),
        (Body.BINARY_MIME, ("BINARYMIME", "CHUNKING"), "ACCEPTED 250"),
        (Body.SEVEN_BIT, (), "ACCEPTED 250"),
    ):
        driver = begun(*offered, config=config)
        transaction = start(driver, envelope(body=body))
        converse(driver, ScriptedServer())
        assert fates(transaction) == [expected]


@pytest.mark.parametrize("known", [(), (x.CHUNKING,), (x.EIGHTBITMIME,), (x.BINARYMIME, x.EIGHTBITMIME)])
def test_what_the_config_does_not_know(known: tuple[x.Extension, ...]) -> None:
    driver = begun(*OFFERED, config=ClientConfig(extensions=known))
    with pytest.raises(LocalProtocolError):
        driver.conn.send(envelope(ret=Ret.FULL))
    with pytest.raises(LocalProtocolError):
        driver.conn.send(envelope("a@b.example", size=5))
    if x.BINARYMIME not in known:
        with pytest.raises(LocalProtocolError):
            driver.conn.send(envelope(body=Body.BINARY_MIME))
    assert driver.pump() is Wait.INTENT
    assert driver.fresh() == b""


def test_prefer_chunking() -> None:
    for prefer in (False, True):
        for offered in ((), ("CHUNKING",)):
            driver = begun(*offered, config=ClientConfig(prefer_chunking=prefer))
            start(driver)
            converse(driver, ScriptedServer())
            assert (b"BDAT" in driver.out) == (prefer and bool(offered))
    driver = begun("CHUNKING", "BINARYMIME")
    start(driver, envelope(body=Body.BINARY_MIME), b"\0")
    converse(driver, ScriptedServer())
    assert b"BDAT 1 LAST\r\n\0" in driver.out


def test_composing_is_of_capabilities_alone() -> None:
    of = envelope("a@b.example", "x@y.example", "ü@y.example")
    got = compose(of, capabilities("CHUNKING"), ClientConfig(prefer_chunking=True, eight_bit=True), verified=False)
    assert (got.refused, got.mail, list(got.rcpts)) == (None, "MAIL FROM:<a@b.example>", [(0, "RCPT TO:<x@y.example>")])
    assert (got.chunking, got.binary, got.eight_bit) == (True, False, True)
    assert [(index, fate.name) for index, fate, _ in got.decided] == [(1, "REFUSED")]


# --- LIMITS --------------------------------------------------------------------------------------

MANY = envelope(
    "", "a@one.example", "b@ONE.example", "c@two.example", "d@one.example", "e@three.example", "f@two.example"
)


@pytest.mark.parametrize(
    ("limits", "unsent"),
    [
        ("", ""),
        ("RCPTMAX=6", ""),
        ("RCPTMAX=4", "ef"),
        ("RCPTMAX=1", "bcdef"),
        ("RCPTDOMAINMAX=1", "cef"),
        ("RCPTDOMAINMAX=2", "e"),
        ("RCPTDOMAINMAX=3", ""),
        ("RCPTDOMAINMAX=2 RCPTMAX=4", "ef"),
        ("rcptmax=2 RCPTDOMAINMAX=9", "cdef"),
        ("RCPTMAX=0", ""),
        ("RCPTMAX=x", ""),
    ],
)
def test_limits(limits: str, unsent: str) -> None:
    driver = begun("PIPELINING", f"LIMITS {limits}")
    transaction = start(driver, MANY)
    converse(driver, ScriptedServer())
    expected = ["UNSENT 452 4.5.3 local" if name in unsent else "ACCEPTED 250" for name in "abcdef"]
    assert fates(transaction) == expected
    assert driver.out.count(b"RCPT ") == expected.count("ACCEPTED 250")
    rest = driver.conn.divide(MANY)
    assert len(rest) > 1 if unsent else rest == (MANY,)


def test_a_recipient_that_is_refused_here_takes_no_room() -> None:
    driver = begun("PIPELINING", "LIMITS RCPTMAX=1 RCPTDOMAINMAX=1")
    transaction = start(driver, envelope("", "ü@one.example", "x@two.example", "y@two.example"))
    converse(driver, ScriptedServer())
    assert fates(transaction) == ["REFUSED 550 5.6.7 local", "ACCEPTED 250", "UNSENT 452 4.5.3 local"]


@given(
    st.lists(recipients((x.DSN,)), min_size=1, max_size=12),
    st.none() | st.integers(1, 6),
    st.none() | st.integers(1, 4),
    st.sampled_from(["a.example", "A.EXAMPLE", "b.example", "c.example", "d.example"]),
)
def test_divide(to: list[Recipient], most: int | None, most_domains: int | None, domain: str) -> None:
    to = [Recipient(made("x", domain), each.params) if at % 3 else each for at, each in enumerate(to)]
    whole = Envelope(NULL_PATH, tuple(to), MailParams(envid="same"))
    words = [f"RCPTMAX={most}"] * (most is not None) + [f"RCPTDOMAINMAX={most_domains}"] * (most_domains is not None)
    offered = capabilities(f"LIMITS {' '.join(words)}")
    parts = divide(whole, offered)

    def fits(group: list[Recipient]) -> bool:
        domains = {each.path.domain.lower() for each in group}
        return len(group) <= (most or 99) and len(domains) <= (most_domains or 99)

    assert [each for part in parts for each in part.recipients] == to
    for part in parts:
        assert (part.reverse_path, part.params) == (whole.reverse_path, whole.params)
        assert fits(list(part.recipients))
        # So nothing of it is left over for want of room.
        assert not compose(part, offered, ClientConfig(), verified=False).decided
    for part, following in itertools.pairwise(parts):
        assert not fits([*part.recipients, following.recipients[0]])
    if fits(to):
        assert parts == (whole,)


# --- read back by a server -----------------------------------------------------------------------


def read_back(
    of: Envelope, offered: tuple[x.Extension, ...], *, dialect: Any = SMTP
) -> tuple[ClientDriver, ServerDriver, list[str]]:
    """Send *of* to a server that offers these; both, and the fates."""
    mechanisms = MECHANISMS if x.AUTH in offered else ()
    server = ServerDriver(
        ServerConfig(
            hostname=HOSTNAME,
            extensions=offered,
            mechanisms=mechanisms,
            cleartext_auth=True,
            auth_required=False,
        ),
        dialect=dialect,
        tls=TLS,
    )  # fmt: skip
    client = ClientDriver(tls=CLIENT_TLS, dialect=dialect)

    def carry() -> None:
        while True:
            heard = client.fresh()
            if heard:
                server.feed(heard)
            answered = server.fresh()
            if answered:
                client.feed(answered)
            if not heard and not answered:
                return

    carry()
    client.do(Greet())
    client.pump()
    carry()
    transaction = client.send(Send(of, b"Hi\r\n"))
    client.pump()
    carry()
    assert transaction.done
    return client, server, fates(transaction)


def expected_of(of: Envelope, offered: set[str]) -> tuple[MailParams | None, list[str | None]]:
    """The parameters that the server should see, None where the message is refused here; why recipients are."""
    params = of.params
    sender = of.reverse_path
    ascii_sender = not isinstance(sender, Mailbox) or sender.local_part.isascii()
    ascii_to = [each.path.local_part.isascii() for each in of.recipients]
    needs_utf8 = params.smtputf8 or not ascii_sender
    impossible = [
        needs_utf8 and "SMTPUTF8" not in offered,
        params.body is Body.EIGHT_BIT_MIME and "8BITMIME" not in offered,
        params.body is Body.BINARY_MIME and not {"BINARYMIME", "CHUNKING"} <= offered,
        params.requiretls and "REQUIRETLS" not in offered,
        (params.hold_for is not None or params.hold_until is not None) and "FUTURERELEASE" not in offered,
        params.by is not None and params.by.mode == "R" and "DELIVERBY" not in offered,
    ]
    if any(impossible):
        return None, []
    utf8 = "SMTPUTF8" in offered and (needs_utf8 or not all(ascii_to))

    def kept(keyword: str, name: str) -> Any:
        return getattr(params, name if keyword in offered else "_", getattr(MailParams(), name))

    seen = MailParams(
        size=kept("SIZE", "size"),
        body=kept("8BITMIME", "body"),
        smtputf8=utf8,
        auth=kept("AUTH", "auth"),
        ret=kept("DSN", "ret"),
        envid=kept("DSN", "envid"),
        priority=kept("MT-PRIORITY", "priority"),
        hold_for=params.hold_for,
        hold_until=params.hold_until,
        by=kept("DELIVERBY", "by"),
        requiretls=params.requiretls,
        solicit=kept("NO-SOLICITING", "solicit"),
    )
    why: list[str | None] = []
    for each, is_ascii in zip(of.recipients, ascii_to, strict=True):
        rrvs = each.params.rrvs
        if not is_ascii and "SMTPUTF8" not in offered:
            why.append("5.6.7")
        elif rrvs is not None and rrvs.action == "R" and "RRVS" not in offered:
            why.append("5.3.3")
        else:
            why.append(None)
    return seen, why


EVERYTHING = ServerConfig(
    hostname=HOSTNAME, extensions=tuple(each for each in EXTENSIONS if each.keyword != "AUTH"), cleartext_auth=True
)


@pytest.mark.catalogue("B8", "B10", "B11")
@given(
    envelopes(EXTENSIONS, server=EVERYTHING), extension_sets(EXTENSIONS, dialect=LMTP), st.sampled_from([SMTP, LMTP])
)
def test_a_server_reads_what_was_meant(of: Envelope, offered: tuple[x.Extension, ...], dialect: Any) -> None:
    client, server, came = read_back(of, offered, dialect=dialect)
    params, whys = expected_of(of, {each.keyword for each in offered})
    if params is None:
        assert not server.seen(MailFrom)
        assert all(each.startswith("REFUSED") and each.endswith("local") for each in came)
        return
    assert came == ["ACCEPTED 250" if why is None else f"REFUSED 550 {why} local" for why in whys]
    if None not in whys:
        assert not server.seen(MailFrom)
        return
    (mail,) = server.seen(MailFrom)
    assert (mail.path, mail.params) == (of.reverse_path, params)
    keywords = {each.keyword for each in offered}
    expected = []
    for each, why in zip(of.recipients, whys, strict=True):
        if why is None:
            dsn, rrvs = "DSN" in keywords, "RRVS" in keywords
            expected.append(
                (
                    each.path,
                    RcptParams(
                        notify=each.params.notify if dsn else frozenset(),
                        orcpt=each.params.orcpt if dsn else None,
                        rrvs=each.params.rrvs if rrvs else None,
                    ),
                )
            )
    assert [(rcpt.path, rcpt.params) for rcpt in server.seen(RcptTo)] == expected
    assert client.conn.awaits_intent
