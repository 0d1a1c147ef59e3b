"""The two systems that followed: Prompt Tuning (Lester et al. 2021) and Adaptive Prefix Tuning (Zhang et al. 2023)."""

from stages.studies.figures import bars
from stages.studies.shown import Shown

SYSTEMS = Shown(
    title="Prefix-tuning, Prompt Tuning and Adaptive Prefix Tuning on one task",
    how=bars,
    said="The three papers have no task in common.",
)
APT = Shown(
    title="Adaptive Prefix Tuning, its gates, and P-tuning v2",
    how=bars,
    said="""\
The paper's. Weak evidence: these numbers are from memory of it, it could not be read.

| BERT-base, accuracy | BoolQ | COPA | RTE | WiC | WSC |
|---|---:|---:|---:|---:|---:|
| fine-tuning | 72.9 | 67.0 | 68.4 | 71.1 | 63.5 |
| P-tuning v2 | 72.5 | 67.4 | 71.3 | 69.5 | 65.4 |
| APT | 72.6 | 70.0 | 72.7 | 71.2 | 66.9 |""",
)
ENSEMBLE = Shown(
    title="Prompt ensembling (Lester et al. 2021, section 6, Table 3)",
    how=bars,
    said="""\
The paper's:

| T5-XXL, 5 prompts | BoolQ | CB (acc) | COPA | RTE | WiC | WSC |
|---|---:|---:|---:|---:|---:|---:|
| average | 91.1 | 99.3 | 98.8 | 92.6 | 76.2 | 95.8 |
| best | 91.3 | 100.0 | 100.0 | 93.5 | 76.6 | 96.2 |
| ensemble | 91.7 | 100.0 | 100.0 | 93.5 | 77.4 | 96.2 |""",
)
