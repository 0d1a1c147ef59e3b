"""BERTScore (Zhang et al. 2020) as DART's `bert-score --lang en` computes it; encoders of text for other metrics.

The package bert-score is not used. Its 0.3.13 asks the tokenizer for RoBERTa's leading space in a way that
transformers 5 ignores without a word; it fails on empty texts; and it batches texts in the order of a set of
strings, so that last digits change from run to run. The tests compare the two where both are right.
"""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch.nn.functional import normalize
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from stages.core import files
from stages.core.errors import UserError
from stages.scoring.scores import Metric, Unavailable, mean

MODEL = "roberta-large"
OFFICIAL = {
    "model_type": "roberta",
    "num_hidden_layers": 24,
    "hidden_size": 1024,
    "num_attention_heads": 16,
    "vocab_size": 50265,
}
LAYER = 17  # bert-score's choice for roberta-large, by correlation with human judgement on WMT16
DECIMALS = 6  # as its command prints them

_TEXTS = 32  # in a batch of the model
SEGMENTS = 64  # whose vectors are held at a time

Pieces = tuple[int, ...]  # ids of a text's word pieces, with those that the tokenizer puts around them


def bertscore(hypotheses: list[str], references: list[list[str]], encoder: Path) -> Metric:
    """Mean F1 of the segments, best reference each, by layer 17 of the roberta-large in the directory `encoder`.

    At most 1, mostly above 0.8, for there is no rescaling; no idf. Raises Unavailable for another model.
    """
    require(MODEL, OFFICIAL, encoder)
    return greedy_f1(hypotheses, references, Encoder(encoder, LAYER))


def greedy_f1(hypotheses: list[str], references: list[list[str]], encoder: "Encoder") -> Metric:
    """BERTScore's F1 by any encoder, which its name must tell: numbers of two models do not compare.

    `references[i]` are those of `hypotheses[i]`, at least one. To and from an empty text it is 0, so that an empty
    reference is never the best one.
    """
    segments = list(zip(encoder.pieces(hypotheses), map(encoder.pieces, references), strict=True))
    best = []
    for start in range(0, len(segments), SEGMENTS):
        chunk = segments[start : start + SEGMENTS]
        vectors = encoder.vectors(text for hyp, refs in chunk for text in (hyp, *refs))
        best += [max(encoder.f1(hyp, ref, vectors) for ref in refs) for hyp, refs in chunk]
    return mean(best, DECIMALS)


class Encoder:
    """Contextual vectors of the word pieces of texts, by a BERT, RoBERTa or DistilBERT in a local directory."""

    def __init__(self, directory: Path, layers: int):
        """Takes the outputs of layer `layers`, and leaves out the layers above. Raises Unavailable."""
        self.tokenizer, self.model = load(directory, AutoModel, num_hidden_layers=layers)
        config = self.model.config
        # RoBERTa counts positions from the one after the padding's.
        first = config.pad_token_id + 1 if config.model_type == "roberta" else 0
        self.limit = min(self.tokenizer.model_max_length, config.max_position_embeddings - first)
        self._around = {self.tokenizer.cls_token_id, self.tokenizer.sep_token_id}

    def pieces(self, texts: list[str]) -> list[Pieces]:
        """Ids of each text, [CLS] and [SEP] around them, cut to what the model takes."""
        # The space is RoBERTa's, whose first word is another piece without one; a BERT does not see it.
        texts = [f" {text}" if text else "" for text in map(str.strip, map(encodable, texts))]
        return [tuple(ids) for ids in self.tokenizer(texts, truncation=True, max_length=self.limit)["input_ids"]]

    @torch.inference_mode()
    def vectors(self, texts: Iterable[Pieces]) -> dict[Pieces, torch.Tensor]:
        """Unit vectors of each text, [pieces, width], in double precision: a text's distance to itself is 0."""
        # By length there is little padding; by content the batches are the same in every run.
        texts = sorted(set(texts), key=lambda text: (len(text), text))
        found = {}
        for start in range(0, len(texts), _TEXTS):
            batch = texts[start : start + _TEXTS]
            states = self.model(**padded(batch, self.tokenizer, self.model)).last_hidden_state
            states = normalize(states.double(), dim=-1)
            found |= {text: state[: len(text)] for text, state in zip(batch, states, strict=True)}
        return found

    def f1(self, hypothesis: Pieces, reference: Pieces, vectors: dict[Pieces, torch.Tensor]) -> float:
        """Each piece against the most similar one of the other text; 0 where a text has none.

        [CLS] and [SEP] do not count, but a piece may be the most similar to one of them (bert-score).
        """
        similar = vectors[hypothesis] @ vectors[reference].T
        precision = similar.max(dim=1).values[self._counts(hypothesis)]
        recall = similar.max(dim=0).values[self._counts(reference)]
        if not len(precision) or not len(recall):
            return 0.0
        p, r = precision.mean().item(), recall.mean().item()
        return 2 * p * r / (p + r) if p + r else 0.0

    def _counts(self, text: Pieces) -> list[bool]:
        return [piece not in self._around for piece in text]


def padded(texts: list[Pieces], tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """A batch as the model takes it, on its device: `input_ids` and `attention_mask`, [texts, longest text]."""
    rows = [torch.tensor(text) for text in texts]
    ids = pad_sequence(rows, batch_first=True, padding_value=tokenizer.pad_token_id)
    mask = pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
    return {"input_ids": ids.to(model.device), "attention_mask": mask.to(model.device)}


def encodable(text: str) -> str:
    """The text with a ? for half a surrogate pair, which JSON allows and no tokenizer takes."""
    return text.encode(errors="replace").decode()


def require(model: str, official: dict[str, Any], directory: Path) -> None:
    """Raise Unavailable unless the directory's config.json says what `official`, that of the model, says."""
    config = read_config(directory / "config.json")
    found = {key: config.get(key) for key in official}
    if found != official:
        held = ", ".join(f"{key} {value}" for key, value in found.items())
        raise Unavailable(f"{directory} does not hold {model}, but a model with {held}")
    heads = config.get("architectures") or []
    if not all(head.endswith(("ForMaskedLM", "Model")) for head in heads):
        raise Unavailable(f"{directory} does not hold {model}, but one tuned for another task: {', '.join(heads)}")


def read_config(file: Path) -> dict[str, Any]:
    """The object in a model's file. Raises Unavailable."""
    try:
        content = files.read_json(file)
    except UserError as error:
        raise Unavailable(f"{file.parent} holds no model: its {file.name} cannot be read") from error
    if not isinstance(content, dict):
        raise Unavailable(f"{file.parent} holds no model: its {file.name} is no JSON object")
    return content


def load(directory: Path, kind: type, **config: int) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    """Tokenizer and model of a transformers class, in fp32, on the GPU where there is one.

    `config` is taken in place of the directory's. Raises Unavailable where weights or pieces are missing.
    """
    options = {"local_files_only": True, "trust_remote_code": False}
    try:
        with _quiet():
            tokenizer = AutoTokenizer.from_pretrained(directory, **options)
            model, report = kind.from_pretrained(
                directory, **options, **config, dtype=torch.float32, use_safetensors=True, output_loading_info=True
            )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0]
        raise Unavailable(f"{directory} holds no usable model: {reason}") from error
    # transformers makes up weights and pieces that it does not find. The pooler of a bare encoder is not used.
    missing = [name for name in report["missing_keys"] if not name.startswith("pooler.")]
    if missing:
        raise Unavailable(f"{directory} holds no usable model: it lacks {min(missing)}")
    if len(tokenizer) != model.config.vocab_size:
        held = f"a tokenizer of {len(tokenizer)} pieces for a model of {model.config.vocab_size}"
        raise Unavailable(f"{directory} holds no usable model, but {held}")
    return tokenizer, model.eval().to("cuda" if torch.cuda.is_available() else "cpu")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar, and no list of the weights that are not used: all layers above the one that is."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
