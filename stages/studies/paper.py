"""The figures and tables of the papers that are studies, by their name in params.yaml, and how each is shown."""

from stages.studies.ablations import LENGTHS, MLP, PLACEMENT, WORDS
from stages.studies.extrapolation import NEWS_TO_SPORTS, UNSEEN, WITHIN_NEWS
from stages.studies.figures import bars
from stages.studies.followers import APT, ENSEMBLE, SYSTEMS
from stages.studies.lowdata import LEVELS, LOWDATA, REVIEW
from stages.studies.shown import Shown


def shown_of(study: str) -> Shown:
    """A study of the user's own is bars under its name."""
    return STUDIES.get(study, Shown(title=study, how=bars))


STUDIES: dict[str, Shown] = {
    "lowdata": LOWDATA,
    "review": REVIEW,
    "unseen": UNSEEN,
    "news_to_sports": NEWS_TO_SPORTS,
    "within_news": WITHIN_NEWS,
    "lengths": LENGTHS,
    "placement": PLACEMENT,
    "words": WORDS,
    "mlp": MLP,
    "levels": LEVELS,
    "systems": SYSTEMS,
    "apt": APT,
    "ensemble": ENSEMBLE,
}
