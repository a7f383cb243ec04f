"""The package on a bare install: it says what to install."""

import subprocess
import sys

import pytest

import smtpcore_trio
from smtpcore_trio._missing import EXTRAS


def outcome(source: str) -> str:
    """The last line that another Python writes."""
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, timeout=60, check=False, text=True)
    return done.stderr.strip().rpartition("\n")[2]


@pytest.mark.parametrize(
    ("package", "use"),
    [
        ("trio", "from smtpcore_trio import serve"),
        ("trio", "import smtpcore_trio; smtpcore_trio.connect"),
        ("prometheus_client", "from smtpcore_trio import Metrics"),
    ],
)
def test_hint(package: str, use: str) -> None:
    line = outcome(f"import sys; sys.modules[{package!r}] = None\n{use}")
    assert line == f"ModuleNotFoundError: {package} is missing: pip install 'smtpcore[{EXTRAS[package]}]'"


def test_another_package_that_is_missing() -> None:
    line = outcome("import sys; sys.modules['smtpcore_trio.server'] = None\nfrom smtpcore_trio import serve")
    assert "smtpcore_trio.server" in line
    assert "pip" not in line


def test_no_such_name() -> None:
    with pytest.raises(AttributeError, match="'smtpcore_trio' has no attribute 'Controller'"):
        smtpcore_trio.Controller  # noqa: B018


@pytest.mark.parametrize(("package", "says"), [("trio", "pip install 'smtpcore"), ("elsewhere", "^elsewhere$")])
def test_hint_in_this_process(package: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(name: str, package_of: str) -> None:
        raise ModuleNotFoundError(package, name=package)

    monkeypatch.setattr("importlib.import_module", fails)
    monkeypatch.delitem(vars(smtpcore_trio), "serve", raising=False)
    with pytest.raises(ModuleNotFoundError, match=says) as missing:
        smtpcore_trio.serve  # noqa: B018
    assert missing.value.name == package
