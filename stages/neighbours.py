"""The words nearest to a trained prompt (Lester et al. 2021, section 7): `python -m stages.neighbours`, after `dvc repro`.

Prints a table: for each trained input vector, the tokens of the model whose embeddings have the highest cosine with it.
"""

import argparse
from pathlib import Path

import torch
from torch.nn import functional as F

from stages import params
from stages.core.arguments import count
from stages.core.errors import UserError, entry_point
from stages.methods.parts.given import RUN
from stages.methods.parts.saved import state_of
from stages.methods.prompt_tuning import EMBEDDINGS
from stages.models.identity import check_belongs
from stages.models.load import load
from stages.models.model import LM
from stages.models.named import path_of
from stages.models.progress import quiet_unless_terminal

METHODS = ("embedding_only", "infix", "prompt_projection", "prompt_tuning")  # those whose state has input vectors


def vectors_of(directory: Path, lm: LM) -> torch.Tensor:
    """The trained input vectors [len, embedding width] of the run in `directory`, on the CPU.

    Raises UserError if the directory has no run of this model, or a run of a method without input vectors, or as
    `state_of`.
    """
    method = check_belongs(directory, lm)["method"]
    state = state_of(directory)
    if EMBEDDINGS not in state:
        raise UserError(f"{directory} is a run of {method}, which trains no input vectors; {', '.join(METHODS)} do")
    return state[EMBEDDINGS][0]


def nearest(vectors: torch.Tensor, matrix: torch.Tensor, top: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The rows of `matrix` [vocabulary, width] with the highest cosines to each of `vectors` [len, width].

    Returns cosines and row numbers, both [len, top], the highest first. A row of zeros has the cosine 0.
    """
    cosines = F.normalize(vectors.float()) @ F.normalize(matrix.float()).T
    highest = cosines.topk(min(top, len(matrix)))
    return highest.values, highest.indices


def table(lm: LM, vectors: torch.Tensor, top: int) -> list[tuple[int, str, float]]:
    """The position of a vector, a token and their cosine: `top` rows for each of `vectors` [len, embedding width].

    The embeddings are the rows of the input matrix that have a token. Models that multiply them all by one number
    (Gemma) have the same cosines.
    """
    matrix = lm.model.get_input_embeddings().weight.detach().cpu()[: len(lm.tokenizer)]
    cosines, ids = (found.tolist() for found in nearest(vectors, matrix, top))
    return [
        (position, _word(lm, number), cosine)
        for position in range(len(vectors))
        for number, cosine in zip(ids[position], cosines[position], strict=True)
    ]


def _word(lm: LM, number: int) -> str:
    """A token's text; its name in the vocabulary where it is only part of a character."""
    text = lm.tokenizer.decode([number])
    return lm.tokenizer.convert_ids_to_tokens(number) if "\ufffd" in text else text


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m stages.neighbours", description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="?", type=Path, default=RUN, help=f"directory of a trained run; default: {RUN}")
    parser.add_argument("--top", type=count, default=5, help="words of each vector; default: 5")
    arguments, chosen = parser.parse_args(), params.load()
    quiet_unless_terminal()
    lm = load(path_of(chosen.model), chosen.model, chosen.revision)
    rows = table(lm, vectors_of(arguments.run, lm), arguments.top)
    width = max(len(repr(word)) for _, word, _ in rows)
    print(f"position  {'word':{width}}  cosine")
    for position, word, cosine in rows:
        print(f"{position:8}  {word!r:{width}}  {cosine:6.3f}")


if __name__ == "__main__":
    main()
