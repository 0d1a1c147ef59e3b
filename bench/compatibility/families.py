"""The families, and what a run would read of the texts."""

from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM

from bench.compatibility import decoder_only, encoder, encoder_decoder
from bench.compatibility.cases import encoder as encoders
from bench.compatibility.cases import encoder_decoder as encoder_decoders
from bench.compatibility.cases import experts, gpt, llama, recurrent, windows
from bench.compatibility.records import JUDGING, MOST_NEW, PREFIX, TAGGING, WRITING
from bench.compatibility.run import Family
from stages.core.errors import UserError
from stages.models.batches import Example
from stages.models.encoder import Encoder
from stages.models.model import GenerativeLM

SMALL = {
    "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48,
    "max_position_embeddings": 256,
}  # fmt: skip


def writing(lm: GenerativeLM) -> tuple[list[Example], str]:
    """Examples that fit, and why the others are refused."""
    fitting, line = [], ""
    for example in lm.examples(WRITING, None, None):
        try:
            lm.check_max_length(len(example.source), max(len(example.target), MOST_NEW), PREFIX)
            fitting.append(example)
        except UserError as error:
            line = str(error)
    return fitting, line


def reading(lm: Encoder) -> tuple[list[list[Example]], str]:
    """Those that fit of the texts to be judged and of the sentences to be tagged, and why the others are refused."""
    fitting, line = [], ""
    for records in (JUDGING, TAGGING):
        lm.set_labels(records)
        fitting.append([])
        for record in records:
            try:
                fitting[-1] += lm.examples([record], None, None)
            except UserError as error:
                line = str(error)
    return fitting if all(fitting) else [], line


TWO_STACKS = {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 3, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "d_ff": 48, "num_layers": 2, "num_heads": 4,
    "max_position_embeddings": 256,
}  # fmt: skip
DECODERS = [case for group in (gpt, llama, windows, experts, recurrent) for case in group.CASES]
FAMILIES = [
    Family("decoder-only", AutoModelForCausalLM, SMALL, DECODERS, writing, decoder_only.compare),
    Family(
        "encoder-decoder", AutoModelForSeq2SeqLM, TWO_STACKS, encoder_decoders.CASES, writing, encoder_decoder.compare
    ),
    Family("encoder", AutoModel, SMALL, encoders.CASES, reading, encoder.compare),
]
