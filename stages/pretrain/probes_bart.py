"""Stage: what mini-bart can restore before any tuning, into pretrain/metrics/probes_bart.json.

Generation is greedy. The names are in no corpus and in no task. What is masked, by probe:
- `name`: one mention of the thing's name, or of another thing's, in the description that follows a record
- `described`: the whole description that follows a record
- `headline`: the first line of an article

The measures are those of `judges`. A headline may say any of the facts, so of its fields only the kind counts.
"""

from functools import partial
from pathlib import Path
from random import Random

from transformers import BartForConditionalGeneration, PreTrainedTokenizerFast

from stages import params
from stages.core.errors import entry_point
from stages.core.files import sha256, write_json
from stages.models.determinism import set_determinism
from stages.pretrain.generation import line_breaks, opened, restored
from stages.pretrain.judges import judge, measures, mentions, share
from stages.pretrain.prompts import Case, draw_case, drawn
from stages.world.articles import Article, draw_article
from stages.world.names import PROBE
from stages.world.notations import NEWLINE
from stages.world.verbalize import says_kind, verbalize

MODEL = Path("pretrain/data/mini-bart")
METRICS = Path("pretrain/metrics/probes_bart.json")
_HEADLINE_LONGEST = 80  # tokens
_LONGER = 60  # tokens that a restored text may be longer than the whole one was

Measures = dict[str, float | None]


def masked(tokenizer: PreTrainedTokenizerFast, text: str, start: int, stop: int) -> list[int]:
    """The ids of `text`, with one mask in place of its characters from `start` to `stop`."""
    encoded = tokenizer(text, return_offsets_mapping=True)
    ids: list[int] = []
    for token, (begin, end) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True):
        if begin < stop and end > start and begin < end:
            ids += [] if ids[-1] == tokenizer.mask_token_id else [tokenizer.mask_token_id]
        else:
            ids.append(token)
    return ids


class Restore:
    """The model with what it needs to restore texts of which a part is masked."""

    def __init__(self, model: BartForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, batch_size: int):
        self.model, self.tokenizer, self.batch_size = model, tokenizer, batch_size

    def texts(self, texts: list[str], parts: list[tuple[int, int]]) -> list[str]:
        """Whole texts, from those whose characters `parts` are masked."""
        most = max((len(ids) for ids in self.tokenizer(texts)["input_ids"]), default=0) + _LONGER
        return self._of(texts, parts, min(most, self.model.config.max_position_embeddings - 1), [])

    def first_lines(self, texts: list[str], parts: list[tuple[int, int]]) -> list[str]:
        return self._of(texts, parts, _HEADLINE_LONGEST, line_breaks(self.tokenizer))

    def _of(self, texts: list[str], parts: list[tuple[int, int]], most: int, stops: list[int]) -> list[str]:
        sources = [masked(self.tokenizer, text, *part) for text, part in zip(texts, parts, strict=True)]
        return restored(self.model, self.tokenizer, sources, most, self.batch_size, stops)

    def fits(self, text: str) -> bool:
        return len(self.tokenizer(text)["input_ids"]) + _LONGER < self.model.config.max_position_embeddings


def _whole(case: Case) -> tuple[str, int]:
    """The record with its description, and where the description begins."""
    noted = case.note(case.asked.pairs()) + case.separator
    return noted + verbalize(Random(case.seed), case.asked), len(noted)


def names(cases: list[Case], restore: Restore) -> Measures:
    """The share of texts that contain the name exactly as often as before one mention of it was masked."""

    def exact(asked: list[tuple[Case, str]]) -> float | None:
        texts = [_whole(case)[0] for case, _ in asked]
        starts = [text.index(name, _whole(case)[1]) for text, (case, name) in zip(texts, asked, strict=True)]
        parts = [(start, start + len(name)) for start, (_, name) in zip(starts, asked, strict=True)]
        again = zip(restore.texts(texts, parts), texts, asked, strict=True)
        return share(sum(mentions(one, name) == mentions(text, name) for one, text, (_, name) in again), len(asked))

    others = [(case, fact.value) for case in cases for fact in case.asked.facts if not fact.attribute.values]
    return {
        "first_name": exact([(case, case.asked.name) for case in cases]),
        "second_name": exact(others[: len(cases)]),
    }


def descriptions(cases: list[Case], restore: Restore) -> Measures:
    wholes = [_whole(case) for case in cases]
    texts = restore.texts([text for text, _ in wholes], [(start, len(text)) for text, start in wholes])
    # The description follows the last separator, whatever the model made of the record before it.
    verbalized = [
        text.rpartition(case.separator.strip(" "))[2].strip() for case, text in zip(cases, texts, strict=True)
    ]
    return measures(judge(text, case.asked) for case, text in zip(cases, verbalized, strict=True))


def _headlined(article: Article) -> str:
    return article.headline + NEWLINE + NEWLINE.join(article.paragraphs)


def headlines(articles: list[Article], restore: Restore) -> Measures:
    lines = restore.first_lines([_headlined(one) for one in articles], [(0, len(one.headline)) for one in articles])
    judged = measures(judge(line, one.main) for line, one in zip(lines, articles, strict=True))
    of_kind = [says_kind(line, one.main) for line, one in zip(lines, articles, strict=True) if one.main.kind]
    return {
        "first_name": judged["first_name"],
        "kind": share(sum(of_kind), len(of_kind)),
        "nothing_twice": judged["nothing_twice"],
        "added": judged["added"],
    }


def probe(
    model: BartForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, chosen: params.Probes
) -> dict[str, Measures]:
    """All measures by probe, on `chosen.prompts` texts each."""
    restore = Restore(model, tokenizer, chosen.batch_size)

    def cases(name: str) -> list[Case]:
        draw = partial(draw_case, examples=(0,), reserved=False)
        return drawn(f"{chosen.seed}/{name}", chosen.prompts, draw, lambda case: restore.fits(_whole(case)[0]))

    articles = drawn(
        f"{chosen.seed}/headline", chosen.prompts, partial(draw_article, who=PROBE),
        lambda article: restore.fits(_headlined(article)),
    )  # fmt: skip
    return {
        "name": names(cases("name"), restore),
        "described": descriptions(cases("described"), restore),
        "headline": headlines(articles, restore),
    }


@entry_point
def main() -> None:
    chosen = params.load().probes
    set_determinism(chosen.threads)
    found = probe(*opened(BartForConditionalGeneration, MODEL), chosen)
    write_json(METRICS, {**found, "weights": sha256(MODEL / "model.safetensors")})


if __name__ == "__main__":
    main()
