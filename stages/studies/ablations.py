"""The intrinsic evaluation (section 7): length, embedding-only, infix, the words to start from; and the MLP (4.3)."""

from stages.studies.figures import bars, by_length
from stages.studies.shown import Shown, table

LENGTHS = Shown(
    title="Prefix length (section 7.1, Figure 4)",
    how=by_length,
    said="The paper: GPT-2 medium on DART is best at a length of about 10, BART large on XSum at about 200; longer is worse.",
)
PLACEMENT = Shown(
    title="Embedding-only and infix (sections 7.2 and 7.3, Table 4)",
    how=bars,
    model="GPT-2 medium on E2E",
    published=table(
        "BLEU NIST METEOR ROUGE_L CIDEr",
        prefix="69.7 8.81 46.1 71.4 2.49",
        embedding_only_01="48.1 3.33 32.1 60.2 1.10",
        embedding_only_10="62.2 6.70 38.6 66.4 1.75",
        embedding_only_20="61.9 7.11 39.3 65.6 1.85",
        infix_01="67.9 8.63 45.8 69.4 2.42",
        infix_10="67.2 8.48 45.8 69.9 2.40",
        infix_20="66.7 8.47 45.8 70.0 2.42",
    ),
)
WORDS = Shown(
    title="Words to start from (section 7.4, Figure 5)",
    how=bars,
    said="The paper, read off its Figure 5: GPT-2 medium on 100 examples of E2E has about 45 BLEU from random, 55 to 60 from words.",
)
MLP = Shown(
    title="With and without the MLP (section 4.3)",
    how=bars,
    said="The paper gives no numbers: without the MLP training is unstable, and performance slightly lower.",
)
