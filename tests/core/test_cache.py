"""The user's cache: where it is, and that what it lacks is made once."""

from pathlib import Path

import pytest

from stages.core import cache
from stages.core.errors import UserError
from stages.core.files import write_text


def test_where_the_cache_is(monkeypatch):
    monkeypatch.delenv(cache.CACHE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/some/where")
    assert cache.cache_directory() == Path("/some/where/prefix-tuning-pipeline")
    monkeypatch.setenv(cache.CACHE, "/else/where")
    assert cache.cache_directory() == Path("/else/where")


def test_made_once(monkeypatch, tmp_path):
    monkeypatch.setenv(cache.CACHE, str(tmp_path))
    left = tmp_path / "kind" / ".name.17.tmp"  # of a process that was killed
    left.mkdir(parents=True)
    found = cache.cached("kind/name", lambda path: write_text(path, "made"))
    assert found == tmp_path / "kind" / "name" and found.read_text() == "made"
    assert sorted(path.name for path in found.parent.iterdir()) == ["name", "name.lock"]
    assert cache.cached("kind/name", lambda path: pytest.fail("made again")) == found


def test_a_cache_that_cannot_be_written(monkeypatch, tmp_path):
    monkeypatch.setenv(cache.CACHE, str(tmp_path / "file"))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError) as error:
        cache.cached("kind/name", lambda path: pytest.fail("made nevertheless"))
    assert str(error.value) == (
        f"cannot write {tmp_path}/file/kind/name: Not a directory; the environment variable PREFIX_CACHE names another "
        "directory for the cache"
    )
