"""What the tests with real clients share: a client that is missing skips a test, but fails it on CI."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

Need = Callable[[str], str]


def missing(what: str, install: str) -> None:
    """Skip the test, or fail it on CI, where nothing is skipped."""
    reason = f"{what} is missing: {install}"
    if os.environ.get("CI", "").lower() in ("", "0", "false"):
        pytest.skip(reason)
    pytest.fail(reason)


@pytest.fixture
def need() -> Need:
    """``need("swaks")``: the path of a program that the test runs."""

    def path_of(program: str) -> str:
        path = shutil.which(program)
        if path is None:
            missing(program, "install it with your system's package manager")
        return str(path)

    return path_of


@pytest.fixture
def need_node_module() -> Need:
    """``need_node_module("nodemailer")``: the directory of a module that tests/interop/package.json names."""

    def path_of(module: str) -> str:
        path = Path(__file__).parent / "node_modules" / module
        if not path.is_dir():
            missing(module, "npm install --prefix tests/interop --no-package-lock")
        return str(path)

    return path_of
