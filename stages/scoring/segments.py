"""What all text metrics ask of their input: one hypothesis a segment, at least one reference, no line breaks."""

import re

from stages.core.errors import UserError

_ASCII_WORD = re.compile(r"[^ \t\n\v\f\r]+")


def collapse(text: str) -> str:
    """One space for each run of white space, none at the ends."""
    return " ".join(text.split())


def ascii_words(text: str) -> list[str]:
    """Words apart as Perl (on bytes) and Java see them: a no-break space is a letter like others."""
    return _ASCII_WORD.findall(text)


def check(hypotheses: list[str], references: list[list[str]]) -> None:
    """Raise UserError if there is nothing to score, if the counts differ, or for a segment without reference.

    An empty reference counts as none.
    """
    if len(hypotheses) != len(references):
        raise UserError(f"{len(hypotheses)} hypotheses, but references for {len(references)} segments")
    if not hypotheses:
        raise UserError("there is no hypothesis to score")
    for number, segment in enumerate(references, start=1):
        if not any(segment):
            raise UserError(f"segment {number} has no reference")
