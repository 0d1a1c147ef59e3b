"""Stage: check all studies of params.yaml before any work is done for one of them."""

from stages import params
from stages.errors import entry_point
from stages.files import write_text
from stages.studies.grid import DATA, cells_of

OUT = DATA / "checked"


@entry_point
def main() -> None:
    raw = params.read()
    for study in params.check(raw).studies:
        cells_of(raw, study)
    write_text(OUT, "All studies of params.yaml can be run.\n")  # always the same: it makes no cell run again


if __name__ == "__main__":
    main()
