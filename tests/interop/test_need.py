"""A missing client skips a test on a laptop and fails it on CI."""

from collections.abc import Callable

import pytest

Need = Callable[[str], str]


@pytest.mark.parametrize("ci", ["", "0", "false", "False"])
def test_missing_skips(
    need: Need, need_node_module: Need, need_unpacked: Need, monkeypatch: pytest.MonkeyPatch, ci: str
) -> None:
    monkeypatch.setenv("CI", ci)
    for needed in (need, need_node_module, need_unpacked):
        with pytest.raises(pytest.skip.Exception, match="no-such-client is missing"):
            needed("no-such-client")


def test_missing_fails_on_ci(
    need: Need, need_node_module: Need, need_unpacked: Need, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    for needed in (need, need_node_module, need_unpacked):
        with pytest.raises(pytest.fail.Exception, match="no-such-client is missing"):
            needed("no-such-client")


def test_present(need: Need) -> None:
    assert need("python3").endswith("/python3")
