"""Methods are found by their files; the configuration of a run is the same when it is read from JSON again."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from stages.core.errors import UserError
from stages.methods import config_from, module_of, names
from tests.conftest import ROOT, config_of
from tests.methods.test_options import FITTING, config_for


def printed(code, root=ROOT):
    """What a process of its own prints, on the project below `root`."""
    environment = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_methods_are_the_files():
    assert names() == sorted(file.stem for file in (ROOT / "stages/methods").glob("[!_]*.py"))
    assert {"prefix", "finetune", "none"} < set(names()) and "parts" not in names()


def test_their_names_cost_no_import():
    code = "import sys; from stages.methods import names; names();"
    code += "print({'torch', 'transformers'} & set(sys.modules), [n for n in sys.modules if n.startswith('stages.methods.')])"
    assert printed(code) == "set() []\n"


@pytest.mark.slow
def test_the_chosen_method_alone_is_imported():
    code = "import sys; from stages.methods import module_of; module_of('adapter');"
    code += "print([n for n in sorted(sys.modules) if n.startswith('stages.methods')])"
    assert printed(code) == "['stages.methods', 'stages.methods.adapter']\n"


def test_an_unknown_method_is_named_beside_the_known_ones():
    with pytest.raises(UserError) as error:
        module_of("magic")
    *others, last = map(repr, names())
    assert str(error.value) == f"params.yaml: method: Input should be {', '.join(others)} or {last}, not 'magic'"


@pytest.mark.parametrize("method", names())
def test_a_method_has_what_the_registry_reads(method):
    module = module_of(method)
    assert set(module.FAMILIES) <= {"decoder-only", "encoder-decoder", "encoder"} and module.FAMILIES
    assert isinstance(module.BATCHED_RUNS, bool) and isinstance(module.OPTIONS, dict)
    assert callable(module.build) and callable(module.load)


TOY = '''
"""A method of a test."""

from stages.core.sections import CountOrRecipe, Section
from stages.methods.none import Untuned, load


class Options(Section):
    size: CountOrRecipe


FAMILIES = ("decoder-only",)
BATCHED_RUNS = False
OPTIONS = {"toy": Options}


def build(lm, config, seeds):
    return Untuned(seeds)
'''
TOY_RUN = """
from stages import params
from stages.core.closure import closure
from stages.methods import module_of, names
from stages.resolve import resolve

config = resolve(params.load())
print("toy" in names(), config.method, config.options, config.training.lr)
print("stages/methods/toy.py" in map(str, closure("stages.methods." + config.method)), module_of("toy").__doc__.strip())
"""


def test_a_new_method_is_one_file_and_its_recipe(tmp_path):
    shutil.copytree(ROOT / "stages", tmp_path / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data/base").symlink_to(ROOT / "data/base")
    (tmp_path / "stages/methods/toy.py").write_text(TOY.lstrip())
    text = (ROOT / "params.yaml").read_text()
    for before, after in (
        ("\nmethod: prefix ", "\nmethod: toy "),
        ("\n  prompt_tuning:          # Lester", "\n  toy: {size: recipe}\n  prompt_tuning:          # Lester"),
        ("\n    mini-gpt2:\n      default:", "\n    mini-gpt2:\n      toy: {lr: 0.25, size: 7}\n      default:"),
    ):
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    (tmp_path / "params.yaml").write_text(text)
    assert printed(TOY_RUN, tmp_path).splitlines() == [
        "True toy {'toy': Options(size=7)} 0.25",
        "True A method of a test.",
    ]


@pytest.mark.parametrize(("method", "family"), FITTING)
def test_a_configuration_is_the_same_from_json(method, family, tmp_path):
    config = config_for(method, family, tmp_path)
    assert config_from(json.loads(json.dumps(config.as_json()))) == config


@pytest.mark.parametrize("task", ["record", "squad_to_mrqa", "cb"])
@pytest.mark.parametrize("init", ["recipe", "uniform", "labels"])
def test_a_configuration_whose_words_are_the_recipes_is_the_same_from_json(task, init):
    """`init: uniform` reads no words, and is no error where the recipe has some."""
    config = config_of("prompt_tuning", "t5", task, methods={"prompt_tuning": {"init": init}})
    assert config_from(json.loads(json.dumps(config.as_json()))) == config
