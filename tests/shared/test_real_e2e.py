"""The official E2E files: counts, exact linearized strings, and the token joint with GPT-2's own tokenizer."""

from pathlib import Path

import pytest
from transformers import GPT2Config, GPT2LMHeadModel, GPT2Tokenizer

from stages import params
from stages.core.record import Record
from stages.models.decoder_only import DecoderOnly
from stages.models.encode import encode
from stages.tasks import Linearize, e2e

pytestmark = [pytest.mark.shared, pytest.mark.slow]
SHARED = Path(__file__).parents[3] / "shared"


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    chosen = params.load(Path(__file__).parents[2] / "params.yaml")
    raw = tmp_path_factory.mktemp("e2e") / "raw"
    e2e.TASKS["e2e"].download(chosen.sources["e2e"].model_copy(update={"root": str(SHARED / "data/e2e")}), raw)
    return e2e.linearize(raw, Linearize(tokenize_targets=False, authors_first_entry=False))


def test_counts(splits):
    counts = {split: (sum(len(r.targets) for r in records), len(records)) for split, records in splits.items()}
    assert counts == {"train": (42_061, 4_862), "dev": (4_672, 547), "test": (4_693, 630)}
    assert all(target and "\n" not in target for records in splits.values() for r in records for target in r.targets)


def test_linearized_strings(splits):
    assert splits["test"][0].source == "name : Blue Spice | Type : coffee shop | area : city centre"
    assert splits["test"][-1].source == "name : Zizzi | Type : pub | near : The Sorrento"
    assert splits["dev"][0].source == "name : Alimentum | area : city centre | family friendly : no"
    first, second = splits["train"][:2]
    assert first.source == (
        "name : The Vaults | Type : pub | price : more than £ 30 | customer rating : 5 out of 5 | near : Café Adriatic"
    )
    assert (
        second.source == "name : The Cambridge Blue | Type : pub | food : English | price : cheap | near : Café Brazil"
    )
    sources = {r.source for records in splits.values() for r in records}
    assert any("price : £ 20 - 25" in source for source in sources) and not any("£2" in source for source in sources)


def test_the_authors_own_layout(splits):
    files = e2e.authors_files(splits)
    assert {name: text.count("\n") for name, text in files.items()} == {
        "src1_train.txt": 42_061, "src1_valid.txt": 4_672, "src1_test.txt": 4_693,
    }  # fmt: skip
    assert all(line.count("||") == 1 and line.endswith(" ") for line in files["src1_test.txt"].splitlines())


def test_joint_with_gpt2s_tokenizer():
    tokenizer = GPT2Tokenizer.from_pretrained(SHARED / "data/tokenizers/gpt2")
    model = GPT2LMHeadModel(GPT2Config(n_layer=1, n_embd=8, n_head=1))
    lm = DecoderOnly(model, tokenizer, "gpt2")
    [example] = encode(lm, [Record("r", "name : Blue Spice", [" Blue Spice is a pub. "])], None, None)
    assert tokenizer.convert_ids_to_tokens(example.source) == ["Ġname", "Ġ:", "ĠBlue", "ĠSpice"]
    target = ["Blue", "ĠSpice", "Ġis", "Ġa", "Ġpub", ".", "<|endoftext|>"]
    assert tokenizer.convert_ids_to_tokens(example.target) == target
    assert lm.separator == lm.end == 50256
