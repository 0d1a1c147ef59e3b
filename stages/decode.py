"""Stage: describe each distinct source of the test set by beam search (section 5.2).

The out, data/run/predictions.jsonl, holds source, hypothesis and references, for people and for `score`.
"""

from pathlib import Path

import torch
from tqdm import tqdm

from stages import params
from stages.engine.batches import prompt_ids
from stages.engine.beam import Search, beam_search
from stages.engine.checkpoint import scratch
from stages.engine.model import FrozenLM
from stages.engine.start import open_model
from stages.errors import UserError, entry_point
from stages.files import read_jsonl, write_jsonl
from stages.methods import saved
from stages.tasks.record import read_records

MODEL = Path("data/run/model")
OUT = Path("data/run/predictions.jsonl")


def banned_ids(lm: FrozenLM, pieces: list[str]) -> tuple[int, ...]:
    """Ids of the pieces that are one token (the authors' 198 and 628 of GPT-2: newline, blank line)."""
    found = [lm.tokenizer(piece, add_special_tokens=False)["input_ids"] for piece in pieces]
    return tuple(
        ids[-1] for ids, piece in zip(found, pieces, strict=True) if ids and lm.tokenizer.decode(ids[-1:]) == piece
    )


def decode(lm: FrozenLM, prefix: torch.Tensor, sources: list[str], options: params.Decode, partial: Path) -> list[str]:
    """Hypotheses in the order of the sources; `partial` keeps what is done if it is interrupted."""
    prompts = prompt_ids(lm, sources)
    room = (lm.positions or 1 << 30) - prefix.shape[4] - options.max_new_tokens
    if (longest := max(map(len, prompts))) > room:
        raise UserError(
            f"a source of {longest} tokens leaves no room for decode.max_new_tokens in the positions of {lm.name}"
        )
    search = Search(
        options.beam, options.length_penalty, options.max_new_tokens, lm.end, banned_ids(lm, options.banned)
    )
    done = {row["index"]: row["text"] for row in read_jsonl(partial)} if partial.exists() else {}
    with tqdm(total=len(prompts), initial=len(done), desc="decode", disable=None) as bar:
        for indices, hypotheses in beam_search(lm, prefix, prompts, search, options.batch_size, set(done)):
            texts = lm.tokenizer.batch_decode(hypotheses, skip_special_tokens=True)
            done |= {i: " ".join(text.split()) for i, text in zip(indices, texts, strict=True)}
            write_jsonl(partial, ({"index": i, "text": text} for i, text in done.items()))
            bar.update(len(indices))
    return [done[i] for i in range(len(prompts))]


@entry_point
def main() -> None:
    chosen = params.load()
    lm = open_model(chosen)
    prefix = saved.load(MODEL, lm)
    test = Path("data/linearized") / chosen.task / "test.jsonl"
    records = read_records(test)
    with scratch([chosen.decode.model_dump(), lm.fingerprint()], test, MODEL / saved.WEIGHTS) as directory:
        hypotheses = decode(lm, prefix, [r.source for r in records], chosen.decode, directory / "predictions.jsonl")
    write_jsonl(OUT, (
        {"id": r.id, "source": r.source, "name": r.name, "hypothesis": hypothesis, "references": r.targets}
        for r, hypothesis in zip(records, hypotheses, strict=True)
    ))  # fmt: skip


if __name__ == "__main__":
    main()
