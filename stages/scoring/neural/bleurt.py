"""BLEURT (Sellam et al. 2020) of a checkpoint in Hugging Face form."""

from pathlib import Path

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import BertForSequenceClassification

from stages.scoring.neural.bertscore import Pieces, encodable, load, padded, read_config
from stages.scoring.scores import Metric, Unavailable, mean

ARCHITECTURE = "BertForSequenceClassification"
LENGTH = 128  # of a pair, as bleurt-tiny-128, -base-128 and -large-128 take it
_AROUND = 3  # [CLS] reference [SEP] hypothesis [SEP]
_PAIRS = 32  # in a batch of the model


@torch.inference_mode()
def bleurt(hypotheses: list[str], references: list[list[str]], encoder: Path) -> Metric:
    """Mean logit of (first reference, hypothesis); most checkpoints give about 1 to two texts that mean the same.

    Pairs are cut to the `max_seq_length` of the directory's bleurt_config.json, without one to 128 pieces. Numbers
    of two checkpoints do not compare. Raises Unavailable unless the directory holds a BERT with one output.
    """
    _require(encoder)
    tokenizer, model = load(encoder, BertForSequenceClassification)
    room = min(_length(encoder), model.config.max_position_embeddings) - _AROUND

    def pieces(texts: list[str]) -> list[list[int]]:
        texts = [encodable(text) for text in texts]
        return tokenizer(texts, add_special_tokens=False, truncation=True, max_length=room)["input_ids"]

    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    pairs = zip(pieces([segment[0] for segment in references]), pieces(hypotheses), strict=True)
    halves = [((cls, *ref, sep), (*hyp, sep)) for ref, hyp in (cut(*pair, room) for pair in pairs)]
    values = []
    for start in range(0, len(halves), _PAIRS):
        batch = halves[start : start + _PAIRS]
        second = pad_sequence([_second(*pair) for pair in batch], batch_first=True).to(model.device)
        inputs = padded([one + other for one, other in batch], tokenizer, model)
        values += model(**inputs, token_type_ids=second).logits[:, 0].tolist()
    return mean(values)


def cut(reference: list[int], hypothesis: list[int], room: int) -> tuple[list[int], list[int]]:
    """Both without their last pieces, so that together they are at most `room`.

    The longer one loses a piece until they fit, of two equally long ones the hypothesis (BLEURT's encoding). A
    tokenizer's `longest_first` leaves an odd last piece to the second text.
    """
    hypothesis = hypothesis[: max(room // 2, room - len(reference))]
    return reference[: room - len(hypothesis)], hypothesis


def _second(one: Pieces, other: Pieces) -> torch.Tensor:
    """Token types: 0 for the first half of a pair, 1 for the second."""
    return torch.tensor([0] * len(one) + [1] * len(other))


def _require(directory: Path) -> None:
    config = read_config(directory / "config.json")
    architectures = config.get("architectures") or []
    outputs = config.get("num_labels", len(config.get("id2label") or ()))
    if config.get("model_type") != "bert" or ARCHITECTURE not in architectures or outputs != 1:
        held = f"model_type {config.get('model_type')}, architectures {architectures}, {outputs or 2} labels"
        raise Unavailable(f"{directory} does not hold BLEURT, a {ARCHITECTURE} of one label, but {held}")


def _length(directory: Path) -> int:
    """Pieces of a pair that the checkpoint was trained for. Raises Unavailable."""
    file = directory / "bleurt_config.json"
    length = read_config(file).get("max_seq_length", LENGTH) if file.exists() else LENGTH
    if not isinstance(length, int) or length <= _AROUND:
        raise Unavailable(f"{directory} holds no BLEURT: max_seq_length in {file.name} is {length!r}")
    return length
