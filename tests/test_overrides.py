"""`dvc exp run -S` changes the line of params.yaml that it names, and no other."""

import pytest
from dvc.utils.hydra import apply_overrides


@pytest.mark.parametrize("change", [
    "prefix_len=200", "dev_share=0.5", "optimizers.adafactor.decay_rate=-0.7", "head.init_std=0.5",
    "methods.prefix.fit_lr=0.5", "methods.prompt_tuning.population=9", "methods.apt.gate_std=0.5", "source_words=Say",
    "train.lr=0.5", "train.length_pool=9", "methods.prefix.init_words=keep", "methods.prefix.init=examples",
    "methods.in_context.examples=3", "methods.in_context.instruction=Say", "methods.apt.pooling=first",
    "recipes.tasks.e2e.beam=4", "recipes.embedded.mini-gpt2.finetune.lr=0.5", "recipes.published.prefix.dart.epochs=3",
    "sources.dart.root=there", "sources.mini_e2e.seed=2", "cells.processes=4", "studies.review.test=9", "probes.seed=4",
    "studies.lowdata.variants.prefix.run.train.lr=0.5", "decode.batch_size=3", "cut.source_tokens=9",
])  # fmt: skip
def test_dvc_changes_the_line_that_is_named_alone(project, change):
    """`dvc exp run -S` writes the whole file anew."""
    before = (project / "params.yaml").read_text().splitlines()
    apply_overrides(project / "params.yaml", [change])
    after = (project / "params.yaml").read_text().splitlines()
    assert len(before) == len(after)
    [(old, new)] = [(one, other) for one, other in zip(before, after, strict=True) if one != other]
    key = change.partition("=")[0].rpartition(".")[2]
    assert f"{key}:" in old and f"{key}: {change.partition('=')[2]}" in new
