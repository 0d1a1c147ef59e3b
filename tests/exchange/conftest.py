"""What the tests of exports and imports share: a model as this engine reads it and as transformers opens it, and runs."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, PreTrainedModel

from bench.compatibility.vocabularies import begins
from stages.decoding.beam import Search, search_sources
from stages.methods.embedding_only import EmbeddingOnly
from stages.methods.lora import LoRA, layers_of
from stages.methods.parts import saved
from stages.methods.prefix import Prefix
from stages.methods.prompt_tuning import PromptTuning, vocabulary
from stages.models.decoder_only import DecoderOnly
from stages.models.encoder_decoder import EncoderDecoder
from stages.models.identity import base_model_id
from stages.models.load import load
from stages.models.model import GenerativeLM
from tests.conftest import ROOT, config_of, tiny_bart, tiny_llama, tiny_t5

SOURCES = ["name : Oak | area : riverside", "near : the mill"]
NEW = 12


@dataclass(frozen=True)
class Both:
    """One model twice: `lm` for this engine; `directory`, from which transformers opens it."""

    lm: GenerativeLM
    directory: Path

    def bare(self) -> PreTrainedModel:
        """transformers' own, opened anew, in fp32."""
        opener = AutoModelForSeq2SeqLM if isinstance(self.lm, EncoderDecoder) else AutoModelForCausalLM
        return opener.from_pretrained(self.directory, dtype=torch.float32).eval()

    def ids(self, begin: bool = True) -> list[list[int]]:
        """The ids of SOURCES that a user gives transformers: with the separator; with or without the begin token."""
        rows = self.lm.source_ids(SOURCES, None)
        if isinstance(self.lm, EncoderDecoder):
            return rows
        return [[*(row if begin else row[len(self.lm.begin) :]), self.lm.separator] for row in rows]

    def search(self, beam: int) -> Search:
        return Search(beam, 1.0, NEW, self.lm.end)

    def ours(self, adaptation, beam: int) -> list[list[int]]:
        """What this engine generates for SOURCES."""
        rows = self.lm.source_ids(SOURCES, None)
        found = dict(search_sources(self.lm, adaptation, [0] * len(rows), rows, self.search(beam), 8))
        return [found[number] for number in range(len(rows))]

    def theirs(self, model, beam: int, begin: bool) -> list[list[int]]:
        """What `model.generate` finds for SOURCES, one after the other."""
        end, found = self.lm.end, []
        more = {"decoder_start_token_id": self.lm.start} if isinstance(self.lm, EncoderDecoder) else {}
        for row in self.ids(begin):
            inputs = torch.tensor([row])
            out = model.generate(
                input_ids=inputs, attention_mask=torch.ones_like(inputs), num_beams=beam, max_new_tokens=NEW,
                do_sample=False, eos_token_id=end, pad_token_id=end, **more,
            )[0, 1 if more else len(row) :].tolist()  # fmt: skip
            found.append(out[: out.index(end)] if end in out else out)
        return found


def both(kind: str, tokenizer, bart_tokenizer, directory: Path) -> Both:
    if kind in ("mini-gpt2", "mini-bart"):
        path = ROOT / "data/base" / kind
        return Both(load(str(path), kind, "main"), path)
    makers = {
        "llama-gqa": lambda: tiny_llama(tokenizer), "llama-gqa-begins": lambda: tiny_llama(begins()),
        "bart": lambda: tiny_bart(bart_tokenizer), "t5": lambda: tiny_t5(bart_tokenizer),
    }  # fmt: skip
    lm = makers[kind]()
    lm.model.save_pretrained(directory)
    lm.tokenizer.save_pretrained(directory)
    return Both(load(str(directory), str(directory), "main"), directory)


DECODER_ONLY = ["mini-gpt2", "llama-gqa", "llama-gqa-begins"]
SEQ2SEQ = ["bart", "t5"]


@pytest.fixture
def opened(tokenizer, bart_tokenizer, tmp_path):
    return lambda kind: both(kind, tokenizer, bart_tokenizer, tmp_path / kind)


def trained(lm: GenerativeLM, method: str, length: int = 5):
    """A method whose numbers are far from those that do nothing."""
    if method == "prefix":
        return Prefix(lm, length, None, [3], std=0.5)
    if method == "prompt_tuning":
        return PromptTuning(lm, vocabulary(lm, length, 300), [3])
    if method == "embedding_only":
        return EmbeddingOnly(lm, length, None, [3], std=0.1)
    update = LoRA(lm, 3, 6.0, layers_of(lm, None), [3])
    with torch.no_grad():
        for b in update.b:
            b += 0.5 * torch.randn(b.shape, generator=torch.Generator().manual_seed(7))
    return update


def save(lm: GenerativeLM, method: str, directory: Path, length: int = 5, **changes) -> Path:
    """A saved run of `trained`."""
    model = "mini-gpt2" if isinstance(lm, DecoderOnly) else "mini-bart"
    config = config_of(method, model, "mini_e2e" if model == "mini-gpt2" else "mini_xsum", **changes)
    saved.save(directory, config, trained(lm, method, length).state(), base_model_id(lm))
    return directory


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The quick tier has the Llama shapes, which are the harder ones; the others take half a minute."""
    for item in items:
        if item.path.parent == Path(__file__).parent and any(kind in item.name for kind in ("mini-gpt2", "bart", "t5")):
            item.add_marker(pytest.mark.slow)
