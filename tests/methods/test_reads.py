"""What a method says it reads of params.yaml is all that it reads: the cells of the studies are run again by that."""

import pytest
import torch
import yaml
from safetensors.torch import save_file

from stages import params
from stages.methods.parts.head import build
from stages.methods.prompt_tuning import EMBEDDINGS
from stages.models.encoder import Encoder
from tests.conftest import bare_encoder, tiny_bart, tiny_gpt2

SECTIONS = {section for module in METHODS.values() for section in module.READS}


def test_the_sections_are_those_of_params():
    assert {"prefix", "prompt", "projector", "apt", "adapter", "ft_top2"} == SECTIONS <= set(params.Params.model_fields)


@pytest.mark.parametrize("method", [name for name in METHODS if name != "none"])
@pytest.mark.parametrize(
    ("family", "model"), [("decoder-only", "mini-gpt2"), ("encoder-decoder", "mini-bart"), ("encoder", "minilm")]
)
def test_nothing_else_is_read(method, family, model, project, tokenizer, bart_tokenizer, word_pieces):
    if family not in METHODS[method].FAMILIES:
        pytest.skip(f"{method} is not for {family} models")
    lm = {"decoder-only": lambda: tiny_gpt2(tokenizer), "encoder-decoder": lambda: tiny_bart(bart_tokenizer),
          "encoder": lambda: Encoder(bare_encoder("bert", len(word_pieces)), word_pieces, "tiny-bert")}[family]()  # fmt: skip
    lm.labels = ["no", "yes"]
    save_file({EMBEDDINGS: torch.ones(1, 3, lm.width)}, project / "prompt_tuning.safetensors")
    raw = yaml.safe_load((project / "params.yaml").read_text()) | {"model": model, "method": method, "prefix_len": 3}
    raw["train"] |= {"lr": 0.1, "steps": 3, "batch_size": 2, "warmup_steps": 0, "loss": "token_mean", "lm_dropout": False,
                     "optimizer": "adamw"}  # fmt: skip
    raw["prefix"] |= {"mlp_width": 4}
    raw["adapter"] |= {"bottleneck": 2}
    raw["projector"] |= {"source": str(project)}
    chosen = params.check(raw)
    others = dict.fromkeys(SECTIONS - set(METHODS[method].READS))
    build(lm, chosen.model_copy(update=others), [1])
    if METHODS[method].READS:
        with pytest.raises(AttributeError):
            build(lm, chosen.model_copy(update=dict.fromkeys(SECTIONS)), [1])
