"""Texts as a model's own tokenizer writes them: words inside a text, what begins one, what ends one."""

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from bench.compatibility.vocabularies import begins, names_language
from stages.models.model import space_before
from tests.conftest import tiny_bart, tiny_llama

TEXT = "the hotel is near the river"


@pytest.fixture
def prepending() -> PreTrainedTokenizerFast:
    """As Llama 2's: a space is `▁`, and one is put before every text."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    trainer = trainers.BpeTrainer(vocab_size=80, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False)
    tokenizer.train_from_iterator([TEXT, "a river x x", "the hotel x"] * 20, trainer)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([])  # Llama 2's has none
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>")


def test_a_word_has_no_piece_of_white_space_before_it(tokenizer, prepending):
    assert (space_before(tokenizer), space_before(prepending)) == (" ", "")
    lm = tiny_llama(prepending)
    plain = prepending(TEXT, add_special_tokens=False)["input_ids"]
    assert lm.source_ids([TEXT, f"  {TEXT} "], None) == [plain, plain] and lm.token_ids(TEXT) == plain
    assert prepending.convert_ids_to_tokens(plain)[0].startswith("▁") and plain[0] != plain[1]
    assert "▁" not in prepending.convert_ids_to_tokens(lm.token_ids("hotel"))
    assert lm.target_ids([TEXT], None) == [[*plain, lm.end]]


def test_gpt_2s_texts_are_the_authors(tokenizer):
    lm = tiny_llama(tokenizer)
    assert lm.begin == [] and lm.source_ids([" | a : b"], None) == [tokenizer("  | a : b")["input_ids"]]
    assert lm.target_ids([" The Oak. "], None) == [[*tokenizer("The Oak.")["input_ids"], lm.end]]


def test_a_text_begins_as_the_tokenizer_begins_it():
    lm = tiny_llama(begins())
    [ids] = lm.source_ids([TEXT], None)
    assert lm.begin == [lm.tokenizer.bos_token_id] and ids == lm.tokenizer(lm.space + TEXT)["input_ids"]
    assert lm.source_ids([TEXT], 3) == [ids[:3]] and lm.token_ids(TEXT) == ids[1:]
    assert lm.target_ids([TEXT], None)[0][0] != lm.tokenizer.bos_token_id


def test_a_target_has_no_language_behind_its_end():
    lm = tiny_bart(names_language())
    written = lm.tokenizer(TEXT)["input_ids"]
    assert written[-2] == lm.end and written[-1] != lm.end  # mBART's `text </s> language`
    assert lm.target_ids([TEXT], None) == [written[:-1]] and lm.source_ids([TEXT], None) == [written]
    [cut] = lm.target_ids([TEXT], 4)
    assert cut[-1] == lm.end and len(cut) <= 4
