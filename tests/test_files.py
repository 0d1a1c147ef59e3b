"""Nothing is ever half-written, and a wrong file is named with its line."""

import os
import re
import resource
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from stages.core.errors import UserError
from stages.core.files import TextFile, read_json, read_jsonl, read_text, replacing, write_jsonl, write_text


def test_replaces_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep/file.txt"
    write_text(path, "old\n")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old\n" and [p.name for p in path.parent.iterdir()] == ["file.txt"]
    write_text(path, "new\n")
    assert path.read_text() == "new\n"


def test_replaces_a_directory(tmp_path):
    for name in ("one", "two"):
        with replacing(tmp_path / "out") as directory:
            directory.mkdir()
            (directory / name).write_text(name)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["two"]


def test_a_reader_finds_one_of_two_directories_at_any_time(tmp_path):
    """Each is whole while the other takes its place, again and again."""
    out, stop, missing = tmp_path / "out", threading.Event(), []

    def read():
        while not stop.is_set():
            try:
                descriptor = os.open(out, os.O_RDONLY)
            except FileNotFoundError:
                missing.append(out)
            else:
                os.close(descriptor)

    for number in range(300):
        with replacing(out) as directory:
            directory.mkdir()
            (directory / "file").write_text(str(number))
        if number == 0:
            reader = threading.Thread(target=read)
            reader.start()
    stop.set()
    reader.join()
    assert not missing and (out / "file").read_text() == "299" and [p.name for p in tmp_path.iterdir()] == ["out"]


def test_without_an_exchange_by_the_system_directories_are_renamed(tmp_path, monkeypatch):
    monkeypatch.setattr("stages.core.files.ctypes.CDLL", lambda *_, **__: object())
    test_replaces_a_directory(tmp_path)


def test_what_a_killed_process_has_left_is_deleted(tmp_path):
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    for process in (done.pid, os.getpid()):
        (tmp_path / f".file.{process}.tmp").write_text("half")
        (tmp_path / f".dir.{process}.tmp").mkdir()
    write_text(tmp_path / "file", "new\n")
    with replacing(tmp_path / "dir") as directory:
        shutil.rmtree(directory)
        directory.mkdir()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["dir", "file"]


def test_a_place_that_is_read_only_is_one_line(tmp_path, monkeypatch):
    """The error that led to it is told, not that of deleting what was not written."""

    def refuse(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("stages.core.files.os.replace", refuse)
    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    with pytest.raises(UserError, match=rf"^cannot write {re.escape(str(tmp_path))}/file: Read-only file system$"):
        write_text(tmp_path / "file", "new\n")


FULL_DISK = """
import sys
from pathlib import Path
from stages.core.errors import entry_point
from stages.core.files import write_jsonl, write_text
import stages.methods.parts.saved as saved, stages.training.checkpoint as checkpoint, torch

@entry_point
def main():
    out = Path(sys.argv[2])
    if sys.argv[1] == "lines":
        write_jsonl(out, ({"text": "x" * 1000} for _ in range(1000)))
    elif sys.argv[1] == "prefix":
        from tests.conftest import config_of  # takes seconds
        saved.save(out, config_of("prefix"), {"decoder": torch.zeros(1, 3, 2, 4, 5000, 8)}, {})
    else:
        module = torch.nn.Linear(1000, 1000)
        checkpoint.Checkpoint(out).save(module, [], 1)

main()
"""


@pytest.mark.parametrize("what", ["lines", "prefix", "checkpoint"])
@pytest.mark.slow
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, request, what):
    """A limit on the size of files stands for the full disk: the same error at the same call."""
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, what, str(out)], capture_output=True, text=True, cwd=request.config.rootpath,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith(f"error: cannot write {out}"), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_reads_lines_and_names_the_wrong_one(tmp_path):
    path = tmp_path / "lines.jsonl"
    write_jsonl(path, [{"a": "é\u2028"}, {"a": 1}])
    assert read_jsonl(path) == [{"a": "é\u2028"}, {"a": 1}]
    path.write_text('{"a": 1}\n\n{"a": \n')
    with pytest.raises(UserError, match=r"lines.jsonl, line 3: not JSON"):
        read_jsonl(path)
    path.write_bytes(b"ok\n\xff\n")
    with pytest.raises(UserError, match=r"lines.jsonl, line 2: byte 0xff is not UTF-8"):
        read_text(path)
    with pytest.raises(UserError, match=r"cannot read .*none: No such file"):
        read_text(tmp_path / "none")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}\n[' + "7" * 4_301 + "]\n", "line 2: a whole number of more than 4,300 digits"),
        ('{"a": 1}\n' + "[" * 100_000, "line 2: JSON that is nested too deeply to be read"),
        ('{"a": 1}\n' + '{"a":' * 100_000, "line 2: JSON that is nested too deeply to be read"),
    ],
)
def test_json_that_python_cannot_hold_is_named_too(tmp_path, text, message):
    path = tmp_path / "a.jsonl"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        read_jsonl(path)
    assert str(error.value) == f"{path}, {message}"
    path.write_text(text.partition("\n")[2])
    with pytest.raises(UserError) as error:
        read_json(path)
    assert str(error.value) == f"{path}: {message.partition(': ')[2]}"


def test_json_names_the_line_of_a_file(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"a": 1,\n "b": }\n')
    with pytest.raises(UserError, match=r"a\.json, line 2: not JSON \(Expecting value\)$"):
        read_json(path)


def test_a_pipe_is_read_once():
    reads, writes = os.pipe()
    os.write(writes, b"a\r\nb\n")
    os.close(writes)
    file = TextFile(f"/dev/fd/{reads}")
    assert (file.lines, file.text, file.lines) == (["a", "b"], "a\r\nb\n", ["a", "b"])
    os.close(reads)


ROOT = Path(__file__).parents[1]
_LOADS = re.compile(r"\bjson\.loads?\(")


def test_no_stage_reads_json_by_other_means():
    """Each would be one more place for a traceback. The one of the models says the same of a file whatever it is."""
    readers = {str(path.relative_to(ROOT)) for path in ROOT.glob("stages/**/*.py") if _LOADS.search(path.read_text())}
    assert readers - {"stages/models/model_files.py"} == {"stages/core/files.py"}
