"""What descriptions of `mini_e2e` hold of their records: names letter by letter, fields, nothing twice."""

from stages.pretrain.judges import judge, measures
from stages.tasks.e2e import FIELDS, tokenize_words
from stages.world.domains import RESTAURANT, Record
from stages.world.grammar import Fact

_KEYS = {field: key for key, field in FIELDS.items()}


def record_of(source: str) -> Record:
    """The restaurant that a linearized source notes."""
    fields = dict(pair.split(" : ", 1) for pair in source.split(" | "))
    name, kind = fields.pop("name"), fields.pop("Type", None)
    attributes = {attribute.key: attribute for attribute in RESTAURANT.attributes}
    facts = []
    for field, noted in fields.items():
        attribute = attributes[_KEYS[field]]
        facts.append(
            Fact(attribute, next((value for value in attribute.values if tokenize_words(value) == noted), noted))
        )
    return Record(RESTAURANT, name, kind, facts)


def restaurant_measures(sources: list[str], hypotheses: list[str]) -> dict[str, float | None]:
    return measures(judge(text, record_of(source)) for source, text in zip(sources, hypotheses, strict=True))
