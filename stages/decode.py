"""Stage: describe each distinct source of the test set by beam search (section 5.2).

The out, data/run/predictions.jsonl, holds source, hypothesis and references, for people and for `score`.
"""

from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from stages import params
from stages.engine.beam import Search, pieces_by_length, search_sources
from stages.engine.checkpoint import code, scratch
from stages.engine.encode import Rows, parts
from stages.engine.linear import pack
from stages.engine.model import LM
from stages.engine.precision import dtype_of
from stages.engine.start import open_model
from stages.engine.steering import Steering
from stages.errors import entry_point
from stages.files import read_jsonl, write_jsonl
from stages.methods import saved
from stages.params import Decoding
from stages.sections import Decode
from stages.tasks.record import read_records

MODEL = Path("data/run/model")
OUT = Path("data/run/predictions.jsonl")


def banned_ids(lm: LM, pieces: list[str]) -> tuple[int, ...]:
    """Ids of the pieces that are one token (the authors' 198 and 628 of GPT-2: newline, blank line)."""
    found = [lm.tokenizer(piece, add_special_tokens=False)["input_ids"] for piece in pieces]
    return tuple(
        ids[-1] for ids, piece in zip(found, pieces, strict=True) if ids and lm.tokenizer.decode(ids[-1:]) == piece
    )


def decode(
    lm: LM, steering: Steering, sources: list[str], decoding: Decoding, options: Decode, partial: Path
) -> dict[str, str]:
    """The hypothesis of each distinct source; `partial` keeps what is done if it is interrupted."""
    distinct = list(dict.fromkeys(sources))
    ids = Rows(row for part in parts(distinct) for row in lm.source_ids(part, decoding.source_tokens))
    lm.check_room(int(ids.lengths.max()), decoding.max_new_tokens, steering.length)
    search = Search(
        decoding.beam, decoding.length_penalty, decoding.max_new_tokens, lm.end, banned_ids(lm, options.banned),
        decoding.min_new_tokens, options.early_stopping,
    )  # fmt: skip
    done = {row["index"]: row["text"] for row in read_jsonl(partial)} if partial.exists() else {}
    with tqdm(total=len(ids), initial=len(done), desc="decode", disable=None) as bar:
        for piece in pieces_by_length(ids.lengths.tolist(), options.batch_size):
            if piece[0] in done:
                continue
            found = {}
            texts = [ids[i] for i in piece]
            for number, best in search_sources(lm, steering, [0] * len(piece), texts, search, options.batch_size):
                found[piece[number]] = " ".join(lm.tokenizer.decode(best, skip_special_tokens=True).split())
                bar.update()
            done |= found
            write_jsonl(partial, ({"index": i, "text": text} for i, text in done.items()))
    return {source: done[i] for i, source in enumerate(distinct)}


@entry_point
def main() -> None:
    chosen = params.load()
    lm = open_model(chosen)
    belongs = saved.belonging(lm)
    steering = saved.load(MODEL, lm)
    lm.compute_in(dtype_of(chosen.precision, lm.device, lm.width))
    pack(lm.model)
    settings = [asdict(chosen.decoding), chosen.decode.model_dump(), chosen.threads, belongs, str(lm.computes_in)]
    test = Path("data/linearized") / chosen.task / "test.jsonl"
    sources = [record.source for record in read_records(test)]
    with scratch(settings, test, saved.weights_of(MODEL), *code()) as directory:
        partial = directory / "predictions.jsonl"
        hypotheses = decode(lm, steering, sources, chosen.decoding, chosen.decode, partial)
    write_jsonl(OUT, (
        {"id": r.id, "source": r.source, "group": r.group, "name": r.name, "hypothesis": hypotheses[r.source],
         "references": r.targets}
        for r in read_records(test)
    ))  # fmt: skip


if __name__ == "__main__":
    main()
