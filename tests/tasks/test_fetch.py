"""Official files: all of them with the right checksum, or none at all."""

import hashlib

import pytest

from stages.errors import UserError
from stages.params import Files
from stages.tasks.fetch import fetch_files

DATA = {"a.csv": b"mr,ref\r\n", "b.csv": b"x" * 1000}


def source(root, url="https://127.0.0.1:9/"):
    return Files(root=root, url=url, sha256={name: hashlib.sha256(data).hexdigest() for name, data in DATA.items()})


@pytest.fixture
def root(tmp_path):
    (tmp_path / "root").mkdir()
    for name, data in DATA.items():
        (tmp_path / "root" / name).write_bytes(data)
    return tmp_path / "root"


def test_copies_the_files(root, tmp_path):
    fetch_files(source(str(root)), tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == DATA


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "b.csv").unlink(), "b.csv does not exist: sources.<task>.root must hold a.csv, b.csv"),
        (
            lambda root: (root / "b.csv").write_bytes(b"x" * 999),
            "b.csv has sha256 [0-9a-f]{64}, but params.yaml expects",
        ),
    ],
    ids=["missing", "truncated"],
)
def test_leaves_nothing_behind_when_a_file_is_wrong(root, tmp_path, damage, message):
    damage(root)
    with pytest.raises(UserError, match=message):
        fetch_files(source(str(root)), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["root"]


def test_says_what_to_do_without_a_network(tmp_path):
    with pytest.raises(UserError, match=r"cannot download https://127.0.0.1:9/a.csv .* set sources.<task>.root"):
        fetch_files(source(None), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
