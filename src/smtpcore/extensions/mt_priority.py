"""MT-PRIORITY (RFC 6710): urgent and less urgent messages.

RFC 6710 section 4.1: a server "MUST NOT allow "upgraded" (positive) priorities from untrusted"
sources; whom to trust is for the application.
"""

import re
from typing import Final

from .._errors import GrammarError
from ._extension import Extension, Param, integer

# RFC 6710 7: priority-profile = 1*20(ALPHA / DIGIT / "-" / "_" / ".")
_match_profile = re.compile(r"[A-Za-z0-9._-]{1,20}+").fullmatch


def _hear(text: str) -> str:
    # A server that discloses no policy offers the keyword alone.
    if text and _match_profile(text) is None:
        raise GrammarError("not the name of a priority assignment policy")
    return text


def mt_priority(profile: str = "") -> Extension:
    """The extension for a server that assigns priorities by the policy named *profile*.

    Args:
        profile: such as ``MIXER`` or ``STANAG4406`` (RFC 6710 section 9.2); empty discloses none.

    Raises:
        GrammarError: not the name of a policy.
    """
    _hear(profile)
    return Extension(
        "MT-PRIORITY",
        rfc=6710,
        # RFC 6710 7: priority-value = (["-"] NZDIGIT) / "0"
        params=(Param("MAIL", "MT-PRIORITY", "priority", integer(-9, 9)),),
        offer=lambda facts: profile,
        hear=_hear,
    )


MT_PRIORITY: Final = mt_priority()
