"""The intrinsic evaluation (section 7): length, embedding-only, infix, the words to start from; and the MLP (4.3)."""

from stages.studies.figures import bars, by_length
from stages.studies.shown import Shown

LENGTHS = Shown(
    title="Prefix length (section 7.1, Figure 4)",
    how=by_length,
    published="GPT-2 medium on DART is best at a length of about 10, BART large on XSum at about 200; both fall behind it.",
)
PLACEMENT = Shown(
    title="Embedding-only and infix (sections 7.2 and 7.3, Table 4)",
    how=bars,
    published="""\
| GPT-2 medium on E2E | BLEU | NIST | METEOR | ROUGE-L | CIDEr |
|---|---:|---:|---:|---:|---:|
| prefix | 70.3 | 8.82 | 46.3 | 72.1 | 2.46 |
| embedding-only, 1 | 48.1 | 3.33 | 32.1 | 60.2 | 1.10 |
| embedding-only, 10 | 62.2 | 6.70 | 38.6 | 66.4 | 1.75 |
| embedding-only, 20 | 61.9 | 7.11 | 39.3 | 65.6 | 1.85 |
| infix, 1 | 67.9 | 8.63 | 45.8 | 69.4 | 2.42 |
| infix, 10 | 67.2 | 8.48 | 45.8 | 69.9 | 2.40 |
| infix, 20 | 66.7 | 8.47 | 45.8 | 70.0 | 2.42 |""",
)
WORDS = Shown(
    title="Words to start from (section 7.4, Figure 5)",
    how=bars,
    published="GPT-2 medium on E2E with 100 examples, read off Figure 5: random about 45 BLEU, real words 55 to 60.",
)
MLP = Shown(
    title="With and without the MLP (section 4.3)",
    how=bars,
    published="The paper gives no numbers: without the MLP training is unstable, and performance slightly lower.",
)
