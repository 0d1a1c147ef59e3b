"""Fixtures of the tests of models: a GGUF file, and a cache of their own for those that read one."""

import pytest

from stages.core.cache import CACHE
from tests.models.tiny_gguf import written


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The directory of de-quantised models, empty."""
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache/gguf"


@pytest.fixture
def file(tmp_path, tokenizer, cache):
    """A small Llama in a GGUF file."""
    return written(tmp_path / "tiny.gguf", tokenizer)
