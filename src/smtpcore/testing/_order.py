"""The order of commands as the RFCs tell it: an oracle, written by hand and not from the machine's table.

RFC 5321 section 4.1.4 for the most part; the sections of the extensions where they have something to say.
The states are called as the phases of the engine are, but this file knows nothing of the engine.
"""

from typing import Final

from .._value import value

GREETS: Final = {"SMTP": ("EHLO", "HELO"), "SUBMISSION": ("EHLO", "HELO"), "LMTP": ("LHLO",)}

TRANSACTION: Final = ("MAIL", "RCPT", "BDAT")
"""States in which a mail transaction is open."""


@value
class Expected:
    """The code of the reply, and the state after it."""

    code: int
    state: str


@value
class Given:
    """What else matters.

    Args:
        protocol: SMTP, SUBMISSION or LMTP.
        tls: whether TLS is active.
        authenticated: whether the client has logged in.
        missing: verbs of extensions that the server does not have.
    """

    protocol: str = "SMTP"
    tls: bool = False
    authenticated: bool = False
    missing: frozenset[str] = frozenset()


def expect(state: str, verb: str, yes: bool, given: Given) -> Expected:
    """What a server does with a well-formed *verb* in *state*, if its application says *yes* or no (550) to it.

    "BDAT" stands for a chunk that is not the last, "BDAT LAST" for one that is.
    """
    refused = Expected(550, state)
    out_of_order = Expected(503, state)

    # RFC 5321 4.2.4: 502 for what is known and not implemented.
    if verb.partition(" ")[0] in given.missing:
        return Expected(502, state)

    # "The NOOP, HELP, EXPN, VRFY, and RSET commands can be used at any time during a session, or without previously
    # initializing a session."
    if verb == "NOOP":
        return Expected(250, state)
    if verb == "HELP":
        return Expected(214, state)
    if verb in ("VRFY", "EXPN"):
        return Expected(252, state) if yes else refused
    # 4.1.1.5: RSET "specifies that the current mail transaction will be aborted" and is otherwise a no-op.
    if verb == "RSET":
        return Expected(250, "READY" if state in TRANSACTION else state)
    # "The QUIT command may be issued at any time."
    if verb == "QUIT":
        return Expected(221, "CLOSED")

    # "An EHLO command MAY be issued by a client later in the session. If it is issued after the session begins and the
    # EHLO command is acceptable to the SMTP server, the SMTP server MUST clear all buffers and reset the state exactly
    # as if a RSET command had been issued." If it is not acceptable, the server "MUST stay in the same state".
    if verb in ("EHLO", "HELO", "LHLO"):
        # RFC 2033 4.1: LHLO is LMTP's, and EHLO and HELO are not.
        if verb not in GREETS[given.protocol]:
            return Expected(502, state)
        return Expected(250, "READY") if yes else refused

    # "A mail transaction begins with MAIL"; "MAIL (or the obsolete SEND, SOML, or SAML) ... A mail transaction may be
    # started only when none is in progress": else "503".
    # "a session that will contain mail transactions MUST first be initialized by the use of the EHLO command".
    if verb == "MAIL":
        if state != "READY":
            return out_of_order
        return Expected(250, "MAIL") if yes else refused
    # "Once started, a mail transaction consists of a transaction beginning command, one or more RCPT commands, and a
    # DATA command, in that order."
    if verb == "RCPT":
        if state not in ("MAIL", "RCPT"):
            return out_of_order
        return Expected(250, "RCPT") if yes else refused
    # 4.1.1.4 and 3.3: DATA needs a recipient that was accepted. RFC 3030 2: DATA and BDAT "cannot be used in the same
    # transaction".
    if verb == "DATA":
        if state != "RCPT":
            return out_of_order
        return Expected(354, "BODY") if yes else refused

    # RFC 3030 2: BDAT needs what DATA needs. "the server MUST accept and discard the associated message data" of one
    # that it refuses, and the transaction fails with it.
    if verb == "BDAT":
        if state == "BDAT":
            return Expected(250, "BDAT")
        if state != "RCPT":
            return out_of_order
        return Expected(250, "BDAT") if yes else Expected(550, "READY")
    if verb == "BDAT LAST":
        if state not in ("RCPT", "BDAT"):
            return out_of_order
        return Expected(250 if yes else 550, "READY")

    # RFC 3207 4: STARTTLS makes sense where nothing is in progress. 4.2: within TLS it is not offered again.
    if verb == "STARTTLS":
        if state not in ("HELLO", "READY"):
            return out_of_order
        if given.tls:
            return Expected(503, state)
        return Expected(220, "TLS") if yes else refused
    # RFC 4954 4: "no more AUTH commands may be issued in the same session" after a success: 503. "The AUTH command is
    # not permitted during a mail transaction": 503. 3: it comes after EHLO.
    if verb == "AUTH":
        if state != "READY" or given.authenticated:
            return out_of_order
        return Expected(334, "AUTH")
    # RFC 1985 4: ETRN is "legal only between mail transactions".
    if verb == "ETRN":
        if state != "READY":
            return out_of_order
        return Expected(250, "READY") if yes else refused
    # Postfix's documents: XCLIENT "may be sent any time except in the middle of a mail delivery transaction", and
    # starts the session anew; XFORWARD comes between EHLO and MAIL.
    if verb == "XCLIENT":
        if state not in ("HELLO", "READY"):
            return out_of_order
        return Expected(220, "HELLO") if yes else refused
    if verb == "XFORWARD":
        if state != "READY":
            return out_of_order
        return Expected(250, "READY") if yes else refused

    # 4.2.4: 502 for a command that is known but not implemented, 500 for one that is not known.
    return Expected(502 if verb in ("TURN", "SEND", "SOML", "SAML") else 500, state)
