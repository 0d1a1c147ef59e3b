"""Data sets of the Hugging Face hub."""

from collections.abc import Iterable
from typing import Any

from stages.core.errors import UserError


def load(dataset: str, config: str | None, revision: str, splits: Iterable[str], instead: str) -> dict[str, Any]:
    """Some splits by name, each rows of a `datasets` data set. Raises UserError that says what can be done `instead`."""
    from datasets import load_dataset  # takes seconds

    try:
        found = load_dataset(dataset, *([] if config is None else [config]), revision=revision)
        return {split: found[split] for split in splits}
    except Exception as error:  # whatever the hub, the network and the format of the files have in store
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        named = dataset if config is None else f"{dataset} {config}"
        raise UserError(f"cannot load {named} at {revision} from the Hugging Face hub ({reason}): {instead}") from error
