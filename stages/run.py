"""Runs, for the stages, the studies and the benchmarks: open the model, train runs of a method, decode with them.

Several runs of a method may train in one batch (`BATCHED_RUNS`). The result of a run does not depend on the others.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from stages.core.closure import closure, code_hash
from stages.core.record import Record, read_records, with_source_prefix
from stages.core.run_config import RunConfig
from stages.decoding.classify import classify
from stages.decoding.texts import decode
from stages.methods import module_of
from stages.methods.parts import head, saved
from stages.models.adaptation import Adaptation
from stages.models.determinism import set_determinism
from stages.models.encode import Examples, check_length, encode
from stages.models.encoder import Encoder
from stages.models.identity import base_model_id
from stages.models.linear import pack
from stages.models.load import load
from stages.models.memory import keep_freed_memory
from stages.models.model import LM
from stages.models.named import path_of
from stages.models.precision import dtype_of
from stages.models.progress import quiet_unless_terminal
from stages.training.checkpoint import Checkpoint
from stages.training.loop import Point, train
from stages.training.method import Method
from stages.training.recompute import recompute

# The data of one run: its training records and its dev records.
Data = tuple[Iterable[Record], Iterable[Record]]


def code_of(method: str) -> str:
    """A hash of the code that trains and decodes runs of a method. Work begun by other code is not resumed."""
    return code_hash(closure(__name__, f"stages.methods.{method}"))


def open_model(config: RunConfig) -> LM:
    """Load the run's base model, frozen, and set up torch for deterministic results. Raises UserError as `load`."""
    return open_named(config.model, config.revision, config.threads)


def open_named(model: str, revision: str, threads: int) -> LM:
    """As `open_model`: a model by its name in params.yaml."""
    set_determinism(threads)
    keep_freed_memory()
    quiet_unless_terminal()
    return load(path_of(model), model, revision)


def compute_precisely(lm: LM, config: RunConfig) -> None:
    """Make the frozen model compute in the run's precision. Call `base_model_id` before: it reads the fp32 weights."""
    lm.compute_in(dtype_of(config.precision, lm.device, lm.width))


@dataclass(frozen=True)
class Trained:
    """Trained runs: `state` are tensors [runs, ...] by name, `curve` the mean loss over the steps."""

    state: dict[str, torch.Tensor]
    curve: list[Point]
    trained_parameters: int
    base_model_id: dict[str, Any]
    labels: list[str]

    def save(self, out: Path, config: RunConfig, run: int = 0) -> None:
        """Write run number `run` to the directory `out`. Raises UserError if that cannot be written."""
        own = {name: tensor[run : run + 1] for name, tensor in self.state.items()}
        saved.save(out, config, own, self.base_model_id, self.labels)


@dataclass(frozen=True)
class Prepared:
    """Runs that are ready to train, with the model that they train on."""

    lm: LM
    config: RunConfig
    method: Method
    base_model_id: dict[str, Any]

    def train(self, data: Sequence[Callable[[], Data]], checkpoint: Checkpoint) -> Trained:
        """Train run `i` on the records of `data[i]()`, resuming from the checkpoint if there is one.

        Raises UserError if a text is too long for the model or the training diverges, and as `Method.init_from_data`.
        """
        counted = sum(p.numel() for p in self.method.trainable_parameters())
        if self.config.training is None:
            self.method.init_from_data(self._encoded(one()[0]) for one in data)  # encodes only what the method reads
            return Trained(self.method.state(), [], counted, self.base_model_id, self.lm.labels)
        examples = [self._examples(one()) for one in data]
        train_sets, dev_sets = ([pair[split] for pair in examples] for split in (0, 1))
        self.method.init_from_data(train_sets)
        state, curve = train(self.lm, self.method, train_sets, dev_sets, self.config.training, checkpoint)
        return Trained(state, curve, counted, self.base_model_id, self.lm.labels)

    def _examples(self, data: Data) -> list[Examples]:
        """The training and the dev examples of one run, encoded; their lengths are checked."""
        with torch.no_grad():
            virtual_tokens = self.lm.num_virtual_tokens(self.method())
        found = []
        for records in data:
            found.append(self._encoded(records))
            check_length(self.lm, found[-1], virtual_tokens)
        return found

    def _encoded(self, records: Iterable[Record]) -> Examples:
        """Records as the run reads them, encoded."""
        cut = self.config.decoding.source_tokens, self.config.decoding.target_tokens
        return encode(self.lm, with_source_prefix(records, self.config.source_words), *cut)


def prepare(config: RunConfig, seeds: list[int], linearized: Path) -> Prepared:
    """Load the model and build runs of the configured method, one per seed.

    `linearized` is the directory of the task's records, which give the classes of the task (see `set_labels`).
    Raises UserError if model, method and options do not fit each other.
    """
    lm = open_model(config)
    identity = base_model_id(lm)
    set_labels(lm, config, linearized)
    method = head.build(lm, config, seeds)
    compute_precisely(lm, config)
    if lm.frozen:
        pack(lm.model, gradients=True)
    if config.training is not None and config.training.activation_checkpointing:
        recompute(lm.blocks())
    return Prepared(lm, config, method, identity)


def set_labels(lm: LM, config: RunConfig, linearized: Path) -> None:
    """Set the classes of the task on an encoder, or on a model whose method reads them (`needs_labels`).

    The classes are those of all training and dev records in `linearized`, not only of those that a run trains on.
    """
    needs_labels = getattr(module_of(config.method), "needs_labels", None)
    wanted = needs_labels is not None and needs_labels(config)
    if isinstance(lm, Encoder) or wanted:
        records = [record for split in ("train", "dev") for record in read_records(linearized / f"{split}.jsonl")]
        if isinstance(lm, Encoder) or any(record.parts is not None or record.words is not None for record in records):
            lm.set_labels(records)


def load_run(directory: Path, lm: LM, config: RunConfig) -> Adaptation:
    """Load a run that `Trained.save` wrote, and make the model ready to decode. Raises UserError as `saved.load`."""
    [loaded] = load_runs([directory], lm, config)
    return loaded


def load_runs(directories: Sequence[Path], lm: LM, config: RunConfig) -> list[Adaptation]:
    """Load several runs for one model, and make it ready to decode. Raises UserError as `saved.load`."""
    loaded = [saved.load(directory, lm) for directory in directories]
    compute_precisely(lm, config)
    pack(lm.model)
    return loaded


def predict(
    lm: LM, adaptations: Sequence[Adaptation], records: Sequence[Record], config: RunConfig, partial: Sequence[Path]
) -> Iterator[list[str]]:
    """Decode all records with each run; yields the hypotheses of one run after the other, in the order of `records`.

    Runs with prefixes, prompts or low-rank updates are decoded together in one batch (section 8.2), others one after
    the other. An encoder predicts classes. `partial[i]` is the file from which an interrupted decoding of run `i`
    resumes; runs that are decoded together use `partial[0]`.
    """
    records = list(with_source_prefix(records, config.source_words))
    sources = [record.source for record in records]
    if len(adaptations) > 1 and all(one.joinable for one in adaptations):
        for found in decode(lm, Adaptation.joined(adaptations), sources, config.decoding, partial[0], len(adaptations)):
            yield [found[source] for source in sources]
        return
    for one, file in zip(adaptations, partial, strict=True):
        if isinstance(lm, Encoder):
            yield classify(lm, one, records, config.decoding.source_tokens, config.decoding.batch_size)
        else:
            [found] = decode(lm, one, sources, config.decoding, file)
            yield [found[source] for source in sources]
