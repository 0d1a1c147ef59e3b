"""Stage: LM adaptation (Lester et al. 2021, section 3.3): a T5 goes on training, to continue texts instead of filling spans.

Out, pretrain/data/mini-t5-lm, of pretrain/data/mini-t5. pretrain/metrics/adapt.json has the losses of continuing texts by kind of
document, and under `before` those of the model that was adapted.
"""

from pathlib import Path

from transformers import T5ForConditionalGeneration

from stages import params
from stages.core.errors import entry_point
from stages.core.files import read_json, write_json
from stages.models.determinism import set_determinism
from stages.pretrain import span, t5
from stages.pretrain.corpus import OUT as CORPUS
from stages.pretrain.finish import finish
from stages.pretrain.memory import keep_freed
from stages.pretrain.objectives import prefix_lm

OUT = Path("pretrain/data/mini-t5-lm")
METRICS = Path("pretrain/metrics/adapt.json")


@entry_point
def main() -> None:
    chosen = params.load().adapt
    set_determinism(chosen.threads)
    keep_freed()
    tokenizer = t5.tokenizer_of(CORPUS)
    model = T5ForConditionalGeneration.from_pretrained(span.OUT).float()
    before = t5.evaluate(model, tokenizer, prefix_lm, chosen)
    with t5.checkpoint_of(chosen, span.OUT / "model.safetensors") as checkpoint:
        how = t5.trained(model, chosen, tokenizer, prefix_lm, checkpoint)
        finish(model, tokenizer, lambda rounded: t5.evaluate(rounded, tokenizer, prefix_lm, chosen), how, OUT, METRICS)
        write_json(METRICS, read_json(METRICS) | {"before": before})


if __name__ == "__main__":
    main()
