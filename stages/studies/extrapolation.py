"""Extrapolation (section 6.4): described are categories or topics that training does not show."""

from stages.studies.figures import bars
from stages.studies.shown import Shown, table

UNSEEN = Shown(
    title="Seen and unseen categories (section 6.4, Table 1)",
    how=bars,
    model="GPT-2 medium on WebNLG",
    published=table(
        "BLEU_seen BLEU_unseen BLEU METEOR_seen METEOR_unseen METEOR TER_seen TER_unseen TER",
        finetune="64.2 27.7 46.5 .45 .30 .38 .33 .76 .53",
        ft_top2="53.6 18.9 36.0 .38 .23 .31 .49 .99 .72",
        adapter="60.4 48.3 54.9 .43 .38 .41 .35 .45 .39",
        adapter_small="54.5 45.1 50.2 .39 .36 .38 .40 .46 .43",
        prefix="62.9 45.6 55.1 .44 .38 .41 .35 .49 .41",
    ),
)
NEWS_TO_SPORTS = Shown(
    title="News to sports (section 6.4, Table 3)",
    how=bars,
    model="BART large on XSum",
    published=table("rouge1 rouge2 rougeL", finetune="38.15 15.51 30.26", prefix="39.23 16.74 31.51"),
)
WITHIN_NEWS = Shown(
    title="Within news (section 6.4, Table 3)",
    how=bars,
    model="BART large on XSum",
    published=table("rouge1 rouge2 rougeL", finetune="39.20 16.35 31.15", prefix="39.41 16.87 31.47"),
)
