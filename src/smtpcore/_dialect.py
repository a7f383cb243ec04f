"""SMTP and its two sisters: submission (RFC 6409) and LMTP (RFC 2033)."""

import enum
from typing import Final

from ._value import value


class EarlyInput(enum.Enum):
    """What to do when octets wait behind a command whose reply the client had to await first.

    RFC 2920 section 3.1. Whether they wait is a matter of time, so this is the one rule whose
    outcome depends on how the input was cut.
    """

    REJECT = "554 and close: no mail program does this"
    REPORT = "report a `Deviation` and go on"


@value
class Dialect:
    """What differs between SMTP, submission and LMTP.

    Args:
        name: as in the documents.
        protocol: the word in the greeting.
        hello: the verbs that greet.
        per_recipient: one verdict for each accepted recipient, not one for the message.
        mandatory: extensions that must be offered.
        early_input: the policy where the config states none.
        auth_required: whether MAIL needs an authenticated client, where the config does not say.
    """

    name: str
    protocol: str
    hello: tuple[str, ...]
    per_recipient: bool = False
    mandatory: tuple[str, ...] = ()
    early_input: EarlyInput = EarlyInput.REJECT
    auth_required: bool = False


SMTP: Final = Dialect("SMTP", "ESMTP", ("EHLO", "HELO"))
# RFC 6409 4.3: "The MSA MUST by default issue an error response to the MAIL command if the session has
# not been authenticated using [SMTP-AUTH]"; section 7: AUTH is a MUST.
SUBMISSION: Final = Dialect(
    "SUBMISSION", "ESMTP", ("EHLO", "HELO"), mandatory=("AUTH",), early_input=EarlyInput.REPORT, auth_required=True
)
# RFC 2033 4.1: the LHLO command replaces EHLO and HELO; 4.2: one reply for each recipient;
# 5: "MUST support" PIPELINING and ENHANCEDSTATUSCODES.
LMTP: Final = Dialect(
    "LMTP",
    "LMTP",
    ("LHLO",),
    per_recipient=True,
    mandatory=("PIPELINING", "ENHANCEDSTATUSCODES"),
    early_input=EarlyInput.REPORT,
)
