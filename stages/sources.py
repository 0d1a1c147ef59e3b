"""The section `sources` of params.yaml with its types: where each task's data come from."""

from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from stages.core.sections import Count, Section, Whole, to_number

HTTPS = Annotated[str, Field(pattern="^https://")]


class File(Section):
    """One public file: where it is, and the checksums of the versions of it that are right.

    `sha256:<hex>`, or `git:<hex>`, the object name that git (and GitHub) gives its content.
    """

    url: HTTPS
    checksums: Annotated[
        list[Annotated[str, Field(pattern="^(sha256:[0-9a-f]{64}|git:[0-9a-f]{40})$")]], Field(min_length=1)
    ]


class Files(Section):
    """Public files by name: from a directory `root` that holds those names, or downloaded; checked either way."""

    root: str | None
    files: dict[str, File]


class DartFiles(Files):
    """Which of the files is which split (the train set may be read from the dev file, say)."""

    train: str
    dev: str
    test: str

    @model_validator(mode="after")
    def _known(self) -> "DartFiles":
        for split in ("train", "dev", "test"):
            if getattr(self, split) not in self.files:
                raise ValueError(f"{split} must be one of {', '.join(self.files)}, not {getattr(self, split)}")
        return self


class Tree(Section):
    """A folder of public files: the directory `root`, or `folder` of the archive at `url`; `sha256` is of the whole."""

    root: str | None
    url: HTTPS
    folder: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Hub(Section):
    """A dataset of the Hugging Face hub at a revision, or a local jsonl file or directory `root`.

    `split_seed`: all rows are shuffled with it and divided into train, dev and test; null: the splits as published.
    """

    root: str | None
    dataset: str
    revision: str
    split_seed: Whole | None


class Lines(Section):
    """JSON lines in a directory `root`, or a dataset of the Hugging Face hub (`config` null: its only one)."""

    root: str | None
    dataset: str
    config: str | None
    revision: str


class Rows(Lines):
    """`divide`: the validation rows are divided into train, dev and test; else `dev_share` of the training rows is dev."""

    dev_share: Annotated[float, BeforeValidator(to_number), Field(gt=0, lt=1)]
    divide: bool


class Shift(Section):
    """One data set to learn from, another to be tested on."""

    learnt: Rows
    tested: Lines


class Columns(Section):
    """CoNLL's columns in a directory `root`, or a dataset of the Hugging Face hub.

    `names` are the tags by number, for a dataset that does not say.
    """

    root: str | None
    dataset: str | None
    config: str | None
    revision: str
    names: list[str] | None


class Generated(Section):
    seed: Whole
    train: Count
    dev: Count
    test: Count


class Described(Generated):
    references: Count


class Sources(Section):
    e2e: Files
    webnlg: Tree
    dart: DartFiles
    xsum: Hub
    mini_e2e: Described
    mini_webnlg: Described
    mini_xsum: Generated
    boolq: Rows
    cb: Rows
    copa: Rows
    multirc: Rows
    record: Rows
    rte: Rows
    wic: Rows
    wsc: Rows
    wsc_referent: Rows
    mini_rte: Generated
    conll2003: Columns
    conll04: Columns
    ontonotes: Columns
    mini_conll2003: Generated
    qqp: Rows
    mrpc: Rows
    qqp_to_mrpc: Shift
    mrpc_to_qqp: Shift
    squad_to_mrqa: Shift
