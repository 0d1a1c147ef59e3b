"""METEOR 1.5, ROUGE-L and CIDEr as the COCO caption evaluation computes them (pycocoevalcap).

Of pycocoevalcap come the jars and the scorers of ROUGE-L and CIDEr. Its wrappers of the jars are not
used: that of the tokenizer writes into its own package directory, and that of METEOR waits for ever in
`__del__` when Java died.
"""

import contextlib
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from stages.scoring import java
from stages.scoring.scores import Scores, Unavailable, attempt

METRICS = ("METEOR", "ROUGE_L", "CIDEr")


def score(hypotheses: list[str], references: list[list[str]]) -> Scores:
    """METEOR and ROUGE_L in [0, 1], CIDEr in [0, 10]; None with a reason where Java is missing or fails.

    `references[i]` are those of `hypotheses[i]`, at least one; no text holds a line break. All three take
    PTB tokens, so that without Java there is none of them.
    """
    try:
        hypotheses, references = tokenize(hypotheses), _tokenize_segments(references)
    except (Unavailable, OSError) as error:  # OSError: Java does not start
        return Scores.unavailable(METRICS, str(error))
    return (
        attempt("METEOR", lambda: meteor(hypotheses, references))
        | attempt("ROUGE_L", lambda: rouge_l(hypotheses, references))
        | attempt("CIDEr", lambda: cider(hypotheses, references))
    )


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


def _tokenize_segments(references: list[list[str]]) -> list[list[str]]:
    """`tokenize` for all segments in one process."""
    tokens = iter(tokenize([text for segment in references for text in segment]))
    return [[next(tokens) for _ in segment] for segment in references]


@contextlib.contextmanager
def _meteor_process() -> Iterator[Callable[[str, int], list[str]]]:
    """A running METEOR, as a function from a line of its protocol to the given number of answered lines.

    It reads 60 MB of tables first (seconds): one process serves all segments. It ends with the block.
    """
    from pycocoevalcap.meteor import meteor as package

    jar = Path(package.__file__).with_name(package.METEOR_JAR)
    # Its own table, but named: METEOR finds it by a path that it quotes twice, and not where that has a space.
    table = jar.parent / "data" / "paraphrase-en.gz"
    options = ["-stdio", "-l", "en", "-norm", "-a", str(table)]
    command = [java.find(), "-Xmx2G", "-jar", str(jar), "-", "-", *options]
    with (
        tempfile.TemporaryFile() as stderr,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr) as process,
    ):

        def ask(line: str, answers: int) -> list[str]:
            with contextlib.suppress(BrokenPipeError):  # Java is gone: reading finds that out
                process.stdin.write(f"{line}\n".encode())
                process.stdin.flush()
            lines = [process.stdout.readline().decode() for _ in range(answers)]
            if not lines[-1]:
                status = process.wait()
                stderr.seek(0)
                raise java.failure("METEOR", status, stderr.read())
            return [line.strip() for line in lines]

        try:
            yield ask
        finally:
            process.kill()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()


def meteor(hypotheses: list[str], references: list[list[str]]) -> float:
    """Corpus METEOR 1.5 (English, normalised) in [0, 1], from the summed statistics of all segments.

    Takes tokenized text. Raises Unavailable if Java is missing or fails, also half-way.
    """
    separator = " ||| "

    def plain(text: str) -> str:
        return text.replace("|||", "| | |")

    with _meteor_process() as ask:
        statistics = []
        for hypothesis, segment in zip(hypotheses, references, strict=True):
            texts = [plain(text) for text in (*segment, hypothesis)]
            statistics += ask(separator.join(["SCORE", *texts]), 1)
        # One score per segment, then that of the corpus.
        answer = ask(separator.join(["EVAL", *statistics]), len(statistics) + 1)[-1]
    try:
        return float(answer)
    except ValueError:
        raise Unavailable(f"METEOR answered {answer[:80]!r} in place of a score") from None


def rouge_l(hypotheses: list[str], references: list[list[str]]) -> float:
    """Mean ROUGE-L F (beta 1.2) of the segments in [0, 1]; takes PTB tokens. Not the F1 of rouge-score."""
    from pycocoevalcap.rouge.rouge import Rouge

    return Rouge().compute_score(*_by_segment(hypotheses, references))[0]


def cider(hypotheses: list[str], references: list[list[str]]) -> float:
    """Mean CIDEr of the segments in [0, 10]; takes PTB tokens. Its weights come from these references.

    Raises Unavailable if no reference has a word.
    """
    from pycocoevalcap.cider.cider import Cider

    if not any(text for segment in references for text in segment):
        raise Unavailable("no reference has a word that is not punctuation")
    return Cider().compute_score(*_by_segment(hypotheses, references))[0]


def _by_segment(hypotheses: list[str], references: list[list[str]]) -> tuple[dict, dict]:
    """pycocoevalcap's arguments: references and hypotheses by segment."""
    return dict(enumerate(references)), {segment: [text] for segment, text in enumerate(hypotheses)}
