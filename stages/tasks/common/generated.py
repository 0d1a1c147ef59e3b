"""The types of the sections of `sources` of generated tasks."""

from stages.core.sections import Count, Section, Whole


class Generated(Section):
    """How many records of each split are drawn, and from which seed."""

    seed: Whole
    train: Count
    dev: Count
    test: Count


class GeneratedTexts(Generated):
    """`references`: how many texts a record has."""

    references: Count
