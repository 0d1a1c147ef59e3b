"""What is done to a text that mini-bart restores (Lewis et al. 2020, "BART"; whole lines are this project's)."""

import itertools

import numpy as np
from transformers import PreTrainedTokenizerFast

SPAN = 3.0  # mean length of a masked span
_NEWLINE = "Ċ"  # as a byte-level vocabulary writes it
_CLOSING = "<|endoftext|>"  # between the documents of a row


class Noise:
    """Damages a text: replaces whole lines by a mask each, reorders sentences, replaces spans by a mask each."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, share: float, lines: float):
        """`share` of the tokens are masked in spans; in `lines` of the texts whole lines are, where there are two."""
        self.mask, self.share, self.lines = tokenizer.mask_token_id, share, lines
        pieces = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
        self.newline = np.array([_NEWLINE in piece for piece in pieces])  # [vocabulary], as the other two
        self.line_end = self.newline | np.array([piece == _CLOSING for piece in pieces])
        self.sentence_end = np.array([piece in (".", "Ġ.", _CLOSING) for piece in pieces])

    def damage(self, ids: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The damaged text, [at most length], of the ids `ids`, [length]."""
        if rng.random() < self.lines:
            ids = self.without_lines(ids, rng)
        if rng.random() < 0.5:
            ids = self.shuffled(ids, rng)
        return self.masked(ids, rng)

    def without_lines(self, ids: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Replace some lines, at most half, of the documents with two or more lines: each by one mask."""
        breaks = np.flatnonzero(self.line_end[ids])
        begins, ends = np.concatenate([[0], breaks + 1]), np.concatenate([breaks, [len(ids)]])
        # Only a line with a newline before or after it belongs to a document that has others.
        parts = np.concatenate([[False], self.newline[ids[breaks]], [False]])
        lines = np.flatnonzero((parts[:-1] | parts[1:]) & (ends > begins))
        if len(lines) < 2:
            return ids
        damaged, kept = ids.copy(), np.ones(len(ids), dtype=bool)
        for line in rng.choice(lines, rng.integers(1, len(lines) // 2 + 1), replace=False):
            damaged[begins[line]] = self.mask
            kept[begins[line] + 1 : ends[line]] = False
        return damaged[kept]

    def shuffled(self, ids: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        cuts = [0, *(np.flatnonzero(self.sentence_end[ids]) + 1).tolist(), len(ids)]
        sentences = [ids[begin:end] for begin, end in itertools.pairwise(cuts)]
        return np.concatenate([sentences[i] for i in rng.permutation(len(sentences))])

    def masked(self, ids: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Replace spans of Poisson lengths, `share` of the text in all: each by one mask."""
        hidden = round(self.share * len(ids))
        if not hidden:
            return ids
        ends = np.cumsum(np.maximum(1, rng.poisson(SPAN, hidden)))
        ends = np.minimum(ends[: np.searchsorted(ends, hidden) + 1], hidden)  # [spans]
        before = np.concatenate([[0], ends[:-1]])  # what the spans before this one hide
        # A span follows one of the tokens that stay, and no two the same one, so that masks never touch.
        gaps = np.sort(rng.choice(len(ids) - hidden, len(ends), replace=False)) + 1
        kept = np.ones(len(ids), dtype=bool)
        kept[np.repeat(gaps, ends - before) + np.arange(hidden)] = False
        damaged, starts = ids.copy(), gaps + before
        damaged[starts], kept[starts] = self.mask, True
        return damaged[kept]
