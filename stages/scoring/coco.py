"""METEOR, ROUGE-L and CIDEr of PTB tokens, as the COCO caption evaluation computes them (pycocoevalcap).

Of pycocoevalcap come the jar of the PTB tokenizer and the scorers of ROUGE-L and CIDEr. Its wrapper of the jar
is not used: it writes into its own package directory.
"""

import subprocess
from dataclasses import replace
from pathlib import Path

from stages.scoring import java
from stages.scoring.meteor import Meteor
from stages.scoring.scores import Metric, Metrics, Unavailable, attempt, mean

METRICS = ("METEOR", "ROUGE_L", "CIDEr")
DECIMALS = 4


def measure(hypotheses: list[str], references: list[list[str]], meteor: Meteor) -> Metrics:
    """METEOR and ROUGE_L in [0, 1], CIDEr in [0, 10]; Unavailable where Java is missing or fails.

    `references[i]` are those of `hypotheses[i]`, at least one; no text holds a line break. All three take
    PTB tokens, so that without Java there is none of them.
    """
    texts = [*hypotheses, *(text for segment in references for text in segment)]
    try:
        tokenized = iter(tokenize(texts))
    except (Unavailable, OSError) as error:  # OSError: Java does not start
        return dict.fromkeys(METRICS, Unavailable(str(error)))
    hypotheses = [next(tokenized) for _ in hypotheses]
    references = [[next(tokenized) for _ in segment] for segment in references]
    # METEOR last: it reads its tables meanwhile.
    scored = (
        attempt("ROUGE_L", lambda: rouge_l(hypotheses, references))
        | attempt("CIDEr", lambda: cider(hypotheses, references))
        | attempt("METEOR", lambda: replace(meteor(hypotheses, references), decimals=DECIMALS))
    )
    return {name: scored[name] for name in METRICS}


def tokenize(texts: list[str]) -> list[str]:
    """PTB tokens of each text (Stanford CoreNLP 3.4.1): lowercased, no punctuation but brackets (-lrb-).

    Raises Unavailable if Java is missing or fails, OSError if it does not start.
    """
    from pycocoevalcap.tokenizer import ptbtokenizer as package

    jar = Path(package.__file__).with_name(package.STANFORD_CORENLP_3_4_1_JAR)
    command = [java.find(), "-cp", str(jar), "edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase"]
    lines = "\n".join(texts).encode(errors="replace")  # half a surrogate pair, which JSON allows, has no bytes
    done = subprocess.run(command, input=lines, capture_output=True)
    tokenized = done.stdout.decode().split("\n")
    if done.returncode or len(tokenized) != len(texts):
        raise java.failure("the PTB tokenizer", done.returncode, done.stderr)
    punctuation = frozenset(package.PUNCTUATIONS)
    return [" ".join(word for word in line.rstrip().split(" ") if word not in punctuation) for line in tokenized]


def rouge_l(hypotheses: list[str], references: list[list[str]]) -> Metric:
    """Mean ROUGE-L F (beta 1.2) of the segments in [0, 1]; takes PTB tokens. Not the F1 of rouge-score."""
    from pycocoevalcap.rouge.rouge import Rouge

    return mean(Rouge().compute_score(*_by_segment(hypotheses, references))[1], DECIMALS)


def cider(hypotheses: list[str], references: list[list[str]]) -> Metric:
    """Mean CIDEr of the segments in [0, 10]; takes PTB tokens. Its weights come from these references.

    Raises Unavailable if no reference has a word.
    """
    from pycocoevalcap.cider.cider import Cider

    if not any(text for segment in references for text in segment):
        raise Unavailable("no reference has a word that is not punctuation")
    return mean(Cider().compute_score(*_by_segment(hypotheses, references))[1], DECIMALS, whole_set_only=True)


def _by_segment(hypotheses: list[str], references: list[list[str]]) -> tuple[dict, dict]:
    """pycocoevalcap's arguments: references and hypotheses by segment."""
    return dict(enumerate(references)), {segment: [text] for segment, text in enumerate(hypotheses)}
