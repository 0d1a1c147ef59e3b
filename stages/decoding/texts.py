"""Generated texts for each distinct source, by beam search (paper, section 5.2)."""

from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from stages.core.files import read_jsonl, write_jsonl
from stages.core.run_config import Decoding
from stages.decoding.beam import Search, pieces_by_length
from stages.decoding.ensemble import search_runs
from stages.models.adaptation import Adaptation
from stages.models.encode import Rows, parts
from stages.models.model import GenerativeLM


def banned_ids(lm: GenerativeLM, pieces: Sequence[str]) -> tuple[int, ...]:
    """Ids of the strings that are a single token (the authors ban GPT-2's 198 and 628: newline and blank line)."""
    found = [lm.tokenizer(piece, add_special_tokens=False)["input_ids"] for piece in pieces]
    return tuple(
        ids[-1] for ids, piece in zip(found, pieces, strict=True) if ids and lm.tokenizer.decode(ids[-1:]) == piece
    )


def search_of(lm: GenerativeLM, decoding: Decoding) -> Search:
    """The beam search that a run's settings describe."""
    return Search(
        decoding.beam, decoding.length_penalty, decoding.max_new_tokens, lm.end, banned_ids(lm, decoding.banned),
        decoding.min_new_tokens, decoding.early_stopping,
    )  # fmt: skip


def text_of(lm: GenerativeLM, ids: list[int]) -> str:
    """The text of a hypothesis, with single spaces between words."""
    return " ".join(lm.tokenizer.decode(ids, skip_special_tokens=True).split())


def decode(
    lm: GenerativeLM,
    adaptation: Adaptation,
    sources: list[str],
    decoding: Decoding,
    partial: Path,
    runs: int = 1,
) -> list[dict[str, str]]:
    """The text that each run of the adaptation generates for each distinct source, by run; runs share batches.

    `partial` is a file of the finished sources, from which an interrupted call resumes. Raises UserError if a source
    and `max_new_tokens` exceed the model's positions.
    """
    distinct = list(dict.fromkeys(sources))
    ids = Rows(row for part in parts(distinct) for row in lm.source_ids(part, decoding.source_tokens))
    lm.check_max_length(int(ids.lengths.max()), decoding.max_new_tokens, lm.num_virtual_tokens(adaptation))
    search = search_of(lm, decoding)
    done: dict[int, list[str]] = {}  # by source index, one text per run
    if partial.exists():
        done = {row["index"]: row["texts"] for row in read_jsonl(partial)}
    with tqdm(total=len(ids), initial=len(done), desc="decode", disable=None) as bar:
        for piece in pieces_by_length(ids.lengths.tolist(), decoding.batch_size):
            if piece[0] in done:
                continue
            found: dict[int, list[str]] = {number: [""] * runs for number in piece}
            for place, run, best in search_runs(
                lm, adaptation, runs, [ids[i] for i in piece], search, decoding.batch_size
            ):
                found[piece[place]][run] = text_of(lm, best)
                bar.update(1 / runs)
            done |= found
            write_jsonl(partial, ({"index": i, "texts": texts} for i, texts in done.items()))
    return [{source: done[i][run] for i, source in enumerate(distinct)} for run in range(runs)]
