"""Words and punctuation apart."""

import re

_NO_LETTER = re.compile(r"(\W)")


def tokenize_words(text: str) -> str:
    """All but letters, digits and underscores apart, one space between tokens."""
    return " ".join(_NO_LETTER.sub(r" \1 ", text).split())
