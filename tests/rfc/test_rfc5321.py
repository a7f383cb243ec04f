"""RFC 5321, by section: dialogues with a server that offers nothing but what the RFC itself has."""

import pytest
from _dialogue import Driver, codes, config, play

from smtpcore import (
    NULL_PATH,
    AddressLiteral,
    BodyBegin,
    BodyEnd,
    Cause,
    Closed,
    Domain,
    Hello,
    Mailbox,
    MailFrom,
    Quit,
    RcptTo,
    Refused,
    Reply,
    Reset,
    Verify,
)

PLAIN_SMTP = config(extensions=())

GREETED = """
    C: EHLO client.example
    S: 250 mx.example.org
"""
OPEN = (
    GREETED
    + """
    C: MAIL FROM:<smith@client.example>
    S: 250 Sender ok
    C: RCPT TO:<jones@example.org>
    S: 250 Recipient ok
"""
)


def test_appendix_d1_a_typical_transaction() -> None:
    driver = play(
        """
        C: EHLO bar.com
        S: 250 mx.example.org
        C: MAIL FROM:<Smith@bar.com>
        S: 250 Sender ok
        C: RCPT TO:<Jones@foo.com>
        S: 250 Recipient ok
        C: RCPT TO:<Green@foo.com>
        A: RcptTo reject 550 No such user here
        S: 550 No such user here
        C: RCPT TO:<Brown@foo.com>
        S: 250 Recipient ok
        C: DATA
        S: 354 End data with <CR><LF>.<CR><LF>
        C: Blah blah blah...
        C: ...etc. etc. etc.
        C: .
        S: 250 Message accepted
        C: QUIT
        S: 221 mx.example.org closing connection
        CLOSED
        """,
        PLAIN_SMTP,
    )
    assert driver.body == b"Blah blah blah...\r\n..etc. etc. etc.\r\n"
    assert [str(event.path) for event in driver.seen(MailFrom, RcptTo)] == [
        "Smith@bar.com", "Jones@foo.com", "Green@foo.com", "Brown@foo.com",
    ]  # fmt: skip
    assert driver.events[-2:] == [Quit(), Closed(Cause.QUIT)]


def test_appendix_d2_an_aborted_transaction() -> None:
    driver = play(
        """
        C: EHLO bar.com
        S: 250 mx.example.org
        C: MAIL FROM:<Smith@bar.com>
        S: 250 Sender ok
        C: RCPT TO:<Jones@foo.com>
        S: 250 Recipient ok
        C: RCPT TO:<Green@foo.com>
        A: RcptTo reject 550 No such user here
        S: 550 No such user here
        C: RSET
        S: 250 Ok
        C: QUIT
        S: 221 mx.example.org closing connection
        CLOSED
        """,
        PLAIN_SMTP,
    )
    assert Reset() in driver.events
    assert not driver.seen(BodyBegin)


def test_appendix_d4_verifying_and_sending() -> None:
    driver = play(
        """
        C: EHLO bar.com
        S: 250 mx.example.org
        C: VRFY Crispin
        A: Verify accept 250 Mark Crispin <Admin.MRC@foo.com>
        S: 250 Mark Crispin <Admin.MRC@foo.com>
        C: MAIL FROM:<EAK@bar.com>
        S: 250 Sender ok
        C: RCPT TO:<Admin.MRC@foo.com>
        S: 250 Recipient ok
        C: DATA
        S: 354 End data with <CR><LF>.<CR><LF>
        C: Blah blah blah...
        C: .
        S: 250 Message accepted
        C: QUIT
        S: 221 mx.example.org closing connection
        """,
        config(extensions=(), verify=True),
    )
    assert driver.seen(Verify) == [Verify("VRFY", "Crispin")]


# --- 2 and 3: the model and the procedures ----------------------------------------------------------


def test_2_3_8_lines_end_with_crlf_alone() -> None:
    play(
        GREETED
        + r"""
        C~ NOOP\nNOOP\r\n
        S: 500 A line ends with <CR><LF> and holds no other <CR> or <LF>
        C~ NOOP\rNOOP\r\n
        S: 500 A line ends with <CR><LF> and holds no other <CR> or <LF>
        C~ NOOP\r\r\n
        S: 500 A line ends with <CR><LF> and holds no other <CR> or <LF>
        """,
        PLAIN_SMTP,
    )


def test_2_4_verbs_and_keywords_in_any_case() -> None:
    driver = play(
        """
        C: ehLO client.example
        S: 250 mx.example.org
        C: mAIL from:<a@client.example>
        S: 250 Sender ok
        C: rcpt TO:<Postmaster@example.org>
        S: 250 Recipient ok
        C: rset
        S: 250 Ok
        C: nOOP
        S: 250 Ok
        C: quit
        S: 221 mx.example.org closing connection
        """,
        PLAIN_SMTP,
    )
    # "The local-part of a mailbox MUST BE treated as case sensitive."
    assert driver.seen(RcptTo) == [RcptTo(Mailbox("Postmaster", "example.org"))]


def test_3_1_the_greeting() -> None:
    play("S: 220 mx.example.org ESMTP ready", PLAIN_SMTP, greet=False)
    play(
        """
        A: Connected reject 554 No SMTP service here
        S: 554 No SMTP service here
        CLOSED
        """,
        PLAIN_SMTP,
        greet=False,
    )
    play(
        """
        A: Connected reject 421 Too busy
        S: 421 Too busy
        CLOSED
        """,
        PLAIN_SMTP,
        greet=False,
    )
    play(
        """
        A: Connected accept 220 mx.example.org SMTP here
        S: 220 mx.example.org SMTP here
        """,
        PLAIN_SMTP,
        greet=False,
    )


def test_3_2_the_client_says_who_it_is() -> None:
    driver = play(
        """
        C: EHLO client.example
        S: 250 mx.example.org
        C: HELO [192.0.2.1]
        S: 250 mx.example.org
        C: EHLO [IPv6:2001:db8::1]
        A: Hello accept 250 mx.example.org pleased to meet you
        S: 250 mx.example.org pleased to meet you
        """,
        PLAIN_SMTP,
    )
    assert driver.seen(Hello) == [
        Hello("EHLO", Domain("client.example")),
        Hello("HELO", AddressLiteral.parse("[192.0.2.1]")),
        Hello("EHLO", AddressLiteral.parse("[IPv6:2001:db8::1]")),
    ]
    assert driver.conn.hello == driver.seen(Hello)[-1]


def test_3_3_mail_needs_a_recipient_before_data() -> None:
    # "If there was no MAIL, or no RCPT, command, or all such commands were rejected, the server MAY return a
    # 'command out of sequence' (503) or 'no valid recipients' (554) reply in response to the DATA command."
    play(
        GREETED
        + """
        C: DATA
        S: 503 Bad sequence of commands
        C: MAIL FROM:<smith@client.example>
        S: 250 Sender ok
        C: DATA
        S: 503 Bad sequence of commands
        C: RCPT TO:<jones@example.org>
        A: RcptTo reject 550 No such user here
        S: 550 No such user here
        C: DATA
        S: 503 Bad sequence of commands
        C: RCPT TO:<brown@example.org>
        S: 250 Recipient ok
        C: DATA
        S: 354 End data with <CR><LF>.<CR><LF>
        C: .
        S: 250 Message accepted
        """,
        PLAIN_SMTP,
    )


def test_3_3_a_transient_refusal_keeps_the_transaction() -> None:
    play(
        GREETED
        + """
        C: MAIL FROM:<smith@client.example>
        A: MailFrom reject 451 Try again later
        S: 451 Try again later
        C: RCPT TO:<jones@example.org>
        S: 503 Bad sequence of commands
        C: MAIL FROM:<smith@client.example>
        S: 250 Sender ok
        C: RCPT TO:<jones@example.org>
        A: RcptTo reject 450 Mailbox busy
        S: 450 Mailbox busy
        C: RCPT TO:<brown@example.org>
        A: RcptTo accept 251 User not local; will forward to <brown@example.net>
        S: 251 User not local; will forward to <brown@example.net>
        C: DATA
        A: BodyBegin reject 451 Disk full
        S: 451 Disk full
        C: DATA
        A: BodyBegin accept 354 Go ahead
        S: 354 Go ahead
        C: .
        A: BodyEnd accept 250 Queued as 1
        S: 250 Queued as 1
        """,
        PLAIN_SMTP,
    )


def test_3_5_3_what_verify_may_say() -> None:
    driver = play(
        GREETED
        + """
        C: VRFY Smith
        A: Verify accept 251 User not local; will forward to <smith@example.net>
        S: 251 User not local; will forward to <smith@example.net>
        C: VRFY Smith
        A: Verify reject 553 User ambiguous
        S: 553 User ambiguous
        C: VRFY "John Smith"@example.org
        S: 252 Cannot VRFY user, but will accept message and attempt delivery
        C: EXPN staff
        A: Verify accept 250 Jon <a@example.org>
        S: 250 Jon <a@example.org>
        C: EXPN staff
        A: Verify reject 550 Access Denied to You
        S: 550 Access Denied to You
        C: VRFY
        S: 501 Syntax: VRFY address
        C: EXPN
        S: 501 Syntax: EXPN list
        """,
        config(extensions=(), verify=True),
    )
    assert [event.verb for event in driver.seen(Verify)] == ["VRFY", "VRFY", "VRFY", "EXPN", "EXPN"]


def test_3_5_3_a_server_that_does_not_verify() -> None:
    # "if a VRFY is not implemented ... 252"; 7.3 lets a site disable both.
    play(
        """
        C: VRFY Smith
        S: 252 Cannot VRFY user, but will accept message and attempt delivery
        C: EXPN staff
        S: 502 Command not implemented
        """,
        PLAIN_SMTP,
    )


def test_3_8_the_server_shuts_down() -> None:
    driver = Driver(PLAIN_SMTP)
    driver.say("EHLO client.example")
    driver.conn.close()
    driver.pump()
    assert driver.out.endswith(b"421 mx.example.org shutting down\r\n")
    assert driver.events[-1] == Closed(Cause.SHUTDOWN)


# --- 4.1.1: the commands ----------------------------------------------------------------------------


def test_4_1_1_1_a_bad_argument_of_ehlo_changes_nothing() -> None:
    driver = play(
        """
        C: EHLO
        S: 501 Syntax: EHLO domain
        C: EHLO under_score.example
        S: 501 Syntax: EHLO domain
        C: HELO two words
        S: 501 Syntax: HELO domain
        C: EHLO [192.0.2.300]
        S: 501 Syntax: EHLO domain
        C: MAIL FROM:<a@client.example>
        S: 503 Bad sequence of commands
        C: EHLO client.example
        S: 250 mx.example.org
        C: MAIL FROM:<a@client.example>
        S: 250 Sender ok
        C: EHLO -
        S: 501 Syntax: EHLO domain
        C: RCPT TO:<b@example.org>
        S: 250 Recipient ok
        """,
        PLAIN_SMTP,
    )
    assert len(driver.seen(Refused)) == 6


def test_4_1_1_1_a_refused_ehlo_changes_nothing() -> None:
    play(
        """
        C: EHLO client.example
        A: Hello reject 550 Not you
        S: 550 Not you
        C: MAIL FROM:<a@client.example>
        S: 503 Bad sequence of commands
        C: EHLO client.example
        A: Hello reject 421 Not you
        S: 421 Not you
        CLOSED
        """,
        PLAIN_SMTP,
    )


def test_4_1_1_1_helo_after_ehlo() -> None:
    # 3.2: HELO "is considered obsolete", and takes no extensions: nor their parameters.
    play(
        """
        C: HELO client.example
        S: 250 mx.example.org
        C: MAIL FROM:<a@client.example> SIZE=5
        S: 555 5.5.4 Unsupported parameter: SIZE
        C: MAIL FROM:<a@client.example>
        S: 250 2.1.0 Sender ok
        """
    )


def test_4_1_1_2_mail() -> None:
    driver = play(
        GREETED
        + """
        C: MAIL
        S: 501 Syntax: MAIL FROM:<address> [parameters]
        C: MAIL TO:<a@client.example>
        S: 501 Syntax: MAIL FROM:<address> [parameters]
        C: MAIL FROM: <a@client.example>
        S: 501 Syntax: MAIL FROM:<address> [parameters]
        C: MAIL FROM:a@client.example
        S: 501 Syntax: MAIL FROM:<address> [parameters]
        C: MAIL FROM:<a b@client.example>
        S: 501 Bad sender address syntax
        C: MAIL FROM:<Postmaster>
        S: 501 Bad sender address syntax
        C: MAIL FROM:<@one.example,@two.example:joe@three.example>
        S: 250 Sender ok
        """,
        PLAIN_SMTP,
    )
    # Appendix C: a source route is accepted, and "SHOULD be ignored".
    assert driver.seen(MailFrom) == [MailFrom(Mailbox("joe", "three.example"))]


def test_4_1_1_3_rcpt() -> None:
    driver = play(
        GREETED
        + """
        C: MAIL FROM:<>
        S: 250 Sender ok
        C: RCPT TO:<>
        S: 501 Bad recipient address syntax
        C: RCPT TO: <b@example.org>
        S: 501 Syntax: RCPT TO:<address> [parameters]
        C: RCPT TO:<a@example.org,b@example.org>
        S: 501 Bad recipient address syntax
        C: RCPT TO:<postMASTER>
        S: 250 Recipient ok
        C: RCPT TO:<@hosta.int,@jkl.org:userc@d.bar.org>
        S: 250 Recipient ok
        C: RCPT TO:<"quo\\ ted"@[192.0.2.1]>
        S: 250 Recipient ok
        """,
        PLAIN_SMTP,
    )
    assert [event.path for event in driver.seen(RcptTo)] == [
        Mailbox("postMASTER", ""),
        Mailbox("userc", "d.bar.org"),
        Mailbox('"quo\\ ted"', "[192.0.2.1]"),
    ]
    envelope = driver.conn.envelope
    assert envelope is not None
    assert envelope.reverse_path == NULL_PATH
    assert len(envelope.recipients) == 3


def test_4_1_1_4_data_takes_no_argument() -> None:
    play(
        OPEN
        + """
        C: DATA now
        S: 501 Syntax: DATA
        C: DATA
        S: 354 End data with <CR><LF>.<CR><LF>
        C: .
        S: 250 Message accepted
        """,
        PLAIN_SMTP,
    )


def test_4_1_1_4_the_end_of_a_message_clears_the_transaction() -> None:
    # "Receipt of the end of mail data indication requires the server to process the stored mail transaction
    # information. This processing consumes the information in the reverse-path buffer, the forward-path
    # buffer, and the mail data buffer, and on the completion of this command these buffers are cleared."
    for verdict in ("accept 250 Kept", "reject 451 Full", "reject 554 Not liked"):
        driver = play(
            OPEN
            + f"""
            C: DATA
            S: 354 End data with <CR><LF>.<CR><LF>
            C: x
            C: .
            A: BodyEnd {verdict}
            S: {verdict.partition(" ")[2]}
            C: RCPT TO:<jones@example.org>
            S: 503 Bad sequence of commands
            C: DATA
            S: 503 Bad sequence of commands
            C: MAIL FROM:<smith@client.example>
            S: 250 Sender ok
            """,
            PLAIN_SMTP,
        )
        assert driver.seen(BodyEnd) == [BodyEnd(3)]


def test_4_1_1_5_rset() -> None:
    driver = play(
        """
        C: RSET
        S: 250 Ok
        C: EHLO client.example
        S: 250 mx.example.org
        C: RSET
        S: 250 Ok
        C: RSET now
        S: 501 Syntax: RSET
        C: MAIL FROM:<smith@client.example>
        S: 250 Sender ok
        C: RSET
        S: 250 Ok
        C: RCPT TO:<jones@example.org>
        S: 503 Bad sequence of commands
        C: MAIL FROM:<smith@client.example>
        S: 250 Sender ok
        """,
        PLAIN_SMTP,
    )
    assert driver.seen(Reset) == [Reset()]


def test_4_1_1_8_help() -> None:
    play(
        """
        C: HELP
        S: 214 EHLO HELO MAIL RCPT DATA RSET NOOP HELP VRFY EXPN QUIT
        C: HELP mail
        S: 214 MAIL FROM:<address> [parameters]
        C: HELP BDAT
        S: 214 EHLO HELO MAIL RCPT DATA RSET NOOP HELP VRFY EXPN QUIT
        C~ HELP \\x07\\r\\n
        S: 501 Syntax: HELP [verb]
        """,
        PLAIN_SMTP,
    )


def test_4_1_1_9_noop() -> None:
    # "Any parameter string ... servers SHOULD ignore"
    play(
        OPEN
        + """
        C: NOOP
        S: 250 Ok
        C: NOOP with a string
        S: 250 Ok
        C: RCPT TO:<brown@example.org>
        S: 250 Recipient ok
        """,
        PLAIN_SMTP,
    )


def test_4_1_1_10_quit() -> None:
    driver = play(
        OPEN
        + """
        C: QUIT now
        S: 501 Syntax: QUIT
        C: QUIT
        C: NOOP
        S: 221 mx.example.org closing connection
        CLOSED
        """,
        PLAIN_SMTP,
    )
    # "any uncompleted transaction ... MUST be aborted"
    assert driver.conn.envelope is None
    assert not driver.seen(BodyBegin)


def test_4_1_1_10_a_connection_that_goes_away() -> None:
    # The server acts "as if a RSET command had been received (canceling any pending transaction, but not undoing
    # any previously completed transaction)".
    driver = play(
        OPEN
        + """
        EOF
        CLOSED
        """,
        PLAIN_SMTP,
    )
    assert driver.conn.envelope is None
    assert driver.events[-1] == Closed(Cause.EOF)


def test_4_1_1_11_parameters_that_nobody_offered() -> None:
    play(
        GREETED
        + """
        C: MAIL FROM:<a@client.example> SIZE=1
        S: 555 Unsupported parameter: SIZE
        C: MAIL FROM:<a@client.example> size=1 SIZE=2
        S: 501 Syntax: MAIL FROM:<address> [parameters]
        C: MAIL FROM:<a@client.example> X-ODD
        S: 555 Unsupported parameter: X-ODD
        C: MAIL FROM:<a@client.example> =1
        S: 501 Syntax: MAIL FROM:<address> [parameters]
        C: MAIL FROM:<a@client.example> SIZE=
        S: 501 Syntax: MAIL FROM:<address> [parameters]
        C: MAIL FROM:<a@client.example>
        S: 250 Sender ok
        C: RCPT TO:<b@example.org> NOTIFY=NEVER
        S: 555 Unsupported parameter: NOTIFY
        C: RCPT TO:<b@example.org> -X
        S: 501 Syntax: RCPT TO:<address> [parameters]
        """,
        PLAIN_SMTP,
    )


def test_4_1_1_blanks_at_the_end_are_tolerated() -> None:
    # "SMTP servers SHOULD tolerate trailing white space before the terminating <CRLF>."
    play(
        r"""
        C~ EHLO client.example  \t\r\n
        S: 250 mx.example.org
        C~ NOOP \r\n
        S: 250 Ok
        C~ NOOP\t\r\n
        S: 250 Ok
        C~ MAIL FROM:<a@client.example>  \r\n
        S: 250 Sender ok
        C~ RCPT TO:<b@example.org>\t\r\n
        S: 250 Recipient ok
        C~ DATA \r\n
        S: 354 End data with <CR><LF>.<CR><LF>
        C: .
        S: 250 Message accepted
        C~ RSET \r\n
        S: 250 Ok
        C~ QUIT  \r\n
        S: 221 mx.example.org closing connection
        """,
        PLAIN_SMTP,
    )


def test_4_1_4_order_of_commands() -> None:
    play(
        """
        C: MAIL FROM:<a@client.example>
        S: 503 Bad sequence of commands
        C: RCPT TO:<b@example.org>
        S: 503 Bad sequence of commands
        C: DATA
        S: 503 Bad sequence of commands
        C: NOOP
        S: 250 Ok
        C: HELP QUIT
        S: 214 QUIT
        C: VRFY b
        S: 252 Cannot VRFY user, but will accept message and attempt delivery
        C: RSET
        S: 250 Ok
        C: EHLO client.example
        S: 250 mx.example.org
        C: RCPT TO:<b@example.org>
        S: 503 Bad sequence of commands
        C: MAIL FROM:<a@client.example>
        S: 250 Sender ok
        C: MAIL FROM:<a@client.example>
        S: 503 Bad sequence of commands
        C: RCPT TO:<b@example.org>
        S: 250 Recipient ok
        C: MAIL FROM:<a@client.example>
        S: 503 Bad sequence of commands
        C: NOOP
        S: 250 Ok
        C: VRFY b
        S: 252 Cannot VRFY user, but will accept message and attempt delivery
        C: DATA
        S: 354 End data with <CR><LF>.<CR><LF>
        """,
        PLAIN_SMTP,
    )


def test_4_1_4_ehlo_in_a_transaction_resets() -> None:
    driver = play(
        OPEN
        + """
        C: EHLO client.example
        S: 250 mx.example.org
        C: DATA
        S: 503 Bad sequence of commands
        C: MAIL FROM:<a@client.example>
        S: 250 Sender ok
        """,
        PLAIN_SMTP,
    )
    assert driver.seen(Reset) == [Reset()]


def test_4_1_5_private_commands() -> None:
    # "X" verbs need an agreement; without one they are commands that nobody knows.
    play(
        GREETED
        + """
        C: XYZZY
        S: 500 Command not recognized
        """,
        PLAIN_SMTP,
    )


# --- 4.2: replies ------------------------------------------------------------------------------------


def test_4_2_4_500_and_502() -> None:
    # "502 should be used when the command is actually recognized by the SMTP server, but not implemented."
    play(
        GREETED
        + """
        C: TURN
        S: 502 Command not implemented
        C: SEND FROM:<a@client.example>
        S: 502 Command not implemented
        C: SOML FROM:<a@client.example>
        S: 502 Command not implemented
        C: SAML FROM:<a@client.example>
        S: 502 Command not implemented
        C: LHLO client.example
        S: 502 Command not implemented
        C: FOO
        S: 500 Command not recognized
        C~ \\r\\n
        S: 500 Command not recognized
        C:  NOOP
        S: 500 Command not recognized
        """,
        PLAIN_SMTP,
    )


def test_4_2_1_multiline_replies() -> None:
    driver = Driver(config(extensions=()), answer=lambda conn, event: None)
    (connected,) = driver.events
    driver.conn.accept(connected, Reply(220, "one\ntwo\nthree"))
    driver.pump()
    assert driver.out == b"220-one\r\n220-two\r\n220 three\r\n"


def test_4_3_2_every_command_is_answered_once() -> None:
    sent = (
        ["EHLO client.example"],
        ["MAIL FROM:<a@client.example>"],
        ["RCPT TO:<b@example.org>", "RCPT TO:<c@example.org>"],
        ["FOO", "RCPT TO:<", "VRFY x", "EXPN x", "HELP", "NOOP", "RSET", "QUIT"],
    )
    driver = Driver(PLAIN_SMTP)
    assert [driver.codes(*lines) for lines in sent] == [
        ["250"],
        ["250"],
        ["250", "250"],
        ["500", "501", "252", "502", "214", "250", "250", "221"],
    ]


# --- 4.5: implementation issues ------------------------------------------------------------------------


def test_4_5_1_postmaster() -> None:
    driver = play(
        GREETED
        + """
        C: MAIL FROM:<>
        S: 250 Sender ok
        C: RCPT TO:<Postmaster>
        S: 250 Recipient ok
        C: RCPT TO:<Postmaster@example.org>
        S: 250 Recipient ok
        """,
        PLAIN_SMTP,
    )
    assert driver.seen(RcptTo)[0].path.host is None


def test_4_5_2_transparency() -> None:
    driver = play(
        OPEN
        + """
        C: DATA
        S: 354 End data with <CR><LF>.<CR><LF>
        C: ..
        C: ...
        C: .x
        C: x.
        C~ \\r\\n
        C: .
        S: 250 Message accepted
        """,
        PLAIN_SMTP,
    )
    assert driver.body == b".\r\n..\r\nx\r\nx.\r\n\r\n"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (f"{'x' * 64}@example.org", "250"),
        (f"{'x' * 65}@example.org", "501"),
        (f"x@{'y' * 63}.example", "250"),
        (f"x@{'y' * 64}.example", "501"),
        ("x@" + ".".join(["y" * 63] * 3) + "." + "z" * 60, "250"),  # 252 octets of domain, 256 of path
        ("xx@" + ".".join(["y" * 63] * 3) + "." + "z" * 60, "501"),
    ],
    ids=["local-part 64", "local-part 65", "label 63", "label 64", "path 256", "path 257"],
)
def test_4_5_3_1_sizes(path: str, code: str) -> None:
    driver = Driver(PLAIN_SMTP)
    driver.say("EHLO client.example")
    assert driver.codes(f"MAIL FROM:<{path}>") == [code]


def test_4_5_3_1_5_reply_lines_of_512_octets() -> None:
    driver = Driver(PLAIN_SMTP, answer=lambda conn, event: None)
    driver.conn.accept(driver.events[0], Reply(220, "x" * 1200))
    driver.pump()
    lines = driver.out.split(b"\r\n")[:-1]
    assert [len(line) + 2 for line in lines] == [512, 512, 1200 - 2 * 506 + 6]
    assert codes(driver.out) == ["220"]


def test_4_5_5_null_reverse_path() -> None:
    driver = play(
        GREETED
        + """
        C: MAIL FROM:<>
        S: 250 Sender ok
        """,
        PLAIN_SMTP,
    )
    assert driver.seen(MailFrom) == [MailFrom(NULL_PATH)]
