"""Types of command-line arguments, for argparse."""

import argparse


def count(text: str) -> int:
    """A whole number of at least 1. Raises ArgumentTypeError for any other text."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, not {text!r}")
    return int(text)
