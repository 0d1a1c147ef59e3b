"""Records as examples: every target of a record with its source, as token ids."""

from datasets import Dataset

from stages.engine.batches import Example
from stages.engine.model import LM
from stages.tasks.record import Record


def encode(lm: LM, records: list[Record], most_source: int | None, most_target: int | None) -> list[Example]:
    """One example per target, cut at so many tokens (None: never)."""
    pairs = [{"source": record.source, "target": target} for record in records for target in record.targets]

    def tokenize(rows: dict[str, list[str]]) -> dict[str, list]:
        return {
            "source_ids": lm.source_ids(rows["source"], most_source),
            "target_ids": lm.target_ids(rows["target"], most_target),
        }

    # A fingerprint of one's own: for datasets' it would pickle what `tokenize` holds, the whole model.
    mapped = Dataset.from_list(pairs).map(
        tokenize, batched=True, remove_columns=["source", "target"], keep_in_memory=True, new_fingerprint="examples"
    )
    return [Example(*ids) for ids in zip(mapped["source_ids"], mapped["target_ids"], strict=True)]


def check_length(lm: LM, examples: list[Example], length: int) -> None:
    """Raises UserError if an example does not fit into the model beside `length` tokens of prefix or infix."""
    for source, target in {(len(example.source), len(example.target)) for example in examples}:
        lm.check_room(source, target, length)
