"""Official files: all of them with the right checksum, or none at all."""

import hashlib
import re
import socket
import subprocess
import threading
import zipfile

import pytest

from stages.core.errors import UserError
from stages.tasks.common import download
from stages.tasks.common.download import Files, Tree, fetch_files, fetch_tree, git_object_name, tree_sha256

DATA = {"a.csv": b"mr,ref\r\n", "b.csv": b"x" * 1000}
TREE = {"train/1/a.xml": b"<a/>", "train/b.xml": b"<b/>", "readme.md": b"no data"}
URL = "https://127.0.0.1:9"


def checksum(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def source(root, **checksums):
    """`checksums` stand in place of the right ones, by the letter that the file begins with."""
    files = {name: {"path": name, "checksums": checksums.get(name[0], [checksum(data)])} for name, data in DATA.items()}
    return Files(root=root and str(root), url=URL, files=files)


@pytest.fixture
def root(tmp_path):
    (tmp_path / "root").mkdir()
    for name, data in DATA.items():
        (tmp_path / "root" / name).write_bytes(data)
    return tmp_path / "root"


def contents(directory):
    return {p.relative_to(directory).as_posix(): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


def test_copies_the_files(root, tmp_path):
    fetch_files(source(root), tmp_path / "out")
    assert contents(tmp_path / "out") == DATA


def test_copies_those_that_are_named(root, tmp_path):
    (root / "b.csv").unlink()
    fetch_files(source(root), tmp_path / "out", ["a.csv", "a.csv"])
    assert contents(tmp_path / "out") == {"a.csv": DATA["a.csv"]}


def test_names_may_have_a_folder(tmp_path):
    (tmp_path / "root/sub").mkdir(parents=True)
    (tmp_path / "root/sub/c.lex").write_bytes(b"c")
    files = {"sub/c.lex": {"path": "c", "checksums": [checksum(b"c")]}}
    fetch_files(Files(root=str(tmp_path / "root"), url=URL, files=files), tmp_path / "out")
    assert contents(tmp_path / "out") == {"sub/c.lex": b"c"}


def test_downloads_the_files(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_download", lambda url, path: path.write_bytes(DATA[url.removeprefix(f"{URL}/")]))
    fetch_files(source(None), tmp_path / "out")
    assert contents(tmp_path / "out") == DATA


def test_a_file_that_is_there_is_not_downloaded_again(tmp_path, monkeypatch):
    """Nor is one with a wrong checksum kept, or one that no source names."""
    asked = []

    def fake(url, path):
        asked.append(url)
        path.write_bytes(DATA[url.removeprefix(f"{URL}/")])

    monkeypatch.setattr(download, "_download", fake)
    fetch_files(source(None), tmp_path / "out")
    fetch_files(source(None), tmp_path / "out")
    assert asked == [f"{URL}/a.csv", f"{URL}/b.csv"]
    (tmp_path / "out/a.csv").write_bytes(b"mr")
    (tmp_path / "out/stale.csv").write_bytes(b"")
    fetch_files(source(None), tmp_path / "out")
    assert asked[2:] == [f"{URL}/a.csv"] and contents(tmp_path / "out") == DATA
    fetch_files(source(None), tmp_path / "beside", earlier=tmp_path / "out")
    assert asked[3:] == [] and contents(tmp_path / "beside") == DATA


def test_what_is_there_stays_whole_when_a_download_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_download", lambda url, path: path.write_bytes(DATA[url.removeprefix(f"{URL}/")]))
    fetch_files(source(None), tmp_path / "out")
    (tmp_path / "out/b.csv").write_bytes(b"an older version")
    before = contents(tmp_path / "out")
    monkeypatch.setattr(download, "_download", lambda url, path: path.write_bytes(b"cut"))
    with pytest.raises(UserError, match=r"b.csv has sha256 [0-9a-f]{64}, but params.yaml expects"):
        fetch_files(source(None), tmp_path / "out")
    assert contents(tmp_path / "out") == before and [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_directory_of_ones_own_is_read_again(root, tmp_path):
    """It is on this machine: what is wrong with it is to be said, whatever was copied from it before."""
    fetch_files(source(root), tmp_path / "out")
    (root / "b.csv").unlink()
    with pytest.raises(UserError, match=r"b.csv does not exist"):
        fetch_files(source(root), tmp_path / "out")
    assert contents(tmp_path / "out") == DATA


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nxx", "it broke off behind 2 of 1,000 bytes"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nxx", "IncompleteRead"),
        (b"what\r\n", "what"),
        (b"", "Remote end closed connection without response"),
    ],
)
def test_a_download_that_breaks_off_is_one_line(tmp_path, monkeypatch, answer, said):
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/b.csv"
        with pytest.raises(UserError, match=rf"^cannot download {url} \({re.escape(said)}.*\): set sources"):
            download._download(url, tmp_path / "b.csv")


def test_git_object_names(root, tmp_path):
    # `git hash-object` on a file that holds "hello\n"
    (root / "hello").write_bytes(b"hello\n")
    assert git_object_name(root / "hello") == "ce013625030ba8dba906f756967f9e9ca394464a"
    name = subprocess.run(["git", "hash-object", "--no-filters", root / "a.csv"], capture_output=True, text=True).stdout
    fetch_files(source(root, a=[f"git:{name.strip()}"]), tmp_path / "out")
    assert contents(tmp_path / "out") == DATA


def test_one_of_several_checksums_is_enough(root, tmp_path):
    wrong = [checksum(b""), f"git:{'0' * 40}"]
    fetch_files(source(root, b=[*wrong, checksum(DATA["b.csv"])]), tmp_path / "out")
    with pytest.raises(UserError, match=f"b.csv has sha256 .* expects {wrong[0]} or {wrong[1]}: not the official file"):
        fetch_files(source(root, b=wrong), tmp_path / "other")
    assert not (tmp_path / "other").exists()


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
        fetch_files(source(root), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["root"]


def test_says_what_to_do_without_a_network(tmp_path):
    with pytest.raises(UserError, match=rf"cannot download {URL}/a.csv .* set sources.<task>.root"):
        fetch_files(source(None), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


# ---- Folders --------------------------------------------------------------------------------------


def write_tree(directory, files=TREE):
    for name, data in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(data)
    return directory


@pytest.fixture
def tree(tmp_path):
    """The source of a folder, whose checksum is of its two XML files."""
    lines = "".join(f"{hashlib.sha256(TREE[name]).hexdigest()}  {name}\n" for name in ("train/1/a.xml", "train/b.xml"))
    sha256 = hashlib.sha256(lines.encode()).hexdigest()
    return Tree(root=None, url=f"{URL}/archive.zip", folder="challenge", sha256=sha256)


XML = {name: data for name, data in TREE.items() if name.endswith(".xml")}


def test_copies_a_folder(tree, tmp_path):
    root = write_tree(tmp_path / "root")
    fetch_tree(tree.model_copy(update={"root": str(root)}), tmp_path / "out", ".xml")
    assert contents(tmp_path / "out") == XML and tree_sha256(tmp_path / "out") == tree.sha256


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "train/b.xml").write_bytes(b"<b>"), "the .xml files in .*root have sha256 .* not the"),
        (lambda root: (root / "train/b.xml").rename(root / "b.xml"), "not the official files"),
        (lambda root: root.rename(root.with_name("moved")), "root does not exist: sources.<task>.root must be a dir"),
    ],
    ids=["damaged", "moved file", "missing"],
)
def test_refuses_another_folder(tree, tmp_path, damage, message):
    damage(write_tree(tmp_path / "root"))
    with pytest.raises(UserError, match=message):
        fetch_tree(tree.model_copy(update={"root": str(tmp_path / "root")}), tmp_path / "out", ".xml")
    assert len(list(tmp_path.iterdir())) == 1


def serve(monkeypatch, files):
    def archived(url, path):
        assert url == f"{URL}/archive.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)

    monkeypatch.setattr(download, "_download", archived)


def test_unpacks_the_folder_of_an_archive(tree, tmp_path, monkeypatch):
    inside = {f"repository-1c/challenge/{name}": data for name, data in TREE.items()}
    outside = {
        "repository-1c/other/c.xml": b"<c/>",
        "repository-1c/challenge/../../../escaped.xml": b"<d/>",
        "../challenge/escaped.xml": b"<d/>",
    }
    serve(monkeypatch, inside | outside)
    fetch_tree(tree, tmp_path / "out", ".xml")
    assert contents(tmp_path) == {f"out/{name}": data for name, data in XML.items()}
    assert not list(tmp_path.parent.glob("escaped.xml"))


def test_leaves_nothing_of_a_wrong_archive(tree, tmp_path, monkeypatch):
    serve(monkeypatch, {"challenge/a.xml": b"<a/>"})
    with pytest.raises(UserError, match=r"the \.xml files in .*archive\.zip have sha256 .* not the official files"):
        fetch_tree(tree, tmp_path / "out", ".xml")
    monkeypatch.setattr(download, "_download", lambda url, path: path.write_bytes(b"no archive"))
    with pytest.raises(UserError, match=r"archive\.zip is no archive"):
        fetch_tree(tree, tmp_path / "out", ".xml")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_not_downloaded_again(tree, tmp_path, monkeypatch):
    asked = []

    def archived(url, path):
        asked.append(url)
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in TREE.items():
                archive.writestr(f"challenge/{name}", data)

    monkeypatch.setattr(download, "_download", archived)
    for _ in range(2):
        fetch_tree(tree, tmp_path / "out", ".xml")
    assert asked == [tree.url]
    (tmp_path / "out/stale.xml").write_bytes(b"<a/>")
    fetch_tree(tree, tmp_path / "out", ".xml")
    assert asked == [tree.url] * 2 and contents(tmp_path / "out") == XML
