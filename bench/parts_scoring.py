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


def scoring(bench: Bench) -> Iterator[Row]:
    """The first target of each test record, held out, against the others."""
    records = [record for record in read_records(Path(bench.home) / "test.jsonl") if len(record.targets) > 1][:MOST]
    with TemporaryDirectory() as directory:
        hypotheses, references = Path(directory, "hypotheses.txt"), Path(directory, "references.txt")
        write_text(hypotheses, "".join(f"{record.targets[0]}\n" for record in records))
        write_text(references, "\n".join("".join(f"{target}\n" for target in r.targets[1:]) for r in records))
        commands = programs(
            Namespace(task="e2e", hyp=str(hypotheses), refs=[str(references)], subsets=None, official=None)
        )
        ours, peer = ({"seconds": min(turn)} for turn in zip(
            *([seconds(command) for command in commands.values()] for _ in range(2)), strict=True
        ))  # fmt: skip
    what = f"E2E's metrics of {len(records)} outputs"
    yield timed("scoring", what, ours, peer, "wall time; the peer is the COCO evaluation alone, without mteval in Perl")
