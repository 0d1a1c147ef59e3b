"""What the E2E challenge's measure_scores.py runs of the COCO evaluation: pycocoevalcap, through its own wrappers.

The script runs mteval in Perl beside it, so this is less than its whole time.

    python bench/coco_evaluation.py HYPOTHESES REFERENCES
"""

import sys

from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.meteor.meteor import Meteor
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

from stages.core.files import TextFile
from stages.scoring import e2e


def captions(texts: list[list[str]]) -> dict[int, list[dict[str, str]]]:
    return {segment: [{"caption": text} for text in of_segment] for segment, of_segment in enumerate(texts)}


def main() -> None:
    hypotheses, references = e2e.read(TextFile(sys.argv[1]), [TextFile(sys.argv[2])])
    tokenizer = PTBTokenizer()
    tokenized = tokenizer.tokenize(captions(references)), tokenizer.tokenize(captions([[text] for text in hypotheses]))
    for name, scorer in {"METEOR": Meteor(), "ROUGE_L": Rouge(), "CIDEr": Cider(), "Bleu": Bleu(4)}.items():
        score, _ = scorer.compute_score(*tokenized)
        print(name, score)


if __name__ == "__main__":
    main()
