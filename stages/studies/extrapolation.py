"""Extrapolation (section 6.4): described are categories or topics that training does not show."""

from stages.studies.figures import bars
from stages.studies.shown import Shown

UNSEEN = Shown(
    title="Seen and unseen categories (section 6.4, Table 1)",
    how=bars,
    published="""\
| GPT-2 medium on WebNLG | BLEU seen | unseen | all |
|---|---:|---:|---:|
| fine-tuning | 64.7 | 26.7 | 45.7 |
| FT-Top2 | 53.6 | 18.9 | 36.0 |
| adapter 3% | 60.5 | 47.9 | 54.8 |
| adapter 0.1% | 54.5 | 45.1 | 50.2 |
| prefix 0.1% | 62.9 | 45.3 | 55.0 |""",
)
NEWS_TO_SPORTS = Shown(
    title="News to sports (section 6.4, Table 3)",
    how=bars,
    published="""\
| BART large on XSum | ROUGE-1 | ROUGE-2 | ROUGE-L |
|---|---:|---:|---:|
| fine-tuning | 38.15 | 15.51 | 30.26 |
| prefix | 39.23 | 16.74 | 31.51 |""",
)
WITHIN_NEWS = Shown(
    title="Within news (section 6.4, Table 3)",
    how=bars,
    published="""\
| BART large on XSum | ROUGE-1 | ROUGE-2 | ROUGE-L |
|---|---:|---:|---:|
| fine-tuning | 39.20 | 16.35 | 31.15 |
| prefix | 39.41 | 16.87 | 31.47 |""",
)
