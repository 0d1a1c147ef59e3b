"""Stage: what mini-gpt2 can do before any tuning, into pretrain/metrics/probes_gpt2.json.

Generation is greedy. The names are in no corpus and in no task. The probes:
- `copying`: repeat two names
- `in_context`: describe a record after worked examples of its domain (measures: `judges`)
- `reserved`: the same in a notation that the corpus never uses
- `zero_examples`: describe a record without examples
- `style`: the share of descriptions in the style of the worked examples
- `style_unasked`: the share in that style although the same examples are in the plain style
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from stages import params
from stages.core.errors import entry_point
from stages.core.files import sha256, write_json
from stages.models.determinism import set_determinism
from stages.pretrain.generation import lines_after, opened
from stages.pretrain.judges import judge, measures, share
from stages.pretrain.prompts import Case, Listed, draw_case, draw_list, drawn
from stages.world.styles import SIGNED, STYLES, follows
from stages.world.verbalize import verbalize

MODEL = Path("pretrain/data/mini-gpt2")
METRICS = Path("pretrain/metrics/probes_gpt2.json")
LONGEST = 120  # tokens of a description; the corpus's longest fit
_NAMES_LONGEST = 40  # tokens of two names
_STYLED = 4  # a style probe has one prompt for so many of another probe: it runs once for each style

Measures = dict[str, float | None]
Write = Callable[[list[str], int], list[str]]  # prompts and the most tokens to what the model writes


def copying(lists: list[Listed], write: Write) -> Measures:
    lines = write([one.prompt for one in lists], _NAMES_LONGEST)
    repeated = [one.repeated(line) for one, line in zip(lists, lines, strict=True)]
    return {
        "first_name": share(sum(first for first, _ in repeated), len(lists)),
        "second_name": share(sum(second for _, second in repeated), len(lists)),
    }


def verbalizing(cases: list[Case], write: Write) -> Measures:
    texts = write([case.prompt(verbalize) for case in cases], LONGEST)
    return measures(judge(text, case.asked) for case, text in zip(cases, texts, strict=True))


def styles(cases: list[Case], write: Write) -> tuple[Measures, Measures]:
    """For each of `SIGNED`, the share of texts in it: with examples in that style, and with plain ones."""
    ordinary = write([case.prompt(verbalize) for case in cases], LONGEST)
    asked, unasked = {}, {}
    for style in SIGNED:
        styled = write([case.prompt(STYLES[style]) for case in cases], LONGEST)
        for found, texts in ((asked, styled), (unasked, ordinary)):
            following = [follows(style, case.asked, text) for case, text in zip(cases, texts, strict=True)]
            found[style] = share(sum(following), len(cases))
    return asked, unasked


def probe(model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, chosen: params.Probes) -> dict[str, Measures]:
    """All measures by probe, on `chosen.prompts` prompts each."""

    def write(prompts: list[str], most: int) -> list[str]:
        return lines_after(model, tokenizer, prompts, most, chosen.batch_size)

    def fits(case: Case) -> bool:
        sources = tokenizer([case.prompt(style) for style in (verbalize, *STYLES.values())])["input_ids"]
        return max(map(len, sources)) + 1 + LONGEST <= model.config.n_positions

    def cases(name: str, examples: tuple[int, ...], reserved: bool, one_in: int = 1) -> list[Case]:
        draw = partial(draw_case, examples=examples, reserved=reserved)
        return drawn(f"{chosen.seed}/{name}", -(-chosen.prompts // one_in), draw, fits)

    found = {
        "copying": copying(drawn(f"{chosen.seed}/copying", chosen.prompts, draw_list, lambda _: True), write),
        "in_context": verbalizing(cases("in_context", (1, 2), False), write),
        "reserved": verbalizing(cases("reserved", (1, 2), True), write),
        "zero_examples": verbalizing(cases("zero_examples", (0,), False), write),
    }
    found["style"], found["style_unasked"] = styles(cases("style", (2,), False, _STYLED), write)
    return found


@entry_point
def main() -> None:
    chosen = params.load().probes
    set_determinism(chosen.threads)
    found = probe(*opened(GPT2LMHeadModel, MODEL), chosen)
    write_json(METRICS, {**found, "weights": sha256(MODEL / "model.safetensors")})


if __name__ == "__main__":
    main()
