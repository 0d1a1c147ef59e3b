"""The other side: PEFT's prefix-tuning of a transformers model, as its documentation trains it, and `generate`."""

import torch
from peft import PeftModel, PrefixTuningConfig, TaskType, get_peft_model
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    PreTrainedModel,
    get_linear_schedule_with_warmup,
)

from bench.inputs import POOL, Ids, clock, directory_of
from stages.methods.parts.prefix_encoder import MLP
from stages.models.batches import Example
from stages.training.batches import BatchSampler

IGNORED = -100  # labels that have no loss


def base(home: str, name: str, dtype: torch.dtype) -> PreTrainedModel:
    directory = directory_of(home, name)
    seq2seq = AutoConfig.from_pretrained(directory).is_encoder_decoder
    model = (AutoModelForSeq2SeqLM if seq2seq else AutoModelForCausalLM).from_pretrained(directory, dtype=dtype)
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def prefixed(model: PreTrainedModel, length: int, hidden: int | None) -> PeftModel:
    """Out of an MLP of `hidden` units; None: the keys and values themselves, as PEFT loads what was trained."""
    kind = TaskType.SEQ_2_SEQ_LM if model.config.is_encoder_decoder else TaskType.CAUSAL_LM
    return get_peft_model(model, PrefixTuningConfig(
        task_type=kind, num_virtual_tokens=length, prefix_projection=hidden is not None, encoder_hidden_size=hidden
    ))  # fmt: skip


def of_our_run(peft: PeftModel, hidden: int, seed: int) -> MLP:
    """The parameters of our run of this seed. Both lay a position out as [layers, keys and values, heads, head_dim]."""
    config = peft.active_peft_config
    out = config.num_layers * 2 * config.token_dim
    return MLP(config.num_virtual_tokens, out, config.token_dim, hidden, [seed])


@torch.no_grad()
def start_from(peft: PeftModel, seed: int) -> None:
    """Begin where our run of this seed begins."""
    table, encoder = of_our_run(peft, peft.active_peft_config.encoder_hidden_size, seed), peft.prompt_encoder["default"]
    encoder.embedding.weight.copy_(table.embedding[0])
    for layer, weight, bias in ((0, table.down, table.down_bias), (2, table.up, table.up_bias)):
        encoder.transform[layer].weight.copy_(weight[0].T)
        encoder.transform[layer].bias.copy_(bias[0, 0])


@torch.no_grad()
def begin_from(peft: PeftModel, start: torch.Tensor) -> None:
    """Begin with these keys and values, [length, layers * 2 * kv_heads * head_dim], without an MLP."""
    peft.prompt_encoder["default"].embedding.weight.copy_(start)


@torch.no_grad()
def hold(peft: PeftModel, hidden: int, seed: int) -> None:
    """Without an MLP: the keys and values that our run of this seed stores."""
    peft.prompt_encoder["default"].embedding.weight.copy_(of_our_run(peft, hidden, seed).rows()[0])


def padded(rows: list[list[int]], value: int, side: str = "right") -> torch.Tensor:
    return pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=value, padding_side=side)


def batch_of(examples: list[Example], before: list[int], seq2seq: bool, device: torch.device) -> dict:
    """As the models take them: the loss is on the targets alone."""
    if seq2seq:
        texts, labels = [e.source for e in examples], [e.target for e in examples]
    else:
        texts = [[*e.source, *before, *e.target] for e in examples]
        labels = [[IGNORED] * (len(e.source) + len(before)) + e.target for e in examples]
    parts = {
        "input_ids": padded(texts, 0),
        "attention_mask": padded([[1] * len(text) for text in texts], 0),
        "labels": padded(labels, IGNORED),
    }
    return {name: part.to(device) for name, part in parts.items()}


def train(
    peft: PeftModel, examples, before: list[int], seed: int, batch_size: int, lr: float, steps: int, warm_up: int
) -> tuple[list[float], float]:
    """The loss of each step, and the seconds of those behind the first `warm_up`. The batches are those of our run."""
    order = BatchSampler(examples.lengths.sum(1), batch_size, seed, POOL)
    seq2seq = peft.get_base_model().config.is_encoder_decoder
    trained = [p for p in peft.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=lr, weight_decay=0.0)
    schedule = get_linear_schedule_with_warmup(optimizer, 0, steps)
    peft.train()
    losses, began = [], 0.0
    for step in range(steps):
        if step == warm_up:
            began = clock()
        loss = peft(**batch_of([examples[i] for i in order.at(step)], before, seq2seq, peft.device)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses, clock() - began


@torch.inference_mode()
def generate(
    model: PreTrainedModel | PeftModel, sources: list[list[int]], ids: Ids, batch_size: int, beam: int, new: int
) -> list[list[int]]:
    """The best hypothesis of each source, without the end token."""
    found = []
    for start in range(0, len(sources), batch_size):
        texts = [[*source, *ids.before] for source in sources[start : start + batch_size]]
        side = "left" if ids.before else "right"  # a decoder-only model goes on where a text ends
        rows = model.generate(
            input_ids=padded(texts, ids.end, side).to(model.device),
            attention_mask=padded([[1] * len(text) for text in texts], 0, side).to(model.device),
            num_beams=beam, do_sample=False, max_new_tokens=new, length_penalty=1.0, early_stopping=False,
            eos_token_id=ids.end, pad_token_id=ids.end,
        )  # fmt: skip
        first = max(map(len, texts)) if ids.before else 1  # what is read comes first, or the decoder's start
        for row in rows[:, first:].tolist():
            found.append(row[: row.index(ids.end)] if ids.end in row else row)
    return found
