"""Stage: describe each distinct source of the test set by beam search (section 5.2).

The out, data/run/predictions.jsonl, holds source, hypothesis and references, for people and for `score`.
"""

from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from stages import params
from stages.engine.beam import Search, beam_search
from stages.engine.checkpoint import code, scratch
from stages.engine.model import LM
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
    ids = lm.source_ids(distinct, decoding.source_tokens)
    lm.check_room(max(map(len, ids)), decoding.max_new_tokens, steering.length)
    search = Search(
        decoding.beam, decoding.length_penalty, decoding.max_new_tokens, lm.end, banned_ids(lm, options.banned),
        decoding.min_new_tokens,
    )  # fmt: skip
    done = {row["index"]: row["text"] for row in read_jsonl(partial)} if partial.exists() else {}
    with tqdm(total=len(ids), initial=len(done), desc="decode", disable=None) as bar:
        for indices, hypotheses in beam_search(lm, steering, ids, search, options.batch_size, set(done)):
            texts = lm.tokenizer.batch_decode(hypotheses, skip_special_tokens=True)
            done |= {i: " ".join(text.split()) for i, text in zip(indices, texts, strict=True)}
            write_jsonl(partial, ({"index": i, "text": text} for i, text in done.items()))
            bar.update(len(indices))
    return {source: done[i] for i, source in enumerate(distinct)}


@entry_point
def main() -> None:
    chosen = params.load()
    lm = open_model(chosen)
    settings = [asdict(chosen.decoding), chosen.decode.model_dump(), chosen.threads, saved.belonging(lm)]
    steering = saved.load(MODEL, lm)
    test = Path("data/linearized") / chosen.task / "test.jsonl"
    records = read_records(test)
    with scratch(settings, test, saved.weights_of(MODEL), *code()) as directory:
        partial = directory / "predictions.jsonl"
        hypotheses = decode(lm, steering, [r.source for r in records], chosen.decoding, chosen.decode, partial)
    write_jsonl(OUT, (
        {"id": r.id, "source": r.source, "group": r.group, "name": r.name, "hypothesis": hypotheses[r.source],
         "references": r.targets}
        for r in records
    ))  # fmt: skip


if __name__ == "__main__":
    main()
