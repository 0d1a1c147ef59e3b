"""The published results by name of the study in params.yaml. The report prints them next to ours."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Numbers = Mapping[str, Mapping[str, str]]  # by variant and metric, as printed


@dataclass(frozen=True)
class Published:
    """What is published for a study.

    `numbers` are those of `model`; `caption` is Markdown, for results that have no row in our table.
    """

    model: str = ""
    numbers: Numbers = field(default_factory=dict)
    caption: str = ""


def table(metrics: str, **variants: str) -> Numbers:
    """A published table: column names separated by spaces, and for each variant its numbers in the same way."""
    names = metrics.split()
    return {variant: dict(zip(names, numbers.split(), strict=True)) for variant, numbers in variants.items()}


PUBLISHED = {
    "lowdata": Published(
        caption="""\
The paper, read off its Figure 3: with GPT-2 medium on E2E prefix-tuning is above fine-tuning by 2.9 BLEU on
average over 50 to 500 examples; the gap shrinks as the size grows.""",
    ),
    "review": Published(
        caption="No figure of the paper: two of the sizes of Figure 3, scored on fewer records.",
    ),
    "levels": Published(
        caption="The paper: with GPT-2 medium prefix-tuning is above fine-tuning on more than 20% of E2E.",
    ),
    "unseen": Published(
        model="GPT-2 medium on WebNLG",
        numbers=table(
            "BLEU_seen BLEU_unseen BLEU METEOR_seen METEOR_unseen METEOR TER_seen TER_unseen TER",
            finetune="64.2 27.7 46.5 .45 .30 .38 .33 .76 .53",
            ft_top2="53.6 18.9 36.0 .38 .23 .31 .49 .99 .72",
            adapter="60.4 48.3 54.9 .43 .38 .41 .35 .45 .39",
            adapter_small="54.5 45.1 50.2 .39 .36 .38 .40 .46 .43",
            prefix="62.9 45.6 55.1 .44 .38 .41 .35 .49 .41",
        ),
    ),
    "news_to_sports": Published(
        model="BART large on XSum",
        numbers=table("rouge1 rouge2 rougeL", finetune="38.15 15.51 30.26", prefix="39.23 16.74 31.51"),
    ),
    "within_news": Published(
        model="BART large on XSum",
        numbers=table("rouge1 rouge2 rougeL", finetune="39.20 16.35 31.15", prefix="39.41 16.87 31.47"),
    ),
    "lengths": Published(
        caption="The paper: GPT-2 medium on DART is best at a length of about 10, BART large on XSum at about 200; longer is worse.",
    ),
    "placement": Published(
        model="GPT-2 medium on E2E",
        numbers=table(
            "BLEU NIST METEOR ROUGE_L CIDEr",
            prefix="69.7 8.81 46.1 71.4 2.49",
            embedding_only_01="48.1 3.33 32.1 60.2 1.10",
            embedding_only_10="62.2 6.70 38.6 66.4 1.75",
            embedding_only_20="61.9 7.11 39.3 65.6 1.85",
            infix_01="67.9 8.63 45.8 69.4 2.42",
            infix_10="67.2 8.48 45.8 69.9 2.40",
            infix_20="66.7 8.47 45.8 70.0 2.42",
        ),
    ),
    "words": Published(
        caption="The paper, read off its Figure 5: GPT-2 medium on 100 examples of E2E has about 45 BLEU from random, 55 to 60 from words.",
    ),
    "mlp": Published(
        caption="The paper gives no numbers: without the MLP training is unstable, and performance slightly lower.",
    ),
    "systems": Published(
        caption="The three papers have no task in common.",
    ),
    "apt": Published(
        caption="""\
The paper's. Weak evidence: these numbers are from memory of it, it could not be read.

| BERT-base, accuracy | BoolQ | COPA | RTE | WiC | WSC |
|---|---:|---:|---:|---:|---:|
| fine-tuning | 72.9 | 67.0 | 68.4 | 71.1 | 63.5 |
| P-tuning v2 | 72.5 | 67.4 | 71.3 | 69.5 | 65.4 |
| APT | 72.6 | 70.0 | 72.7 | 71.2 | 66.9 |""",
    ),
    "ensemble": Published(
        caption="""\
The paper's:

| T5-XXL, 5 prompts | BoolQ | CB (acc) | COPA | RTE | WiC | WSC |
|---|---:|---:|---:|---:|---:|---:|
| average | 91.1 | 99.3 | 98.8 | 92.6 | 76.2 | 95.8 |
| best | 91.3 | 100.0 | 100.0 | 93.5 | 76.6 | 96.2 |
| ensemble | 91.7 | 100.0 | 100.0 | 93.5 | 77.4 | 96.2 |""",
    ),
}
