"""lm-evaluation-harness: its own model's numbers without a prefix, the engine's with one, and a task end to end."""

import json

import pytest
import torch

from stages.core.errors import UserError
from stages.decoding.beam import Search
from stages.models.adaptation import Adaptation
from stages.models.batches import Batch, Example
from stages.training.step import target_losses
from tests.serving.test_engine import PROMPTS, alone, filled

pytestmark = pytest.mark.slow
PAIRS = [("name : The Oak", " is a pub"), ("", "The Elm"), ("food : Thai | near : ", "here"), ("a", " b")]


def instances(kind, arguments):
    from lm_eval.api.instance import Instance

    return [Instance(kind, {}, one, index) for index, one in enumerate(arguments)]


def model(bank, name, **options):
    from stages.serving.harness import PrefixLM

    return PrefixLM(bank, name, batch_size=2, **options)


def test_without_a_prefix_it_is_the_harness_own_model(lm, tmp_path):
    from lm_eval.models.huggingface import HFLM

    lm.model.set_attn_implementation("eager")
    theirs = HFLM(pretrained=lm.model, tokenizer=lm.tokenizer, backend="causal", device="cpu", batch_size=1)
    wanted = theirs.loglikelihood(instances("loglikelihood", PAIRS), disable_tqdm=True)
    rolling = theirs.loglikelihood_rolling(
        instances("loglikelihood_rolling", [(p,) for p in PROMPTS]), disable_tqdm=True
    )
    lm.take_attention(lm.model)
    mine = model(filled(lm, tmp_path / "bank", [2]), lm.name)
    found = mine.loglikelihood(instances("loglikelihood", PAIRS), disable_tqdm=True)
    assert [value for value, _ in found] == pytest.approx([value for value, _ in wanted], abs=1e-3)
    assert [greedy for _, greedy in found] == [greedy for _, greedy in wanted]
    own = mine.loglikelihood_rolling(instances("loglikelihood_rolling", [(p,) for p in PROMPTS]), disable_tqdm=True)
    assert own == pytest.approx(rolling, abs=1e-3)


def test_with_a_prefix_the_log_likelihoods_are_the_engines(lm, tmp_path):
    """As source and target: the losses of training, without that of the end token; one greedy continuation."""
    bank = filled(lm, tmp_path / "bank")
    for name in bank.names():
        [best] = [lm.tokenizer.decode(alone(lm, bank.get(name), PROMPTS[0], Search(1, 1.0, 6, lm.end)))]
        pairs = [(PROMPTS[0], best), (PROMPTS[1], "The Elm is here"), (PROMPTS[2], "x")]
        found = model(bank, name, as_source=True).loglikelihood(instances("loglikelihood", pairs), disable_tqdm=True)
        targets = [ids[:-1] for ids in lm.target_ids([target for _, target in pairs], None)]
        sources = lm.source_ids([source for source, _ in pairs], None)
        examples = [Example(*pair) for pair in zip(sources, targets, strict=True)]
        losses, _ = target_losses(lm, bank.get(name), Batch.of(examples, [0] * 3, lm.device))
        assert [value for value, _ in found] == pytest.approx((-losses).tolist(), abs=1e-3)
    without, _ = target_losses(lm, Adaptation(), Batch.of(examples, [0] * 3, lm.device))
    assert not torch.allclose(without, losses, atol=0.1), "the prefix matters"


def test_greedy_texts_until_a_stop(lm, tmp_path):
    bank = filled(lm, tmp_path / "bank")
    mine = model(bank, "p1", as_source=True)
    whole = lm.tokenizer.decode(
        alone(lm, bank.get("p1"), PROMPTS[1], Search(1, 1.0, 8, lm.end)), skip_special_tokens=True
    )
    stop = whole[3:5]
    asked = [(PROMPTS[1], {"until": [], "max_gen_toks": 8}), (PROMPTS[1], {"until": [stop], "max_gen_toks": 8})]
    assert mine.generate_until(instances("generate_until", asked)) == [whole, whole.split(stop)[0]]
    with pytest.raises(UserError, match="greedy search alone"):
        mine.generate_until(instances("generate_until", [(PROMPTS[1], {"do_sample": True, "temperature": 1.0})]))
    with pytest.raises(UserError, match="give as_source=True"):
        model(bank, "p1").generate_until(instances("generate_until", asked))
    with pytest.raises(UserError, match="has no prefix zoe"):
        model(bank, "zoe")


def test_a_task_of_many_prefixes_on_one_base(lm, tmp_path):
    """A multiple-choice task in a file: the answers are those of the highest log-likelihood."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    bank, questions = (
        filled(lm, tmp_path / "bank"),
        [{"q": prompt, "a": ["Oak", "Elm", "Ash"], "n": 1} for prompt in PROMPTS],
    )
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, questions)))
    task = {
        "task": "trees", "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(tmp_path / "data.jsonl")}},
        "test_split": "test", "output_type": "multiple_choice", "doc_to_text": "{{q}}", "doc_to_choice": "{{a}}",
        "doc_to_target": "{{n}}", "metric_list": [{"metric": "acc"}],
    }  # fmt: skip
    for name in ("p0", "p2", lm.name):
        mine = model(bank, name)
        found = lm_eval.simple_evaluate(model=mine, tasks=[task], task_manager=TaskManager(), bootstrap_iters=0)
        right = 0
        for prompt in PROMPTS:
            values = mine.loglikelihood(
                instances("loglikelihood", [(prompt, f" {one}") for one in questions[0]["a"]]), disable_tqdm=True
            )
            right += max(range(3), key=lambda i: values[i][0]) == 1
        assert found["results"]["trees"]["acc,none"] == pytest.approx(right / len(PROMPTS))
