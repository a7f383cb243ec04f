"""LIMITS (RFC 9422): the server says what it enforces."""

from ._extension import Extension, Facts


def _offer(facts: Facts) -> str | None:
    # RFC 9422 4.1 and 4.2: MAILMAX "the maximum number of transactions ... in a single session", RCPTMAX "of RCPT
    # TO commands the server will accept in a single transaction". RCPTDOMAINMAX is no limit of this engine.
    numbers = {"RCPTMAX": facts.limits.recipients, "MAILMAX": facts.limits.transactions}
    # RFC 9422 4.1: %x31-39 0*5DIGIT ; "0" not allowed, six-digit maximum
    words = [f"{name}={number}" for name, number in numbers.items() if number is not None and number <= 999_999]
    # RFC 9422 3: limits-param = limit-name-value 0*[SP limit-name-value], so there is no LIMITS without one.
    return " ".join(words) or None


LIMITS = Extension("LIMITS", rfc=9422, offer=_offer)
