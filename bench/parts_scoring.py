"""Official scores, beside what PyPI has of the challenge's own script (`bench/scoring.py`)."""

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.scoring import programs, seconds
from bench.turns import Bench, Row, timed
from stages.core.files import write_text
from stages.core.record import read_records

MOST = 300
COLUMNS = 3  # files of references that WebNLG's scripts read


def scoring(bench: Bench) -> Iterator[Row]:
    """The first target of each test record, held out, against the others."""
    records = [record for record in read_records(Path(bench.home) / "test.jsonl") if len(record.targets) > 1][:MOST]
    references = [record.targets[1:] for record in records]
    with TemporaryDirectory() as directory:
        hypotheses, groups = Path(directory, "hypotheses.txt"), Path(directory, "references.txt")
        write_text(hypotheses, "".join(f"{record.targets[0]}\n" for record in records))
        write_text(groups, "\n".join("".join(f"{target}\n" for target in segment) for segment in references))
        columns = [groups.with_name(f"references.{number}.txt") for number in range(COLUMNS)]
        for number, column in enumerate(columns):
            texts = (segment[number] if number < len(segment) else "" for segment in references)
            write_text(column, "".join(f"{text}\n" for text in texts))
        ours, peer = _best(_programs("e2e", hypotheses, [groups]))
        (alone,) = _best(_programs("webnlg", hypotheses, columns))
    what = f"E2E's metrics of {len(records)} outputs"
    yield timed("scoring", what, ours, peer, "wall time; the peer is the COCO evaluation alone, without mteval in Perl")
    what = f"WebNLG's metrics of the same outputs, {COLUMNS} files of references"
    note = "wall time; the organisers' scripts may not be passed on"
    yield Row("scoring_webnlg", what, alone["seconds"], None, "s", None, note)


def _programs(task: str, hypotheses: Path, references: list[Path]) -> list[list[str]]:
    files = {"hyp": str(hypotheses), "refs": list(map(str, references)), "subsets": None}
    return list(programs(Namespace(task=task, official=None, **files)).values())


def _best(commands: list[list[str]]) -> list[dict]:
    """The seconds of each program, the better of two, in turns."""
    turns = [[seconds(command).wall for command in commands] for _ in range(2)]
    return [{"seconds": min(turn)} for turn in zip(*turns, strict=True)]
