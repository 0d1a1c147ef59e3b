"""`python -m bench.compatibility`: which architectures work, into docs/compatibility.md.

    python -m bench.compatibility [--only NAME ...]

`--only` tries some cases and prints their rows; the document is written when all are tried.
"""

import argparse
import sys
from pathlib import Path

import torch
from transformers.utils import logging

from bench.compatibility.document import page, row
from bench.compatibility.families import FAMILIES
from bench.compatibility.run import run
from stages.core.errors import UserError, entry_point
from stages.core.files import write_text

DOCUMENT = Path("docs/compatibility.md")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.compatibility", description=__doc__.splitlines()[0])
    parser.add_argument("--only", metavar="NAME", nargs="+", help="names of cases")
    return parser.parse_args()


@entry_point
def main() -> None:
    chosen = arguments().only
    names = [case.name for family in FAMILIES for case in family.cases]
    if unknown := set(chosen or ()) - set(names):
        raise UserError(f"no case {min(unknown)}; there are {', '.join(names)}")
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    results = []
    for family in FAMILIES:
        for case in family.cases:
            if chosen is None or case.name in chosen:
                results.append(result := run(family, case))
                print(row(result), flush=True)
                if chosen and result.trace:
                    print(result.trace, file=sys.stderr)
    if chosen is None:
        write_text(DOCUMENT, page(results))


if __name__ == "__main__":
    main()
