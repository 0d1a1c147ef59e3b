"""METEOR, ROUGE-L and CIDEr of PTB tokens, as the COCO caption evaluation computes them (pycocoevalcap).

Of pycocoevalcap come the jar of the PTB tokenizer and the scorer of CIDEr. Its wrapper of the jar is not used: it
writes into its own package directory.
"""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from rapidfuzz.distance import LCSseq

from stages.scoring import java
from stages.scoring.meteor import Meteor
from stages.scoring.scores import Metric, Metrics, Unavailable, attempt, mean

METRICS = ("METEOR", "ROUGE_L", "CIDEr")
DECIMALS = 4
_BETA = 1.2  # recall against precision in ROUGE-L


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
    with ThreadPoolExecutor(1) as other:
        counted = other.submit(meteor, hypotheses, references)  # Java does that meanwhile
        scored = (
            attempt("ROUGE_L", lambda: rouge_l(hypotheses, references))
            | attempt("CIDEr", lambda: cider(hypotheses, references))
            | attempt("METEOR", lambda: replace(counted.result(), decimals=DECIMALS))
        )
    return {name: scored[name] for name in METRICS}


def tokenize(texts: list[str]) -> list[str]:
    """PTB tokens of each text (Stanford CoreNLP 3.4.1): lowercased, no punctuation but brackets (-lrb-).

    Raises Unavailable if Java is missing or fails, OSError if it does not start.
    """
    from pycocoevalcap.tokenizer import ptbtokenizer as package

    jar = Path(package.__file__).with_name(package.STANFORD_CORENLP_3_4_1_JAR)
    options = ["edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase"]
    command = [java.find(), *java.SHORT, "-cp", str(jar), *options]
    lines = "\n".join(texts).encode(errors="replace")  # half a surrogate pair, which JSON allows, has no bytes
    done = subprocess.run(command, input=lines, capture_output=True)
    tokenized = done.stdout.decode().split("\n")
    if done.returncode or len(tokenized) != len(texts):
        raise java.failure("the PTB tokenizer", done.returncode, done.stderr)
    punctuation = frozenset(package.PUNCTUATIONS)
    return [" ".join(word for word in line.rstrip().split(" ") if word not in punctuation) for line in tokenized]


def rouge_l(hypotheses: list[str], references: list[list[str]]) -> Metric:
    """Mean ROUGE-L F (beta 1.2) of the segments in [0, 1]; takes PTB tokens. Not the F1 of rouge-score."""
    return mean([_rouge_l_of(*segment) for segment in zip(hypotheses, references, strict=True)], DECIMALS)


def _rouge_l_of(hypothesis: str, references: list[str]) -> float:
    """F = (1 + beta^2) P R / (R + beta^2 P): the best precision and the best recall, which may be of two references."""
    words = hypothesis.split(" ")
    in_references = [reference.split(" ") for reference in references]
    common = [LCSseq.similarity(words, other) for other in in_references]
    precision = max(common) / len(words)
    recall = max(count / len(other) for count, other in zip(common, in_references, strict=True))
    if not precision or not recall:
        return 0.0
    return (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)


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
