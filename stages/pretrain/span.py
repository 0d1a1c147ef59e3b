"""Stage: pretrain mini-t5 by span corruption (Raffel et al. 2020) on the corpus of the other models.

Out, pretrain/data/mini-t5: a transformers directory in 16 bits; its losses by kind of document go into
pretrain/metrics/span.json.
"""

from pathlib import Path

from stages import params
from stages.core.errors import entry_point
from stages.models.determinism import set_determinism
from stages.pretrain import t5
from stages.pretrain.corpus import OUT as CORPUS
from stages.pretrain.finish import finish
from stages.pretrain.memory import keep_freed
from stages.pretrain.objectives import span_corruption

OUT = Path("pretrain/data/mini-t5")
METRICS = Path("pretrain/metrics/span.json")


@entry_point
def main() -> None:
    chosen = params.load().span
    set_determinism(chosen.threads)
    keep_freed()
    tokenizer = t5.tokenizer_of(CORPUS)
    objective = span_corruption(t5.sentinels_of(tokenizer), chosen.masked, chosen.mean_span)
    model = t5.build(chosen, tokenizer)
    with t5.checkpoint_of(chosen) as checkpoint:
        how = t5.trained(model, chosen, tokenizer, objective, checkpoint)
        finish(model, tokenizer, lambda rounded: t5.evaluate(rounded, tokenizer, objective, chosen), how, OUT, METRICS)


if __name__ == "__main__":
    main()
