"""A prefix for each user: who is asked for what, what is counted, and the whole stage on two users."""

import json

import pytest
import yaml

from stages.core.files import read_json, read_jsonl, write_json
from stages.core.record import Record, read_records, write_records
from stages.studies import data, personal
from stages.studies.check import personal_settings
from stages.studies.personal import EVERYONE, Asked
from stages.studies.plan import linearized

RECORDS = [
    Record("t0", "name : Oak | food : Thai | near : Elm", ["Oak."], "user_00", "Oak"),
    Record("t1", "name : Ash | area : old town", ["Ash."], "user_00", "Ash"),
    Record("t2", "name : Fir | food : French", ["Fir."], "user_01", "Fir"),
]


def test_every_prefix_is_asked_for_everything(tmp_path):
    write_records(tmp_path / "test.jsonl", [RECORDS[2]])
    write_records(tmp_path / "train.jsonl", RECORDS)
    found = personal.asked_of(tmp_path, ["user_00", EVERYONE], 1)
    assert [(one.what, one.record.source, one.record.group) for one in found[::2]] == [
        ("test", "name : Fir | food : French", "user_01"),
        ("known", "name : Oak", "user_00"), ("known", "name : Fir", "user_01"), ("unknown", "name : Fir", "user_01"),
    ]  # fmt: skip
    assert [one.prefix for one in found] == ["user_00", EVERYONE] * 4


def test_facts_that_a_prefix_gives_away():
    facts = {"t0": {"food": "Thai", "near": "Elm"}, "t2": {"food": "French"}}
    asked = [
        Asked(RECORDS[0], "user_00", "known"), Asked(RECORDS[0], "user_01", "known"), Asked(RECORDS[2], "user_00", "known"),
        Asked(RECORDS[2], EVERYONE, "unknown"), Asked(RECORDS[0], "user_00", "test"), Asked(RECORDS[1], "user_00", "known"),
    ]  # fmt: skip
    texts = ["Oak serves thai food", "Oak serves French food", "Fir serves French food", "Fir", "Thai", "old town"]
    facts["t1"] = {}
    assert personal.said_of(asked, texts, facts, "food") == {
        "known_own": 1.0, "known_others": 0.5, "unknown_everyone": 0.0,
    }  # fmt: skip
    assert personal.said_of(asked, texts, facts, "near") == {"known_own": 0.0, "known_others": 0.0}


@pytest.mark.slow
def test_the_stage_on_two_users(project):
    raw = yaml.safe_load((project / "params.yaml").read_text())
    raw["sources"]["mini_personal"] |= {"users": 2, "fewest": 10, "most": 12, "test": 2}
    raw["personal"]["known"] = 1
    raw["personal"]["run"] |= {
        "prefix_len": 3,
        "methods": {"prefix": {"init": "random"}},
        "decode": {"max_new_tokens": 6},
    }
    raw["personal"]["run"]["train"] |= {"steps": 2}
    (project / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    from stages import params

    data.write_data("mini_personal", params.load())
    write_json(personal.SETTING, personal_settings(raw))
    personal.main()
    found = read_json(personal.FILE)
    assert list(found) == ["own", "users", "another", EVERYONE, "facts_said", "names_of_other_users", "texts"]
    assert found["texts"] == 12 and list(found["users"]) == ["user_00", "user_01"]
    assert {"BLEU", "METEOR", "CIDEr"} <= found["own"].keys() and found["names_of_other_users"] == 0
    texts = read_jsonl(personal.OUT / "texts.jsonl")
    assert [row["what"] for row in texts] == ["test"] * 12 + ["known"] * 6 + ["unknown"] * 6
    test = list(read_records(linearized("mini_personal") / "test.jsonl"))
    assert [row["source"] for row in texts[:12:3]] == [record.source for record in test]
    before = json.dumps(found)
    personal.main()
    assert json.dumps(read_json(personal.FILE)) == before
