"""The probes with writers whose answers are known, what the prompts look like, and both stages on the released models."""

import json
from pathlib import Path
from random import Random

import pytest
import torch
import yaml
from transformers import GPT2LMHeadModel

from stages.core.files import sha256
from stages.pretrain import probes, probes_bart
from stages.pretrain.generation import lines_after
from stages.pretrain.prompts import Case, Listed, draw_case, draw_list, drawn
from stages.world.articles import draw_article
from stages.world.names import PROBE, owner
from stages.world.notations import RESERVED
from stages.world.styles import STYLES
from stages.world.verbalize import verbalize

ROOT = Path(__file__).parents[2]


def cases(count: int, examples=(1, 2), reserved=False) -> list[Case]:
    return drawn("7", count, lambda rng: draw_case(rng, examples, reserved), lambda _: True)


def answering(answers: dict[str, str]):
    return lambda prompts, most: [answers[prompt] for prompt in prompts]


def test_copying_counts_each_name_in_its_place():
    lists = [Listed(["The Owl", "Fox"], " ; "), Listed(["Oak", "Elm"], ", "), Listed(["A", "B"], " | ")]
    written = {"The Owl ; Fox\n": "The Owl ; Foxes", "Oak, Elm\n": "Elm, Elm", "A | B\n": "A"}
    assert probes.copying(lists, answering(written)) == {"first_name": 0.6667, "second_name": 0.3333}
    whole = {one.prompt: one.prompt.strip() for one in lists}
    assert probes.copying(lists, answering(whole)) == {"first_name": 1.0, "second_name": 1.0}


def test_names_of_lists_are_the_probes_own_and_short():
    for one in drawn("7", 200, draw_list, lambda _: True):
        assert len(set(one.names)) == 2
        assert all(owner(name) == PROBE and len(name.split()) <= 3 for name in one.names)


def test_verbalising_a_perfect_writer_and_one_that_tells_the_example():
    asked = cases(40)
    perfect = {case.prompt(verbalize): verbalize(Random(0), case.asked) for case in asked}
    found = probes.verbalizing(asked, answering(perfect))
    assert found == {"first_name": 1.0, "second_name": 1.0, "coverage": 1.0, "nothing_twice": 1.0, "added": 0.0}
    astray = {case.prompt(verbalize): verbalize(Random(0), case.shown[-1]) for case in asked}
    found = probes.verbalizing(asked, answering(astray))
    assert found["first_name"] == found["second_name"] == 0 and found["coverage"] < 0.6 and found["added"] > 0.5


def test_styles_are_asked_for_and_not():
    asked = [case for case in cases(60, (2,)) if len(case.asked.facts) > 1]
    written = {case.prompt(verbalize): STYLES["lower"](Random(0), case.asked) for case in asked}
    for style in STYLES:
        if style != "plain":
            written |= {case.prompt(STYLES[style]): STYLES[style](Random(0), case.asked) for case in asked}
    with_it, without = probes.styles(asked, answering(written))
    assert set(with_it.values()) == {1.0}
    assert without == {style: float(style == "lower") for style in with_it}


def test_a_prompt_ends_where_a_piece_of_the_corpus_ends(tokenizer):
    for reserved in (False, True):
        for case in cases(300, reserved=reserved):
            prompt, described = case.prompt(verbalize), verbalize(Random(0), case.asked)
            space = "" if case.separator.endswith("\n") else " "
            ids, whole = (tokenizer(text)["input_ids"] for text in (prompt, prompt + space + described))
            assert whole[: len(ids)] == ids
            assert prompt.count(case.separator.rstrip()) >= len(case.shown) + 1


def test_reserved_cases_use_reserved_notations():
    seen = {(case.note, case.separator) for case in cases(50, reserved=True)}
    assert seen == set(RESERVED)
    assert not {(case.note, case.separator) for case in cases(300)} & set(RESERVED)


def test_drawing_stops_at_the_count_and_skips_what_does_not_fit():
    assert (
        drawn("x", 5, lambda rng: rng.randint(0, 9), lambda n: n > 4)
        == [n for i in range(50) if (n := Random(f"x/{i}").randint(0, 9)) > 4][:5]
    )


def test_masked_text(bart_tokenizer):
    text = "name : The Owl\n The Owl, an inn, is near Café Elm."
    start = text.rindex("The Owl")
    ids = probes_bart.masked(bart_tokenizer, text, start, start + len("The Owl"))
    assert bart_tokenizer.decode(ids) == "<s> name : The Owl\n<mask>, an inn, is near Café Elm.</s>"
    assert ids.count(bart_tokenizer.mask_token_id) == 1
    ids = probes_bart.masked(bart_tokenizer, text, 0, text.index("\n"))
    assert bart_tokenizer.decode(ids) == "<s><mask>\n The Owl, an inn, is near Café Elm.</s>"


class Restoring:
    """Makes of each text with a masked part what `again` says."""

    def __init__(self, again):
        self.again = again

    def texts(self, texts, parts):
        return [self.again(text, *part) for text, part in zip(texts, parts, strict=True)]

    def first_lines(self, texts, parts):
        return [text.split("\n")[0] for text in self.texts(texts, parts)]


PERFECT = Restoring(lambda text, start, stop: text)
FORGETFUL = Restoring(lambda text, start, stop: text[:start] + "it" + text[stop:])


def test_probes_of_restoring():
    texts, articles = cases(40, (0,)), [draw_article(Random(i), PROBE) for i in range(40)]
    assert probes_bart.names(texts, PERFECT) == {"first_name": 1.0, "second_name": 1.0}
    assert probes_bart.names(texts, FORGETFUL) == {"first_name": 0.0, "second_name": 0.0}
    all_right = {"first_name": 1.0, "second_name": 1.0, "coverage": 1.0, "nothing_twice": 1.0, "added": 0.0}
    assert probes_bart.descriptions(texts, PERFECT) == all_right
    assert probes_bart.descriptions(texts, FORGETFUL) == all_right | dict.fromkeys(list(all_right)[:3], 0.0)
    assert probes_bart.headlines(articles, PERFECT) == {
        "first_name": 1.0,
        "kind": 1.0,
        "nothing_twice": 1.0,
        "added": 0.0,
    }
    assert probes_bart.headlines(articles, FORGETFUL) == {
        "first_name": 0.0,
        "kind": 0.0,
        "nothing_twice": 1.0,
        "added": 0.0,
    }


def test_batches_change_nothing(tokenizer):
    model = GPT2LMHeadModel.from_pretrained(ROOT / "data/base/mini-gpt2", dtype=torch.float32).eval()
    prompts = [case.prompt(verbalize) for case in cases(5, (0, 1))]
    alone = [lines_after(model, tokenizer, [prompt], 20, 1)[0] for prompt in prompts]
    assert lines_after(model, tokenizer, prompts, 20, 3) == alone


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "model"), [(probes, "mini-gpt2"), (probes_bart, "mini-bart")])
def test_a_stage_on_the_released_model(project, stage, model):
    raw = yaml.safe_load((project / "params.yaml").read_text())
    raw["probes"]["prompts"] = 4
    (project / "params.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(SystemExit, match=f"pretrain/data/{model} holds no model"):
        stage.main()
    (project / "pretrain/data").mkdir(parents=True)
    (project / "pretrain/data" / model).symlink_to(project / "data/base" / model)
    deterministic = torch.are_deterministic_algorithms_enabled()
    stage.main()
    torch.use_deterministic_algorithms(deterministic)
    found = json.loads((project / stage.METRICS).read_text())
    assert found.pop("weights") == sha256(project / "data/base" / model / "model.safetensors")
    bounds = raw["probes"]["bounds"][model]
    for part in (bounds["least"], bounds["most"]):
        for probe, measures in part.items():
            assert probe == "loss" or set(measures) <= set(found[probe])
    assert all(value is None or 0 <= value <= 1 for part in found.values() for value in part.values())
