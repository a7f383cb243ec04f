from collections.abc import Callable

import pytest
from linearity import assert_linear
from sasl_texts import MAX_SECRET, NO_TOKENS

from smtpcore._errors import LocalProtocolError
from smtpcore._secret import Secret
from smtpcore.sasl._bearer import bearer_token, check_token, credentials, read_refusal, refusal
from smtpcore.sasl._mechanism import Challenge


@pytest.mark.parametrize(
    ("credentials", "token"),
    [
        ("Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="),
        ("bEARER  ya29.a-b_c~d+e/f", "ya29.a-b_c~d+e/f"),
    ],
)
def test_token(credentials: str, token: str) -> None:
    assert bearer_token(credentials) == Secret(token)


@pytest.mark.parametrize(
    "credentials",
    ["", "Bearer", "Bearer ", "Bearer=", "Bearer =", "Basic dGlt", "Bearer a b", "Bearer a=b", "Bearer é", " Bearer a"],
)
def test_no_token(credentials: str) -> None:
    assert bearer_token(credentials) is None


# RFC 7628 3.2.3: the client answers with ^A; XOAUTH2's clients with nothing. It makes no difference.
@pytest.mark.parametrize("answer", [b"\x01", b"", b"what?"])
def test_refusal(answer: bytes) -> None:
    exchange = refusal({"status": "invalid_token", "scope": "", "openid-configuration": 'https://"'})
    assert next(exchange) == Challenge(rb'{"status":"invalid_token","openid-configuration":"https://\""}')
    with pytest.raises(StopIteration):
        exchange.send(answer)


@pytest.mark.parametrize("token", ["a", "ya29.a-b_c~d+e/f==", "x" * MAX_SECRET])
def test_credentials(token: str) -> None:
    check_token(Secret(token))
    assert credentials(Secret(token)) == f"Bearer {token}"
    assert bearer_token(credentials(Secret(token))) == Secret(token)


@pytest.mark.catalogue("B5", "D12")
@pytest.mark.parametrize("token", NO_TOKENS)
def test_what_is_no_token(token: bytes) -> None:
    with pytest.raises(LocalProtocolError) as raised:
        check_token(Secret(token))
    assert raised.value.__context__ is None


@pytest.mark.parametrize(
    ("challenge", "stated"),
    [
        (b'{"status":"401","schemes":"bearer","scope":"x"}', {"status": "401", "schemes": "bearer", "scope": "x"}),
        ('{"status":"é"}'.encode(), {"status": "é"}),
        # what is not printable text is left out
        (b'{"status":401,"scope":"a\\r\\nb","x":"\\ud800","y":null,"z":{},"ok":""}', {"ok": ""}),
        (b"{}", {}),
        (b"", {}),
        (b"{", {}),
        (b'["status"]', {}),
        (b'"status"', {}),
        (b"\xff", {}),
        ('{"status":"x"}'.encode("utf-16"), {}),
        (b"[" * 100_000, {}),
        (b'{"a":' * 100_000, {}),
        (b"9" * 10_000, {}),
    ],
)
def test_read_refusal(challenge: bytes, stated: dict[str, str]) -> None:
    assert read_refusal(challenge) == stated


@pytest.mark.parametrize("make", [lambda n: b'{"' * n, lambda n: b'{"a":"' + b"x" * n, lambda n: b'"\\u0041' * n])
def test_refusal_is_read_in_linear_time(make: Callable[[int], bytes]) -> None:
    assert_linear(read_refusal, make)
