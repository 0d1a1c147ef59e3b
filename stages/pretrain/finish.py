"""How the pretraining of an embedded model ends: in 16 bits, as a transformers directory, with its losses."""

from collections.abc import Callable
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from stages.core.files import replacing, write_json
from stages.pretrain.made import Made


def finish(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    evaluate: Callable[[PreTrainedModel], dict[str, float]],
    made: Made,
    out: Path,
    metrics: Path,
) -> None:
    """Write `model`, rounded to 16 bits, to the directory `out`; write its losses by kind of document and `made` to `metrics`."""
    losses = evaluate(model.half().float())  # of what users will load
    with replacing(out) as directory:
        model.half().save_pretrained(directory)
        tokenizer.save_pretrained(directory)
    write_json(metrics, {"loss": losses, "made": made.noted()})
