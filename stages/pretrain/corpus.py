"""Stage: write the pretraining corpus, train the tokenizer on it, cut it into tokens.

Out, pretrain/data/corpus: `tokenizer/` (a byte-level BPE as transformers loads it), `train.npy` and
`heldout.npz` (token ids; uint16).
"""

import itertools
from collections import defaultdict
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast

from stages import params
from stages.core.errors import entry_point
from stages.core.files import replacing
from stages.world.corpus import documents

OUT = Path("pretrain/data/corpus")
END_OF_TEXT = "<|endoftext|>"
# Documents after the training ones; on them the loss by kind of document is measured.
HELDOUT = 1500


def train_tokenizer(texts: list[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE in GPT-2's manner, with one change: a text always begins with a space.

    A name is then cut into the same pieces at the start of a text as within a record, which copying
    needs. Digits stand alone.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.ByteLevel(add_prefix_space=True), pre_tokenizers.Digits(individual_digits=True)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END_OF_TEXT, bos_token=END_OF_TEXT)


def encode(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> np.ndarray:
    """[tokens] uint16: the ids of all texts, the end-of-text token after each."""
    rows = []
    for start in tqdm(range(0, len(texts), 5000), desc="encode", disable=None):
        for ids in tokenizer(texts[start : start + 5000], add_special_tokens=False)["input_ids"]:
            rows.append(np.array([*ids, tokenizer.eos_token_id], dtype=np.uint16))
    return np.concatenate(rows)


@entry_point
def main() -> None:
    chosen = params.load().pretrain
    made = itertools.islice(documents(chosen.seed, chosen.copies_first), chosen.documents + HELDOUT)
    made = list(tqdm(made, total=chosen.documents + HELDOUT, desc="write", disable=None))
    texts = [text for _, text in made[: chosen.documents]]
    tokenizer = train_tokenizer(texts[: 20 * chosen.vocabulary], chosen.vocabulary)
    heldout = defaultdict(list)
    for kind, text in made[chosen.documents :]:
        heldout[kind].append(text)
    with replacing(OUT) as out:
        out.mkdir()
        tokenizer.save_pretrained(out / "tokenizer")
        np.save(out / "train.npy", encode(tokenizer, texts))
        np.savez(out / "heldout.npz", **{kind: encode(tokenizer, texts) for kind, texts in sorted(heldout.items())})


if __name__ == "__main__":
    main()
