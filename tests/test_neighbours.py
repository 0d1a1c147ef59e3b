"""The words nearest to trained vectors: known ones give themselves, and what has no vectors is refused."""

import sys
from dataclasses import replace

import pytest
import torch

from stages import neighbours
from stages.core.errors import UserError
from stages.methods import module_of, names
from stages.methods.parts import saved
from stages.methods.parts.head import build
from stages.methods.prefix import Prefix
from stages.methods.prompt_tuning import EMBEDDINGS
from stages.models.identity import base_model_id
from stages.models.load import load
from stages.neighbours import METHODS, nearest, table, vectors_of
from tests.conftest import ROOT, config_of, tiny_gpt2
from tests.methods.test_options import config_for


def write(lm, method, state, out):
    saved.save(out, replace(config_of(), method=method), state, base_model_id(lm))
    return out


def test_cosines_in_numbers():
    matrix = torch.tensor([[0.0, 0.0], [2.0, 0.0], [3.0, 4.0], [0.0, -1.0]])
    cosines, rows = nearest(torch.tensor([[1.0, 0.0], [0.0, 5.0]]), matrix, 3)
    assert rows[0, :2].tolist() == [1, 2] and rows[1, 0] == 2
    torch.testing.assert_close(cosines, torch.tensor([[1.0, 0.6, 0.0], [0.8, 0.0, 0.0]]))
    assert nearest(torch.ones(1, 2), matrix, 9)[0].shape == (1, 4), "no more than there are"


def test_embeddings_give_themselves(any_lm, tmp_path):
    """With cosine 1, however long: a model that multiplies its embeddings has the same."""
    ids = any_lm.token_ids("name of the place")
    directory = write(any_lm, "prompt_tuning", {EMBEDDINGS: 3 * any_lm.embed(ids)[None]}, tmp_path / "model")
    rows = table(any_lm, vectors_of(directory, any_lm), 2)
    assert [position for position, _, _ in rows] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [word for _, word, _ in rows[::2]] == [any_lm.tokenizer.decode([number]) for number in ids]
    assert [round(cosine, 5) for _, _, cosine in rows[::2]] == [1.0] * 4
    assert all(cosine < 0.99 for _, _, cosine in rows[1::2])


def test_a_row_without_a_token_is_no_neighbour(lm):
    """A matrix may have more rows than the vocabulary."""
    matrix = lm.model.get_input_embeddings()
    vector = torch.full((1, lm.embedding_width), 0.5)
    with torch.no_grad():
        matrix.weight = torch.nn.Parameter(torch.cat([matrix.weight, vector]))
    [(_, _, cosine)] = table(lm, vector, 1)
    assert cosine < 0.9


def test_a_part_of_a_character_has_its_name_in_the_vocabulary(lm):
    number = lm.tokenizer.convert_tokens_to_ids("Ã")  # a byte-level BPE's letter for the byte C3
    [(_, word, cosine)] = table(lm, lm.embed([number]), 1)
    assert (word, round(cosine, 5)) == ("Ã", 1.0)


@pytest.mark.parametrize("method", names())
def test_the_methods_with_vectors_are_those_that_are_named(method, tokenizer, project):
    lm = tiny_gpt2(tokenizer)
    if lm.family not in module_of(method).FAMILIES:
        pytest.skip("for other models")
    saved.write(project / "kept", "prompt_tuning", {EMBEDDINGS: torch.ones(1, 3, lm.width)}, {})
    state = build(lm, config_for(method, lm.family, project / "kept"), [1]).state()
    assert (EMBEDDINGS in state) == (method in METHODS)
    if method in METHODS:
        assert state[EMBEDDINGS].shape == (1, 3, lm.embedding_width)


def test_a_run_without_input_vectors_is_refused(lm, tmp_path):
    directory = write(lm, "prefix", Prefix(lm, 3, 4, [1]).state(), tmp_path / "model")
    with pytest.raises(UserError) as error:
        vectors_of(directory, lm)
    assert str(error.value) == (
        f"{directory} is a run of prefix, which trains no input vectors; embedding_only, infix, prompt_projection, "
        "prompt_tuning do"
    )


def test_the_command(project, monkeypatch, capsys):
    lm = load(str(ROOT / "data/base/mini-gpt2"), "mini-gpt2", "main")
    ids = lm.token_ids("name of")
    write(lm, "prompt_tuning", {EMBEDDINGS: lm.embed(ids)[None]}, project / "kept")
    monkeypatch.setattr(sys, "argv", ["neighbours", "kept", "--top", "1"])
    neighbours.main()
    assert capsys.readouterr().out.splitlines() == [
        "position  word     cosine", "       0  ' name'   1.000", "       1  ' of'     1.000",
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["neighbours"])
    with pytest.raises(SystemExit, match=r"^error: cannot read data/run/model/config.json: No such file"):
        neighbours.main()
    monkeypatch.setattr(sys, "argv", ["neighbours", "--top", "0"])
    with pytest.raises(SystemExit):
        neighbours.main()
    assert "argument --top: must be a whole number of at least 1, not '0'" in capsys.readouterr().err
