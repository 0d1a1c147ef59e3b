"""An independent byte-level BPE, by the rules that llama.cpp has for GGUF files. It shares no code with `tokenizers`."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import regex

# llama.cpp cuts a text by one expression after the other; what an expression does not match stays a piece of its own.
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
RULES = {"gpt-2": (GPT2,), "smollm": (r"\p{N}", GPT2)}  # by `tokenizer.ggml.pre`


def _alphabet() -> dict[int, str]:
    """GPT-2's letter for each byte: itself if it is printable, else one from 256 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + place) for place, byte in enumerate(others)}


LETTERS = _alphabet()


class ByteLevel:
    """The tokenizer that a GGUF file describes.

    `tokens`, `merges`, `special` and `rule`: `tokenizer.ggml.tokens`, `.merges`, the control tokens, and `.pre`.
    """

    def __init__(self, tokens: Sequence[str], merges: Sequence[str], special: Sequence[str], rule: str):
        self.ids = {token: number for number, token in enumerate(tokens)}
        self.ranks = {tuple(merge.split(" ")): rank for rank, merge in enumerate(merges)}
        self.special, self.rules = special, RULES[rule]

    def __call__(self, text: str) -> list[int]:
        """The ids of a text."""
        found = []
        for piece in regex.split(f"({'|'.join(map(regex.escape, self.special))})", text):
            if piece in self.special:
                found.append(self.ids[piece])
            else:
                found += [self.ids[token] for word in self._words(piece) for token in self._merged(word)]
        return found

    def _words(self, text: str) -> list[str]:
        words = [text]
        for rule in self.rules:
            words = [word for part in words for word in _cut(rule, part)]
        return words

    def _merged(self, word: str) -> list[str]:
        parts = [LETTERS[byte] for byte in word.encode()]
        while True:
            ranked = [(self.ranks[pair], place) for place, pair in enumerate(pairwise(parts)) if pair in self.ranks]
            if not ranked:
                return parts
            _, place = min(ranked)
            parts[place : place + 2] = ["".join(parts[place : place + 2])]


def _cut(rule: str, text: str) -> Iterator[str]:
    end = 0
    for match in regex.finditer(rule, text):
        yield from (part for part in (text[end : match.start()], match[0]) if part)
        end = match.end()
    if text[end:]:
        yield text[end:]
