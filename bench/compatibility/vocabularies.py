"""Tokenizers of a few hundred byte-level pieces, with the special tokens that each family of models adds."""

from functools import cache

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

PAD, BEGIN, END, CLASS, SEPARATOR, MASK, UNKNOWN, LANGUAGE = (
    "<pad>", "<s>", "</s>", "<cls>", "<sep>", "<mask>", "<unk>", "<en>"
)  # fmt: skip
SPECIAL = [PAD, BEGIN, END, CLASS, SEPARATOR, MASK, UNKNOWN, LANGUAGE]
CORPUS = """The hotel is near the river and the price of it is low.
name : Oak | food : cheap | area : park | near : the old mill by the sea
There is a park near the town, where children and dogs play all day long.
An oak stands beside the house whose owner cooks for friends on Sunday."""


@cache
def _pieces() -> str:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS.splitlines(), trainer)
    return tokenizer.to_str()


def _tokenizer(single: str | None, pair: str | None = None, **special: str) -> PreTrainedTokenizerFast:
    """`single` and `pair` are the templates by which special tokens are added; None: none are."""
    tokenizer = Tokenizer.from_str(_pieces())
    if single is not None:
        known = [(token, tokenizer.token_to_id(token)) for token in SPECIAL]
        tokenizer.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=known)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=512, **special)


def ends() -> PreTrainedTokenizerFast:
    """GPT-2's: one token that begins and ends a text, and is never added."""
    return _tokenizer(None, bos_token=END, eos_token=END)


def begins() -> PreTrainedTokenizerFast:
    """Llama's: `<s> text`."""
    return _tokenizer(f"{BEGIN} $A", bos_token=BEGIN, eos_token=END, pad_token=PAD)


def encloses() -> PreTrainedTokenizerFast:
    """BART's: `<s> text </s>`."""
    return _tokenizer(f"{BEGIN} $A {END}", bos_token=BEGIN, eos_token=END, pad_token=PAD)


def closes() -> PreTrainedTokenizerFast:
    """T5's: `text </s>`."""
    return _tokenizer(f"$A {END}", eos_token=END, pad_token=PAD)


def names_language() -> PreTrainedTokenizerFast:
    """mBART's: `text </s> <en>`."""
    return _tokenizer(f"$A {END} {LANGUAGE}", bos_token=BEGIN, eos_token=END, pad_token=PAD)


def typed_pairs() -> PreTrainedTokenizerFast:
    """BERT's: `<cls> text <sep> text <sep>`, the second of another type."""
    return _tokenizer(
        f"{CLASS}:0 $A:0 {SEPARATOR}:0", f"{CLASS}:0 $A:0 {SEPARATOR}:0 $B:1 {SEPARATOR}:1", cls_token=CLASS,
        sep_token=SEPARATOR, pad_token=PAD, mask_token=MASK, unk_token=UNKNOWN,
    )  # fmt: skip


def plain_pairs() -> PreTrainedTokenizerFast:
    """RoBERTa's: `<s> text </s></s> text </s>`, all of one type."""
    tokenizer = _tokenizer(
        f"{BEGIN} $A {END}", f"{BEGIN} $A {END} {END} $B:0 {END}:0", bos_token=BEGIN, eos_token=END, cls_token=BEGIN,
        sep_token=END, pad_token=PAD, mask_token=MASK, unk_token=UNKNOWN,
    )  # fmt: skip
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    return tokenizer
