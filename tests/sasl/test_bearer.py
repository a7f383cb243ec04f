import pytest

from smtpcore._secret import Secret
from smtpcore.sasl._bearer import bearer_token, refusal
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
