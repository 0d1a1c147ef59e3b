"""METEOR's table of paraphrases, prepared once, and the few of its pairs that can match in given texts.

The table of METEOR 1.5 has 5.27 million pairs of phrases, which its jar reads for 6 s at each start. A pair matches only
where one phrase stands in a hypothesis and the other one in a reference. With these pairs alone, in the table's order, the
jar finds the same matches. For a test set they are some thousands.

Only the jar knows which words it makes of a text. It lowercases letters. What is neither an ASCII letter nor a digit it
sets apart, replaces or drops. It changes nothing else. So a phrase can stand in a text only if the phrase's letters and
digits are those of neighbouring runs of letters and digits of the text. These are compared here, by hashes of 64 bits. A
pair too many changes no score.
"""

import hashlib
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from stages.core.cache import ELSEWHERE, cached
from stages.core.errors import UserError
from stages.core.files import replacing, sha256
from stages.scoring.scores import Unavailable

_LAYOUT = 1  # counts changes in what is prepared: what another version wrote is not read

_NOT_ASCII = re.compile("[^\x00-\x7f]")
_DOTS = re.compile("(?:DOT)*DOTMULTI")  # the jar marks dots by these letters, and in the end makes dots of all of them
_KEPT = np.isin(np.arange(256), np.frombuffer(b"0123456789abcdefghijklmnopqrstuvwxyz", np.uint8))
_BLOCK = 1 << 15  # phrases whose letters are hashed at a time

# The hash of some letters is a polynomial modulo 2^64, its coefficients numbers at random for each letter.
_COEFFICIENTS = np.frombuffer(hashlib.shake_256(b"letters").digest(8 * 256), "<u8")
_BASE = 0x9E3779B97F4A7C15  # odd, hence with an inverse
_INVERSE = pow(_BASE, -1, 1 << 64)


@dataclass(frozen=True)
class Paraphrases:
    """The table: each different phrase once, and the pairs in the table's order."""

    text: np.ndarray  # bytes of all phrases
    starts: np.ndarray  # [phrases + 1]: where in it a phrase begins
    hashes: np.ndarray  # [phrases]: of the letters and digits of a phrase; ascending
    order: np.ndarray  # [phrases]: the phrase of each hash
    pairs: np.ndarray  # [2, pairs]: phrases

    @classmethod
    def of(cls, table: Path) -> "Paraphrases":
        """The paraphrases of METEOR's file, from the user's cache, where they are prepared if they are missing or damaged.

        Raises Unavailable if the file cannot be read or is damaged, UserError if the cache cannot be read or written.
        """
        try:
            name = f"meteor/{sha256(table)}-{_LAYOUT}.safetensors"
        except OSError as error:
            raise Unavailable(f"cannot read {table}: {error.strerror or error}") from error
        path = cached(name, lambda path: _write(prepared(table), path))
        found = _read(path)
        if found is None:
            print(f"{path} is damaged: it is made again", file=sys.stderr)
            found = prepared(table)
            _write(found, path)
        return found

    def between(self, hypotheses: Iterable[str], references: Iterable[str]) -> bytes:
        """The pairs that can match between one of the hypotheses and one of the references, in the format of METEOR's file.

        The probabilities, which METEOR does not use, are 0. No text holds a line break.
        """
        ours, theirs = self._standing_in(hypotheses), self._standing_in(references)
        first, second = self.pairs
        chosen = np.flatnonzero((ours[first] & theirs[second]) | (theirs[first] & ours[second]))
        return b"".join(b"0\n%b\n%b\n" % (self.phrase(first[at]), self.phrase(second[at])) for at in chosen)

    def phrase(self, number: int) -> memoryview:
        """The text of a phrase, UTF-8."""
        return self.text[self.starts[number] : self.starts[number + 1]].data

    def _standing_in(self, texts: Iterable[str]) -> np.ndarray:
        """[phrases]: whether it can stand in one of the texts."""
        found = _hashes_in(texts, longest=int(np.diff(self.starts).max()))
        standing = np.empty(len(self.hashes), bool)
        standing[self.order] = found[np.minimum(np.searchsorted(found, self.hashes), len(found) - 1)] == self.hashes
        return standing


def _write(paraphrases: Paraphrases, path: Path) -> None:
    with replacing(path) as temporary:
        try:
            save_file(vars(paraphrases), temporary, {"sha256": _sum(paraphrases)})
        except SafetensorError as error:
            raise UserError(f"cannot write {path}: {error}{ELSEWHERE}") from error


def _read(path: Path) -> Paraphrases | None:
    """What `_write` wrote; None if the file is damaged. Raises UserError if it cannot be read."""
    try:
        with safe_open(path, "numpy") as file:
            found = Paraphrases(**{field.name: file.get_tensor(field.name) for field in fields(Paraphrases)})
            return found if file.metadata() == {"sha256": _sum(found)} else None
    except SafetensorError:
        return None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}{ELSEWHERE}") from error


def _sum(paraphrases: Paraphrases) -> str:
    digest = hashlib.sha256()
    for array in vars(paraphrases).values():
        digest.update(array.data)
    return digest.hexdigest()


def prepared(table: Path) -> Paraphrases:
    """Read METEOR's file: three lines for each pair, its probability and two phrases. Raises Unavailable if it is damaged."""
    import pyarrow
    from pyarrow import csv

    damaged = Unavailable(f"METEOR's table {table} is damaged: install pycocoevalcap again")
    try:
        lines = csv.read_csv(
            table,
            csv.ReadOptions(column_names=["line"], use_threads=False),
            csv.ParseOptions(delimiter="\x01", quote_char=False, ignore_empty_lines=False),
            csv.ConvertOptions(column_types={"line": pyarrow.binary()}),
        )["line"]
    except (OSError, pyarrow.ArrowException) as error:
        raise damaged from error
    if len(lines) % 3:
        raise damaged
    # From buffers and into buffers: for pyarrow's arrays from and to numpy it would import pandas.
    is_phrase = pyarrow.py_buffer(np.packbits(np.tile([False, True, True], len(lines) // 3), bitorder="little"))
    chosen = pyarrow.BooleanArray.from_buffers(pyarrow.bool_(), len(lines), [None, is_phrase])
    phrases = lines.filter(chosen).dictionary_encode()
    different = phrases.chunk(0).dictionary
    _, starts, text = different.buffers()
    starts = np.frombuffer(starts, np.int32, len(different) + 1)
    text = np.frombuffer(text, np.uint8, starts[-1])
    numbers = [np.frombuffer(chunk.indices.buffers()[1], np.int32, len(chunk)) for chunk in phrases.chunks]
    hashes = _hashes_of(text, starts)
    order = np.argsort(hashes)
    return Paraphrases(
        text=text,
        starts=starts,
        hashes=hashes[order],
        order=order.astype(np.int32),
        pairs=np.concatenate(numbers).reshape(-1, 2).T.copy(),
    )


def _hashes_of(text: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """[phrases]: the hash of the letters and digits of each phrase."""
    found = []
    for at in range(0, len(starts) - 1, _BLOCK):
        bounds = starts[at : at + _BLOCK + 1]
        letters = text[bounds[0] : bounds[-1]]
        kept = _KEPT[letters]
        bounds = np.append(0, np.cumsum(kept))[bounds - bounds[0]]
        found.append(_hashes(letters[kept], bounds[:-1], bounds[1:]))
    return np.concatenate(found)


def _hashes_in(texts: Iterable[str], longest: int) -> np.ndarray:
    """The hashes, ascending, of neighbouring runs of letters and digits in one of the texts, and that of no letter.

    What is longer than `longest` letters is left out.
    """
    text = _NOT_ASCII.sub(_ascii_of, _DOTS.sub(".", "\n".join(set(texts))))
    letters = np.frombuffer(text.lower().encode("ascii"), np.uint8)
    kept = _KEPT[letters]
    runs = np.flatnonzero(kept & ~np.append(False, kept[:-1]))
    text_of = np.cumsum(letters == ord("\n"))[runs]
    bounds = np.append((np.cumsum(kept) - 1)[runs], kept.sum())  # of the runs, among the letters that are kept
    starts, ends = [np.zeros(1, int)], [np.zeros(1, int)]
    for count in range(1, len(runs) + 1):
        start, end = bounds[:-count], bounds[count:]
        inside = (text_of[: len(start)] == text_of[count - 1 :]) & (end - start <= longest)
        if not inside.any():
            break
        starts.append(start[inside])
        ends.append(end[inside])
    return np.sort(_hashes(letters[kept], np.concatenate(starts), np.concatenate(ends)))


def _ascii_of(letter: re.Match) -> str:
    """The ASCII part of a letter's lowercase, apart from its neighbours: the Kelvin sign, which is not ASCII, is a k."""
    return f" {letter.group().lower().encode('ascii', 'ignore').decode()} "


def _hashes(letters: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The hashes of stretches of letters: 0 of no letter."""
    powers, inverses = (
        np.multiply.accumulate(np.full(len(letters) + 1, base, np.uint64)) for base in (_BASE, _INVERSE)
    )
    sums = np.append(np.uint64(0), np.cumsum(_COEFFICIENTS[letters] * powers[:-1]))
    return (sums[ends] - sums[starts]) * inverses[starts]
