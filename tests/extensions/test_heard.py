"""What a server of ours offers is what a client of ours hears."""

from typing import Any

import pytest
from _dialogue import PEER, TLS, Driver, config
from extension_play import ALL as PLAYED, FRONT, is_front
from hypothesis import given, strategies as st

from smtpcore import LMTP, SMTP, Extension, Limits, MailParams, ServerConfig
from smtpcore._capabilities import parse_capabilities
from smtpcore.extensions import (
    ALL,
    STANDARD,
    FutureRelease,
    deliver_by,
    future_release,
    mt_priority,
    no_soliciting,
    xclient,
    xforward,
)
from smtpcore.sasl import CRAM_MD5, LOGIN, PLAIN, SCRAM_SHA_256, ServerMechanism

NO_PARAMS = MailParams()
MECHANISMS: tuple[ServerMechanism, ...] = (PLAIN, LOGIN, CRAM_MD5, SCRAM_SHA_256)
XCLIENT_NAMES = frozenset({"NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT"})
XFORWARD_NAMES = frozenset({"NAME", "ADDR", "PORT", "PROTO", "HELO", "IDENT", "SOURCE"})

instants = st.datetimes().map(lambda moment: moment.replace(microsecond=0).isoformat() + "Z")
profiles = st.just("") | st.from_regex(r"[A-Za-z0-9._-]{1,20}", fullmatch=True)
solicitations = st.lists(st.from_regex(r"[A-Za-z][A-Za-z0-9._:-]{0,20}", fullmatch=True), max_size=8).map(tuple)
numbers = st.none() | st.integers(1, 2_000_000)


def heard_from(settings: ServerConfig, *, lmtp: bool, secured: bool, trusted: bool) -> Any:
    """What a client makes of the reply to EHLO, and what it finds odd."""
    dialect = LMTP if lmtp else SMTP
    driver = Driver(settings, dialect=dialect, tls=TLS if secured else None, peer=FRONT if trusted else PEER)
    reply = driver.say(f"{dialect.hello[0]} client.example").decode()
    return parse_capabilities([line[4:] for line in reply.split("\r\n")[:-1]], ALL, len(ALL))


def test_all_of_them() -> None:
    assert {each.keyword for each in ALL} == {each.keyword for each in PLAYED}
    assert ALL[: len(STANDARD)] == STANDARD
    assert len(ALL) == len(PLAYED)


def test_all_of_them_would_serve() -> None:
    """Those that were made for a client promise little, and trust nobody."""
    driver = Driver(config(extensions=ALL, mechanisms=(PLAIN,)), tls=TLS)
    capabilities, _ = parse_capabilities(
        [line[4:] for line in driver.say("EHLO client.example").decode().split("\r\n")[:-1]], ALL, 20
    )
    assert {each.keyword for each in ALL} - set(capabilities.keywords) == {"STARTTLS", "XCLIENT", "XFORWARD"}


@given(data=st.data(), lmtp=st.booleans(), secured=st.booleans(), trusted=st.booleans())
def test_what_is_offered_is_heard(data: st.DataObject, lmtp: bool, secured: bool, trusted: bool) -> None:
    limits = Limits(
        message_octets=data.draw(st.integers(65536, 10**12)),
        recipients=data.draw(st.integers(100, 2_000_000)),
        transactions=data.draw(numbers),
    )
    least = data.draw(st.just(0) | st.integers(0, 999_999_999))
    most = FutureRelease(data.draw(st.integers(1, 999_999_999)), data.draw(instants))
    profile = data.draw(profiles)
    solicited = data.draw(solicitations)
    mechanisms = tuple(data.draw(st.lists(st.sampled_from(MECHANISMS), min_size=1, unique=True)))
    made = {
        "DELIVERBY": deliver_by(least),
        "FUTURERELEASE": future_release(most.max_seconds, most.max_date_time),
        "MT-PRIORITY": mt_priority(profile),
        "NO-SOLICITING": no_soliciting(*solicited),
        "XCLIENT": xclient(is_front),
        "XFORWARD": xforward(is_front),
    }
    known = {each.keyword: made.get(each.keyword, each) for each in ALL}
    chosen = data.draw(st.sets(st.sampled_from(sorted(known))))
    chosen |= {needed for keyword in chosen for needed in known[keyword].needs}
    if lmtp:
        chosen |= set(LMTP.mandatory)
    settings = config(
        extensions=tuple(known[keyword] for keyword in data.draw(st.permutations(sorted(chosen)))),
        limits=limits,
        mechanisms=mechanisms if "AUTH" in chosen else (),
        cleartext_auth=True,
    )

    ceilings = {"RCPTMAX": limits.recipients, "MAILMAX": limits.transactions}
    expected: dict[str, Any] = {
        "SIZE": limits.message_octets,
        "AUTH": tuple(each.name for each in mechanisms if each.available(TLS if secured else None)),
        "LIMITS": {name: most for name, most in ceilings.items() if most is not None and most <= 999_999},
        "DELIVERBY": least or None,
        "FUTURERELEASE": most,
        "MT-PRIORITY": profile,
        "NO-SOLICITING": solicited,
        "XCLIENT": XCLIENT_NAMES,
        "XFORWARD": XFORWARD_NAMES,
    }
    silent = {"STARTTLS"} if secured else {"REQUIRETLS"}
    silent |= set() if trusted else {"XCLIENT", "XFORWARD"}
    silent |= {keyword for keyword in ("AUTH", "LIMITS") if not expected[keyword]}
    offered = chosen - silent

    capabilities, oddities = heard_from(settings, lmtp=lmtp, secured=secured, trusted=trusted)
    assert oddities == ()
    assert capabilities.host == "mx.example.org"
    assert set(capabilities.keywords) == offered
    assert capabilities.heard == {keyword: expected.get(keyword, "") for keyword in offered}
    for keyword, extension in known.items():
        assert (extension in capabilities) == (keyword in offered)
        assert capabilities.of(extension) == capabilities.heard.get(keyword)
        # Of what it did not hear, and of what was not asked, a client refuses nothing.
        assert extension.refuse(capabilities.of(extension), NO_PARAMS) is None


@pytest.mark.parametrize("extension", ALL, ids=lambda each: str(each.keyword))
@given(text=st.text(max_size=60) | st.text("0123456789 ,.-+=;:TZRNaA\u0661\u017f\\{}", max_size=60))
def test_a_hostile_value_is_heard_or_not(extension: Extension, text: str) -> None:
    capabilities, _ = parse_capabilities(["mx.example", f"{extension.keyword} {text}"], [extension], 1)
    assert extension in capabilities
    hash(capabilities)
    assert extension.refuse(capabilities.of(extension), NO_PARAMS) is None
