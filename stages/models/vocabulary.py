"""Checks of a tokenizer: the model has an embedding for each of its tokens, and it reads text."""

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from stages.core.errors import UserError

_TEXT = "The hotel by the river has 24 rooms."


def check_vocabulary(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, name: str) -> None:
    """Raises UserError for tokens without an input embedding, and for a tokenizer that reads no text.

    A special token without one is accepted unless it is part of every text (Gemma 3's image token is not); a text that
    contains it is refused when it is read.
    """
    known = len(model.get_input_embeddings().weight)
    everywhere = {
        *tokenizer(_TEXT)["input_ids"],
        tokenizer.eos_token_id,
        tokenizer.bos_token_id,
        tokenizer.pad_token_id,
    }
    special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    beyond = sorted(
        (number, token)
        for token, number in tokenizer.get_vocab().items()
        if number >= known and (number in everywhere or token not in special)
    )
    if beyond:
        number, token = beyond[0]
        raise UserError(
            f"model {name} has {known} input vectors, but its tokenizer has {len(beyond)} tokens beyond them, the first "
            f"{token!r} ({number}): resize the model's embeddings (`resize_token_embeddings`) and save it"
        )
    if set(tokenizer(_TEXT, add_special_tokens=False)["input_ids"]) <= {tokenizer.unk_token_id}:
        raise UserError(f"the tokenizer of model {name} reads no English text: are its files there (tokenizer.json)?")
