"""In-context learning: what is stored stands for the text itself; nothing is trained."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from stages.core.errors import UserError
from stages.core.record import Record
from stages.decoding.texts import decode
from stages.methods import in_context
from stages.methods.parts import saved
from stages.methods.parts.head import build
from stages.methods.parts.worked_examples import worked_examples
from stages.models.adaptation import Adaptation
from stages.models.encode import encode
from stages.models.identity import base_model_id
from stages.run import Prepared, predict
from stages.training.checkpoint import Checkpoint
from tests.conftest import config_of
from tests.methods.test_starts import RECORDS, logits_after, logits_of_text, prefix_of


def config(instruction=None, examples=2, **changes):
    options = {"in_context": {"instruction": instruction, "examples": examples}}
    return config_of("in_context", methods=options, **changes)


def run_of(lm, sample, seed=1, **options):
    run = build(lm, config(**options), [seed])
    run.init_from_data([sample])
    return run


def test_the_text_is_the_instruction_and_the_first_examples(reader, project):
    sample = encode(reader, RECORDS, None, None)
    run = run_of(reader, sample, instruction="Say it:")
    first, second, *_ = worked_examples(reader, sample, 1)
    told = reader.tokens([reader.space + "Say it:"], add_special_tokens=False)[0]
    assert run.ids == [*told, *first, *second]
    assert run_of(reader, sample, seed=2).ids != run_of(reader, sample, seed=1).ids == [*first, *second]
    assert run_of(reader, sample, instruction="Say it:", examples=0).ids == told


def test_it_is_as_if_the_text_stood_before_the_source(reader, project):
    sample = encode(reader, RECORDS, None, None)
    run, example = run_of(reader, sample, instruction="Say it:"), sample[3]
    expected = logits_of_text(reader, run.ids, example)
    for adaptation in (run(), in_context.load(reader, run.state())):
        torch.testing.assert_close(logits_after(reader, adaptation, example), expected, atol=1e-5, rtol=1e-5)
    assert (expected - logits_after(reader, Adaptation(), example)).abs().max() > 0.1


def test_it_generates_what_the_model_generates_after_the_text(reader, project):
    """Token by token, each the likeliest of the model's own logits for the whole text."""
    sample = encode(reader, RECORDS, None, None)
    run, first = run_of(reader, sample), len(reader.begin)
    [source] = reader.source_ids([RECORDS[0].source], None)
    decoding = replace(config().decoding, beam=1, max_new_tokens=8, banned=())
    [found] = decode(reader, run(), [RECORDS[0].source], decoding, project / "partial.jsonl")
    ids = []
    while len(ids) < 8 and reader.end not in ids:
        text = [*reader.begin, *run.ids, *source[first:], reader.separator, *ids]
        with torch.no_grad(), reader.own_attention():
            ids.append(int(reader.model(input_ids=torch.tensor([text])).logits[0, -1].argmax()))
    assert found[RECORDS[0].source] == " ".join(reader.tokenizer.decode(ids, skip_special_tokens=True).split()) != ""


def test_a_prefix_of_as_many_positions_starts_from_the_same_examples(lm, project):
    sample = encode(lm, RECORDS, None, None)
    run = run_of(lm, sample, seed=7, examples=3)
    prefix = prefix_of(lm, [7], length=len(run.ids))
    prefix.init_from_data([sample])
    assert torch.equal(prefix.state()["decoder"], run().prefixes["decoder"])


def test_what_is_stored_is_the_text(lm, project):
    run = run_of(lm, encode(lm, RECORDS, None, None))
    saved.save(project / "model", config(), run.state(), base_model_id(lm))
    stored = load_file(project / "model/in_context.safetensors")
    assert stored["ids"].dtype == torch.int32 and stored["ids"].tolist() == [run.ids]
    assert run.trainable_parameters() == []
    loaded = saved.load(project / "model", lm)
    assert torch.equal(loaded.prefixes["decoder"], run().prefixes["decoder"])
    assert lm.num_virtual_tokens(loaded) == len(run.ids)


def test_a_prepared_run_reads_its_training_records_alone(lm, project):
    """With the words before each source, as the model will read them."""
    asked = config(source_words="Say")
    prepared = Prepared(lm, asked, build(lm, asked, [1]), base_model_id(lm))

    def dev():
        raise AssertionError("dev records are not read")
        yield

    trained = prepared.train([lambda: (RECORDS, dev())], Checkpoint(project / "checkpoint"))
    said = [replace(record, source=f"Say {record.source}") for record in RECORDS]
    assert trained.state["ids"].tolist() == [run_of(lm, encode(lm, said, None, None)).ids]
    assert (trained.curve, trained.trained_parameters) == ([], 0)


def test_runs_of_any_length_answer_in_one_pass(lm, project):
    """Each with what it would say alone."""
    sample = encode(lm, RECORDS, None, None)
    asked = config()
    asked = replace(asked, decoding=replace(asked.decoding, beam=2, max_new_tokens=6))
    runs = [run_of(lm, sample, seed, examples=count)() for seed, count in ((1, 1), (2, 3))]
    together = list(predict(lm, runs, RECORDS, asked, [project / "both"]))
    alone = [next(predict(lm, [run], RECORDS, asked, [project / str(i)])) for i, run in enumerate(runs)]
    assert together == alone and together[0] != together[1]


def test_too_few_examples_are_named(lm, project):
    with pytest.raises(UserError) as error:
        run_of(lm, encode(lm, RECORDS[:2], None, None), examples=5)
    assert str(error.value) == "params.yaml: methods.in_context.examples is 5, but the run has 4 training examples"


def test_a_text_without_room_for_a_source_is_named(lm, project):
    """Also where the text alone would fit."""
    sample = encode(lm, [Record("0", "a " * 40, ["b " * 40]), Record("1", "a " * 40, ["b " * 40])], None, None)
    lm.positions = longest = int(sample.lengths.sum(1).max())
    with pytest.raises(UserError) as error:
        run_of(lm, sample, examples=1)
    assert str(error.value) == (
        f"params.yaml: the text of in_context has {longest + 1} tokens, the longest training example {longest}: together "
        f"they exceed the {longest} positions of {lm.name}: lower methods.in_context.examples"
    )
    lm.positions = 2 * longest + 1
    run = run_of(lm, sample, examples=1)
    with pytest.raises(
        UserError,
        match=rf"^params.yaml: {longest + 1} virtual tokens .*, a source of \d+ and a target of 100 ",
    ):
        decode(lm, run(), [RECORDS[0].source], config().decoding, project / "partial.jsonl")


def test_its_configuration_names_no_training():
    value = json.loads(json.dumps(config("Say it:").as_json()))
    assert (value["training"], value["prefix_len"]) == (None, None)
    assert value["options"] == {"in_context": {"instruction": "Say it:", "examples": 2}}
