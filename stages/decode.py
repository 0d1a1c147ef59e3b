"""Stage: describe each distinct source of the test set by beam search (section 5.2); an encoder classifies each record.

The out, data/run/predictions.jsonl, holds source, hypothesis and references, for people and for `score`.
"""

from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from stages import params
from stages.core.errors import entry_point
from stages.core.files import read_jsonl, write_jsonl
from stages.core.record import Record, read_records, with_source_prefix
from stages.core.scratch import code, scratch
from stages.core.sections import Decode
from stages.decoding.beam import Search, pieces_by_length
from stages.decoding.classify import classify
from stages.decoding.ensemble import search_runs
from stages.methods import saved
from stages.models.encode import Rows, parts
from stages.models.encoder import Encoder
from stages.models.linear import pack
from stages.models.model import LM, Writer
from stages.models.precision import dtype_of
from stages.models.steering import Steering
from stages.open_model import open_model
from stages.params import Decoding

OUT = Path("data/run/predictions.jsonl")


def banned_ids(lm: Writer, pieces: list[str]) -> tuple[int, ...]:
    """Ids of the pieces that are one token (the authors' 198 and 628 of GPT-2: newline, blank line)."""
    found = [lm.tokenizer(piece, add_special_tokens=False)["input_ids"] for piece in pieces]
    return tuple(
        ids[-1] for ids, piece in zip(found, pieces, strict=True) if ids and lm.tokenizer.decode(ids[-1:]) == piece
    )


def decode(
    lm: Writer,
    steering: Steering,
    sources: list[str],
    decoding: Decoding,
    options: Decode,
    partial: Path,
    runs: int = 1,
) -> list[dict[str, str]]:
    """What each of the steering's runs makes of each distinct source, all in one pass of the model (`decoding/ensemble.py`).

    `partial` keeps what is done if it is interrupted.
    """
    distinct = list(dict.fromkeys(sources))
    ids = Rows(row for part in parts(distinct) for row in lm.source_ids(part, decoding.source_tokens))
    lm.check_room(int(ids.lengths.max()), decoding.max_new_tokens, lm.taken(steering))
    search = Search(
        decoding.beam, decoding.length_penalty, decoding.max_new_tokens, lm.end, banned_ids(lm, options.banned),
        decoding.min_new_tokens, options.early_stopping,
    )  # fmt: skip
    done: dict[int, list[str]] = {}  # by source, a text of each run
    if partial.exists():
        done = {row["index"]: row["texts"] for row in read_jsonl(partial)}
    with tqdm(total=len(ids), initial=len(done), desc="decode", disable=None) as bar:
        for piece in pieces_by_length(ids.lengths.tolist(), options.batch_size):
            if piece[0] in done:
                continue
            found: dict[int, list[str]] = {number: [""] * runs for number in piece}
            for place, run, best in search_runs(
                lm, steering, runs, [ids[i] for i in piece], search, options.batch_size
            ):
                found[piece[place]][run] = " ".join(lm.tokenizer.decode(best, skip_special_tokens=True).split())
                bar.update(1 / runs)
            done |= found
            write_jsonl(partial, ({"index": i, "texts": texts} for i, texts in done.items()))
    return [{source: done[i][run] for i, source in enumerate(distinct)} for run in range(runs)]


def hypotheses_of(lm: LM, steering: Steering, records: list[Record], chosen: params.Params, partial: Path) -> list[str]:
    """What the model makes of each record; `partial` keeps what is done of a beam search."""
    records = list(with_source_prefix(records, chosen.source_words))
    if isinstance(lm, Encoder):
        return classify(lm, steering, records, chosen.decoding.source_tokens, chosen.decode.batch_size)
    [found] = decode(lm, steering, [record.source for record in records], chosen.decoding, chosen.decode, partial)
    return [found[record.source] for record in records]


@entry_point
def main() -> None:
    chosen = params.load()
    lm = open_model(chosen)
    belongs = saved.belonging(lm)
    steering = saved.load(params.RUN, lm)
    lm.compute_in(dtype_of(chosen.precision, lm.device, lm.width))
    pack(lm.model)
    settings = [asdict(chosen.decoding), chosen.model_dump(include={"decode", "source_words", "threads"})]
    settings += [belongs, str(lm.computes_in), lm.device.type]
    test = Path("data/linearized") / chosen.task / "test.jsonl"
    records = list(read_records(test))
    with scratch(settings, test, saved.weights_of(params.RUN), *code()) as directory:
        hypotheses = hypotheses_of(lm, steering, records, chosen, directory / "predictions.jsonl")
        write_jsonl(OUT, (
            {"id": r.id, "source": r.source, "group": r.group, "name": r.name, "hypothesis": text, "references": r.targets}
            for r, text in zip(records, hypotheses, strict=True)
        ))  # fmt: skip


if __name__ == "__main__":
    main()
