"""What is measured on: models of real shapes with random weights, and token ids of records, made once for all."""

import json
import time
from itertools import islice
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import (
    AutoTokenizer,
    BartConfig,
    BartForConditionalGeneration,
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Tokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from stages.core.files import replacing, write_json
from stages.core.record import read_records, write_records
from stages.core.tensors import write_tensors
from stages.methods.prefix import flatten
from stages.models.adaptation import DECODER
from stages.models.batches import Example
from stages.models.decoder_only import DecoderOnly
from stages.models.encode import Examples, encode
from stages.models.load import load
from stages.models.model import LM
from stages.models.named import PACKAGES, has_package, path_of
from stages.tasks import Linearize, e2e, mini_e2e
from stages.tasks.common.generated import GeneratedTexts

SEED = 101
POOL = 50  # batches among whose examples those of similar length meet, as in params.yaml
TRAIN, TEST = 2000, 400  # examples and sources whose ids are kept
# Of transformers' usual spread (0.02), a GPT-2 repeats few words in all it says; of ours, a BART would.
SPREAD, BART_SPREAD = 0.06, 0.03
GENERATED = GeneratedTexts(seed=1, train=4000, dev=500, test=600, references=8)


def gpt2(ends: dict, **sizes: int) -> PreTrainedModel:
    dropouts = {"attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0}
    return GPT2LMHeadModel(GPT2Config(initializer_range=SPREAD, **dropouts, **ends, **sizes))


def bart(ends: dict) -> PreTrainedModel:
    """bart-base."""
    sizes = {f"{part}_{size}": n for part in ("encoder", "decoder") for size, n in
             (("layers", 6), ("attention_heads", 12), ("ffn_dim", 3072))}  # fmt: skip
    last = BartConfig().vocab_size - 1  # in no vocabulary: padding
    return BartForConditionalGeneration(BartConfig(
        d_model=768, init_std=BART_SPREAD, dropout=0.0, pad_token_id=last, forced_eos_token_id=None,
        decoder_start_token_id=ends["eos_token_id"], **sizes, **ends,
    ))  # fmt: skip


REAL = "smollm2"
LENGTHS = (6, 10, 275)  # of the prefixes of worked examples on the real model

MODELS = {
    "gpt2": gpt2,
    "gpt2-medium": lambda ends: gpt2(ends, n_layer=24, n_embd=1024, n_head=16),
    "bart-base": bart,
}


def tokenizer_of(directory: Path) -> PreTrainedTokenizerBase:
    """Of a model's directory, or of GPT-2's two files alone."""
    whole = (directory / "tokenizer.json").exists()
    return (AutoTokenizer if whole else GPT2Tokenizer).from_pretrained(directory)


def prepare(home: str, e2e_files: str | None, tokenizer: str) -> dict:
    with replacing(Path(home)) as out:
        _write_records(out, e2e_files)
        found = tokenizer_of(Path(tokenizer))
        for name, build in MODELS.items():
            torch.manual_seed(SEED)
            model = build({"bos_token_id": found.bos_token_id, "eos_token_id": found.eos_token_id})
            model.save_pretrained(out / name)
            found.save_pretrained(out / name)
            _write_ids(out, name, load(str(out / name), name, "main"))
        if has_package(REAL):
            lm = load(path_of(REAL), REAL, "main")
            _write_ids(out, REAL, lm)
            _write_prefixes(out, lm)
    return {}


def _write_prefixes(home: Path, lm: LM) -> None:
    """What the prefixes on the real model start from: keys and values of training examples."""
    ids = [i for source, target in json.loads((home / f"{REAL}.json").read_text())["train"]
           for i in [*source, lm.separator, *target]]  # fmt: skip
    write_tensors(home / f"{REAL}.safetensors", {
        str(length): flatten(lm.activations(ids[:length])[DECODER]).contiguous() for length in LENGTHS
    }, {})  # fmt: skip


def start_of(home: str, name: str, length: int) -> torch.Tensor | None:
    """What a prefix starts from, [length, layers * 2 * kv_heads * head_dim]; None: random numbers out of an MLP."""
    if name != REAL:
        return None
    return load_file(Path(home) / f"{REAL}.safetensors")[str(length)]


def _write_records(out: Path, e2e_files: str | None) -> None:
    if e2e_files is None:
        mini_e2e.download(GENERATED, out / "raw")
    splits = e2e.linearize(Path(e2e_files or out / "raw"), Linearize(tokenize_targets=False, authors_first_entry=False))
    for split, records in splits.items():
        write_records(out / f"{split}.jsonl", records)


def _write_ids(home: Path, name: str, lm: LM) -> None:
    examples = encode(lm, read_records(home / "train.jsonl"), None, None)
    sources = dict.fromkeys(record.source for record in read_records(home / "test.jsonl"))
    write_json(home / f"{name}.json", {
        "before": [lm.separator] if isinstance(lm, DecoderOnly) else [],  # a target
        "end": lm.end,
        "train": [[example.source, example.target] for example in islice(examples, 0, None, len(examples) // TRAIN)],
        "test": lm.source_ids(list(islice(sources, TEST)), None),
    })  # fmt: skip


class Ids:
    """The token ids that both sides read."""

    def __init__(self, home: str, name: str):
        kept = json.loads((Path(home) / f"{name}.json").read_text())
        self.before, self.end, self.test = kept["before"], kept["end"], kept["test"]
        self.train = [Example(*pair) for pair in kept["train"]]

    def examples(self, first: int, count: int) -> Examples:
        return Examples(self.train[first : first + count])


def directory_of(home: str, name: str) -> str:
    """Where a model is: in a Python package, or among the inputs."""
    return path_of(name) if name in PACKAGES else str(Path(home) / name)


def clock() -> float:
    """Seconds: of the one thread's work, whatever else the machine does; on a GPU, when it has done all."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()
