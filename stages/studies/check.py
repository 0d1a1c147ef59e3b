"""Stage: check all studies of params.yaml before any work is done for one of them; write the settings of each cell."""

from stages import params
from stages.core.errors import entry_point
from stages.core.files import replacing, write_json, write_text
from stages.studies.grid import DATA, cells_of
from stages.studies.settings import DIRECTORY, check_method, file_of, settings_of

OUT = DATA / "checked"


@entry_point
def main() -> None:
    raw = params.read()
    cells = [cell for study in params.check(raw).studies for cell in cells_of(raw, study)]
    for cell in cells:
        check_method(cell)
    with replacing(DIRECTORY) as directory:
        for cell in cells:
            write_json(directory / file_of(cell).relative_to(DIRECTORY), settings_of(cell))
    write_text(OUT, "All studies of params.yaml can be run.\n")  # always the same: it makes no data anew


if __name__ == "__main__":
    main()
