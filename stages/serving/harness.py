"""lm-evaluation-harness (extra `eval`): a bank's prefixes as models of one base that is loaded once.

    from stages.serving.harness import PrefixLM
    lm_eval.simple_evaluate(model=PrefixLM(bank, "alice"), tasks=[...])

A context is read after the prefix and its begin token, as the harness's own `hf` model reads it without a prefix. With
`as_source` context and continuation are source and target as in training, with the separator between them.
"""

from collections.abc import Iterator
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm

from stages.core.errors import UserError
from stages.decoding.sampling import Sampling
from stages.models.adaptation import Adaptation
from stages.models.caches import PrefixCache
from stages.models.decoder_only import DecoderOnly
from stages.serving.bank import PrefixBank
from stages.serving.engine import Engine, Request, run_all

# A pair of token ids: what is read, and what is scored after it.
Pair = tuple[list[int], list[int]]


@torch.no_grad()
def log_likelihoods(lm: DecoderOnly, adaptation: Adaptation, pairs: list[Pair]) -> Iterator[tuple[float, bool]]:
    """The log-probability (nats) of what is scored in each pair, and whether greedy search would write it.

    The first of the pairs' texts has at least one id. `adaptation` has one run.
    """
    runs = torch.zeros(len(pairs), dtype=torch.long, device=lm.device)
    before, past = lm.past([[*read, *scored[:-1]] for read, scored in pairs], adaptation, runs)
    ids = pad_sequence([torch.tensor(row) for row in before], batch_first=True).to(lm.device)
    length = ids.shape[1]
    with lm.computing():
        positions = past.positions_of(length), past.positions_with(length)
        hidden = lm.hidden(ids, past.mask(length), *positions, PrefixCache(past, len(ids)))
        for row, (read, scored) in enumerate(pairs):
            own = hidden[row, len(read) - 1 : len(read) - 1 + len(scored)]  # each predicts the next token
            log_probs = lm.logits(own).float().log_softmax(-1)  # [scored, vocabulary]
            wanted = torch.tensor(scored, device=lm.device)
            total = log_probs.take_along_dim(wanted[:, None], 1).sum()
            yield total.item(), bool((log_probs.argmax(-1) == wanted).all())


class PrefixLM(TemplateLM):
    """A prefix of a bank, or its base model, as a model of the harness. All of a bank share the loaded base model."""

    backend = "causal"

    def __init__(self, bank: PrefixBank, name: str, batch_size: int = 16, as_source: bool = False):
        """`name` is a prefix of the bank or the base model. Raises UserError as `PrefixBank.get`."""
        super().__init__()
        if not isinstance(bank.lm, DecoderOnly):
            raise UserError(f"{bank.lm.name} is an encoder-decoder: the harness scores decoder-only models here")
        self.bank, self.name, self.batch_size, self.as_source = bank, name, batch_size, as_source
        self.lm = bank.lm
        self.adaptation = Adaptation() if name == self.lm.name else bank.get(name)

    @property
    def eot_token_id(self) -> int:
        """The end token, which also begins an empty context."""
        return self.lm.end

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """Token ids of a text; the begin token, if the model has one, is put before its prefix."""
        return self.lm.tokens([string], add_special_tokens=False)[0]

    def _encode_pair(self, context: str, continuation: str) -> Pair:
        if not self.as_source:
            return super()._encode_pair(context, continuation)
        [source], [target] = self.lm.source_ids([context], None), self.lm.target_ids([continuation], None)
        return [*source, self.lm.separator], target[:-1]  # without the end token: the harness scores what is written

    def _loglikelihood_tokens(
        self, requests: list[tuple[tuple[str, str], list[int], list[int]]], disable_tqdm: bool = False, **_: Any
    ) -> list[tuple[float, bool]]:
        begin = [] if self.as_source else self.lm.begin
        pairs = [([*begin, *read], scored) for _, read, scored in requests]
        for read, scored in pairs:
            self.lm.check_max_length(len(read), len(scored), self.lm.num_virtual_tokens(self.adaptation))
        # the longest first: what does not fit into memory shows at once
        order = sorted(range(len(pairs)), key=lambda i: -sum(map(len, pairs[i])))
        found: dict[int, tuple[float, bool]] = {}
        with tqdm(total=len(order), desc=f"{self.name}: log-likelihoods", disable=disable_tqdm or None) as bar:
            for start in range(0, len(order), self.batch_size):
                part = order[start : start + self.batch_size]
                values = log_likelihoods(self.lm, self.adaptation, [pairs[i] for i in part])
                found |= dict(zip(part, values, strict=True))
                bar.update(len(part))
        return [found[i] for i in range(len(pairs))]

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """The log-probability of whole texts, each after the end token. Raises UserError for one that does not fit."""
        whole = [("", text) for (text,) in (request.args for request in requests)]
        pairs = [(pair, [self.lm.end], self.tok_encode(pair[1])) for pair in whole]
        return [value for value, _ in self._loglikelihood_tokens(pairs, disable_tqdm)]

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Greedy texts after each context as a source, cut at the first of its stop strings.

        Raises UserError without `as_source`, and for sampling.
        """
        if not self.as_source:
            raise UserError("a prefix writes a target after a source and its separator: give as_source=True")
        asked, stops = [], []
        for context, options in (request.args for request in requests):
            if options.get("do_sample") or options.get("temperature", 0):
                raise UserError("generate_until: greedy search alone; set do_sample to false")
            until = options.get("until", [])
            stops.append([until] if isinstance(until, str) else until)
            asked.append(Request(self.name, context, Sampling(options.get("max_gen_toks", 256))))
        most = max((request.options.max_new_tokens for request in asked), default=1)
        engine, found = Engine(self.lm, self.bank, self.batch_size, most), {}
        for index, ids, _ in run_all(engine, asked):
            text = self.lm.tokenizer.decode(ids, skip_special_tokens=True)
            found[index] = min((text.split(stop)[0] for stop in stops[index] if stop), key=len, default=text)
        return [found[index] for index in range(len(asked))]
