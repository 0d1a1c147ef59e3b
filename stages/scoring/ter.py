"""TER, translation edit rate (Snover et al. 2006), as tercom 7.25 computes it with its default options.

    TER = sum over segments of the fewest edits to any reference / sum of the mean reference lengths

Edits are insertions, deletions, substitutions and shifts of a block of words, one each. The fewest are too
expensive to find: tercom takes greedily the shift that helps most until none helps, and aligns within a beam.
What it prints depends on those choices, so they are made here as there: words are lowercased and set apart
by ASCII white space alone; punctuation counts. sacrebleu's TER caps the number of shifts that it tries, and
so finds other counts.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from rapidfuzz.distance import Levenshtein

from stages.scoring.scores import Metric, Metrics, detail, ratio
from stages.scoring.segments import ascii_words

BEAM = 20  # an alignment may be so much worse than the best one so far
MAX_BLOCK = 10  # words of a shifted block
MAX_DISTANCE = 50  # words that a block may be shifted over

_MATCH, _SUBSTITUTION, _INSERTION, _DELETION = range(4)
_INFINITE = float("inf")


@dataclass(frozen=True)
class Alignment:
    """Edits without shifts from a hypothesis to a reference, and where they are."""

    edits: int
    hypothesis_errors: list[bool]  # words inserted or substituted
    reference_errors: list[bool]  # words deleted or substituted
    aligned: list[int]  # hypothesis position of each reference word; of a deleted one that before it, from -1


@dataclass(frozen=True)
class Shift:
    """Move the words start..end (inclusive) behind the word at `target`; -1 is the front."""

    start: int
    end: int
    target: int

    def apply(self, words: str) -> str:
        start, end, target = self.start, self.end + 1, self.target + 1
        block, rest = words[start:end], words[:start] + words[end:]
        if target > end:
            target -= end - start
        elif target > start:  # a target inside the block: tercom moves it as far to the right as the target lies in it
            target -= 1
        return rest[:target] + block + rest[target:]


def align(hypothesis: str, reference: str) -> Alignment:
    """The alignment that tercom finds: at equal cost a substitution before an insertion before a deletion.

    Costs are filled column by column, one a hypothesis word. A cell is followed only if it costs at most BEAM
    more than the cheapest match or substitution into its column.
    """
    rows = len(reference)
    column, steps = [0] + [_INFINITE] * rows, [bytearray(rows + 1)]
    best, first, last = _INFINITE, 0, 0  # rows first..last of the column can be reached
    for word in hypothesis:
        bound, best = best + BEAM, _INFINITE
        step, next_column, next_step = steps[-1], [_INFINITE] * (rows + 1), bytearray(rows + 1)
        row, first, reached = first, -1, 0
        while row <= last:
            cost = column[row]
            if cost <= bound:
                if first < 0:
                    first = row
                reached, more = row, cost + 1
                if row < rows:
                    diagonal = cost
                    if reference[row] != word:  # else the step is _MATCH, as it was made
                        diagonal, next_step[row + 1] = more, _SUBSTITUTION
                    next_column[row + 1] = diagonal
                    if diagonal < best:
                        best = diagonal
                    if more < column[row + 1]:
                        column[row + 1], step[row + 1] = more, _DELETION
                        if row == last:
                            last += 1
                if more < next_column[row]:
                    next_column[row], next_step[row] = more, _INSERTION
            row += 1
        column, last = next_column, min(reached + 1, rows)
        steps.append(next_step)
    for row in range(first, rows):  # behind the last hypothesis word there is no beam
        if column[row] + 1 < column[row + 1]:
            column[row + 1], steps[-1][row + 1] = column[row] + 1, _DELETION
    return _trace(steps, int(column[rows]))


def _trace(steps: list[bytearray], edits: int) -> Alignment:
    """Follow the steps, [hypothesis words + 1, reference words + 1], from the last one back."""
    position, row = len(steps) - 1, len(steps[0]) - 1
    hypothesis_errors, reference_errors, aligned = [True] * position, [True] * row, [-1] * row
    while position or row:
        step = steps[position][row]
        if step != _INSERTION:
            row -= 1
            aligned[row] = position - 1
            reference_errors[row] = step != _MATCH
        if step != _DELETION:
            position -= 1
            hypothesis_errors[position] = step != _MATCH
    return Alignment(edits, hypothesis_errors, reference_errors, aligned)


def places(hypothesis: str, reference: str) -> dict[str, list[int]]:
    """Where each block of reference words that the hypothesis knows stands in the reference, in order."""
    known = set(hypothesis)
    found: dict[str, list[int]] = {}
    for start in range(len(reference)):
        for end in range(start, min(start + MAX_BLOCK + 1, len(reference))):
            if reference[end] not in known:
                break
            found.setdefault(reference[start : end + 1], []).append(start)
    return found


def shifts(hypothesis: str, found: dict[str, list[int]], alignment: Alignment) -> list[list[Shift]]:
    """The shifts to try, by length of block less one, each length in tercom's order.

    A block is a run of hypothesis words that the reference has too, with an error in both places. It may go
    behind any word aligned to the reference's run, or to the word before it.
    """
    by_length: list[list[Shift]] = [[] for _ in range(MAX_BLOCK)]
    aligned = alignment.aligned
    for start in range(len(hypothesis)):
        for end in range(start, min(start + MAX_BLOCK, len(hypothesis))):
            away = [
                place
                for place in found.get(hypothesis[start : end + 1], ())
                if not start <= aligned[place] <= end and abs(aligned[place] - start) <= MAX_DISTANCE
            ]
            wrong = any(alignment.hypothesis_errors[start : end + 1])
            if not away and (wrong or end == start):
                break
            if not wrong:
                if hypothesis[start : end + 1] not in found:
                    break
                continue
            for place in away:
                if any(alignment.reference_errors[place : place + end - start + 1]):
                    by_length[end - start] += _targets(start, end, place, aligned)
    return by_length


def _targets(start: int, end: int, place: int, aligned: list[int]) -> list[Shift]:
    """Where the block start..end may go if it belongs to the reference's run at `place`."""
    targets = [-1] if place == 0 else []
    for word in range(max(place - 1, 0), place + end - start + 1):
        if aligned[word] != start and (word == place or aligned[word] != aligned[place]):
            targets.append(aligned[word])
    return [Shift(start, end, target) for target in targets]


def distance(hypothesis: str, reference: str, limit: int) -> int:
    """Edits of the alignment within the beam, exact up to `limit`; more than it where they are more."""
    fewest = Levenshtein.distance(hypothesis, reference, score_cutoff=limit)
    # Every path costs at least the words that the reference lacks, and the rows of a column differ by at most
    # the reference's length: below both bounds the beam cuts no best path off.
    if fewest > limit or len(reference) <= BEAM:
        return fewest
    if fewest - sum(word not in reference for word in hypothesis) <= BEAM:
        return fewest
    return align(hypothesis, reference).edits


def best_shift(
    hypothesis: str, reference: str, found: dict[str, list[int]], edits: int, tried: list[list[Shift]]
) -> str | None:
    """The hypothesis after the shift that leaves the fewest edits, the shift counted; None if all leave more.

    The first to leave as many as before is taken, too: tercom does so. Longer blocks come first; a shorter one
    is not tried where it could not do better.
    """
    fewest, best = edits, None
    for length in range(MAX_BLOCK, 0, -1):
        for shift in tried[length - 1]:
            gained = edits - fewest
            if gained > 2 * length or (best and gained == 2 * length):
                break
            shifted = shift.apply(hypothesis)
            limit = fewest - 1 - (best is not None)
            if limit >= 0 and (left := distance(shifted, reference, limit)) <= limit:
                fewest, best = left + 1, shifted
    return best


def edits(hypothesis: str, reference: str) -> int:
    """Edits that tercom counts between two sequences of words, each word one character."""
    found = places(hypothesis, reference)
    alignment, shifted = align(hypothesis, reference), 0
    while better := best_shift(hypothesis, reference, found, alignment.edits, shifts(hypothesis, found, alignment)):
        hypothesis, alignment, shifted = better, align(better, reference), shifted + 1
    return alignment.edits + shifted


def words_as_characters(texts: list[str]) -> list[str]:
    """Each text with one character for each word, the same in all of them: strings compare faster than lists."""
    characters: dict[str, str] = defaultdict(lambda: chr(len(characters)))
    return ["".join(characters[word] for word in ascii_words(text.lower())) for text in texts]


def ter(hypotheses: list[str], references: list[list[str]]) -> Metrics:
    """TER (0 is best, more than 1 is possible), and the edits and reference words that it is made of.

    `references[i]` are those of `hypotheses[i]`, at least one. A reference without words counts as one.
    """
    fewest, lengths = [], []
    for hypothesis, segment in zip(hypotheses, references, strict=True):
        words, *reference_words = words_as_characters([hypothesis, *segment])
        fewest.append(min(edits(words, reference) for reference in reference_words))
        lengths.append(sum(map(len, reference_words)) / len(reference_words))
    score = Metric(np.stack([fewest, lengths], axis=1), ratio)
    return {"TER": score, "TER_edits": detail(fewest), "TER_ref_words": detail(lengths)}
