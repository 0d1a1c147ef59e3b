"""Classification by an encoder: the class with the highest score for each text or word."""

from collections.abc import Sequence

import torch
from tqdm import tqdm

from stages.core.record import Record
from stages.models.adaptation import Adaptation
from stages.models.batches import NONE, Batch
from stages.models.encode import Examples
from stages.models.encoder import Encoder


@torch.inference_mode()
def classify(
    lm: Encoder, adaptation: Adaptation, records: Sequence[Record], most_source: int | None, batch_size: int
) -> list[str]:
    """The label of each record, or the tags of its words joined by spaces.

    Texts are cut at `most_source` tokens (None: no cut) and read in batches of similar length.
    """
    questions = Examples(lm.question(record, most_source) for record in records)
    answers = [""] * len(records)
    by_length = questions.lengths.sum(1).argsort(stable=True).split(batch_size)
    with tqdm(total=len(records), desc="classify", disable=None) as bar:
        for chosen in (part.tolist() for part in by_length):
            batch = Batch.of([questions[i] for i in chosen], [0] * len(chosen), lm.device)
            with lm.computing():
                classes = iter(lm.target_hidden(batch, adaptation).argmax(1).tolist())
            for number, example in zip(chosen, batch.examples, strict=True):
                asked = sum(place != NONE for place in example.target)
                answers[number] = lm.answer([next(classes) for _ in range(asked)])
            bar.update(len(chosen))
    return answers
