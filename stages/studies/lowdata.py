"""Low data (section 6.3, Figure 3) and data levels (section 7.5): variants over the number of training examples."""

from stages.studies.figures import by_size
from stages.studies.shown import Shown

LOWDATA = Shown(
    title="Low data (section 6.3, Figure 3)",
    how=by_size,
    said="""\
The paper, read off its Figure 3: with GPT-2 medium on E2E prefix-tuning is above fine-tuning by 2.9 BLEU on
average over 50 to 500 examples; the gap shrinks as the size grows.""",
)
REVIEW = Shown(
    title="A small low-data grid for reviews (section 6.3)",
    how=by_size,
    said="No figure of the paper: two of the sizes of Figure 3, scored on fewer records.",
)
LEVELS = Shown(
    title="Data levels (section 7.5)",
    how=by_size,
    said="The paper: with GPT-2 medium prefix-tuning is above fine-tuning on more than 20% of E2E.",
)
