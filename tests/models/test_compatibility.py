"""A sample of `python -m bench.compatibility`, which tries all architectures: one configuration of each kind of particulars."""

import pytest

from bench.compatibility.families import FAMILIES
from bench.compatibility.run import EQUAL, REFUSED, run

pytestmark = pytest.mark.slow

CASES = {case.name: (family, case) for family in FAMILIES for case in family.cases}


@pytest.mark.parametrize("name", [
    "gpt2", "llama", "opt-350m", "gemma2", "gemma3_text", "gpt_oss", "cohere", "granite", "phi3",  # decoder-only
    "bart", "mbart", "t5", "modernbert", "distilbert", "eurobert", "deberta-v2-conv",
])  # fmt: skip
def test_equal(name):
    """Together, alone, step by step and in beams, with a prefix and without; what the prefix and the order change is felt."""
    family, case = CASES[name]
    result = run(family, case)
    assert (result.verdict, result.line) == (EQUAL, ""), result.trace


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("bloom", "model bloom does not compute attention by transformers' interface in all of its layers"),
        ("mamba", "model mamba does not compute attention by transformers' interface in all of its layers"),
        ("deepseek_v3", "model deepseek_v3 has keys and values of several shapes, which a prefix cannot be a part of"),
        ("led", "model led does not compute attention by transformers' interface: no place for a prefix"),
    ],
)
def test_refused(name, line):
    family, case = CASES[name]
    result = run(family, case)
    assert (result.verdict, result.line) == (REFUSED, line)
