"""Splits text into words and punctuation."""

import re

_NO_LETTER = re.compile(r"(\W)")


def tokenize_words(text: str) -> str:
    """The text with each character that is no letter, digit or underscore as a separate token, joined by one space."""
    return " ".join(_NO_LETTER.sub(r" \1 ", text).split())
