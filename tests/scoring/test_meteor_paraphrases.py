"""Which pairs of METEOR's table are left for given texts, and the table's place in the cache. Equality: test_meteor."""

import gzip
import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from stages.core.cache import CACHE
from stages.core.errors import UserError
from stages.scoring import meteor_paraphrases
from stages.scoring.meteor_paraphrases import Paraphrases
from stages.scoring.scores import Unavailable

PAIRS = [
    ("the inn", "a pub"),
    ("pub", "inn"),
    ("pub", "bar"),
    ("a pub", "the inn"),
    ("pub", "inn"),
    (",", "and"),
    ("and", ";"),
    ("do n't", "never"),
    ("u.s.", "us"),
    ("naïve", "café"),
]


def table(path, pairs):
    path.write_bytes(gzip.compress("".join(f"0.5\n{first}\n{second}\n" for first, second in pairs).encode()))
    return path


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache" / "meteor"


@pytest.fixture
def found(cache, tmp_path):
    return Paraphrases.of(table(tmp_path / "table.gz", PAIRS))


def left(found, hypotheses, references):
    """The pairs of `between`."""
    lines = found.between(hypotheses, references).decode().split("\n")
    assert lines.pop() == "" and set(lines[::3]) <= {"0"}
    return list(zip(lines[1::3], lines[2::3], strict=True))


@pytest.mark.parametrize(
    ("hypotheses", "references", "expected"),
    [
        (["The pub"], ["the inn"], [PAIRS[1], PAIRS[4]]),
        (["an inn"], ["The pub"], [PAIRS[1], PAIRS[4]]),
        (["It is a pub."], ["Is it the inn?"], [PAIRS[0], PAIRS[1], PAIRS[3], PAIRS[4]]),
        (["x", "a pub", "x"], ["y", "x the inn", "y"], [PAIRS[0], PAIRS[1], PAIRS[3], PAIRS[4]]),
        (["a", "pub"], ["the inn"], [PAIRS[1], PAIRS[4]]),  # no phrase goes from one text to the next
        (["pub a"], ["inn the"], [PAIRS[1], PAIRS[4]]),
        (["xpub"], ["inns"], []),  # nor begins or ends in a word
        (["apub"], ["theinn"], [PAIRS[0], PAIRS[3]]),  # a pair too many: white space does not count
        (["the inn a pub"], ["x"], []),  # both in hypotheses, none in a reference
        (["x"], ["x and y"], [PAIRS[5], PAIRS[6]]),  # punctuation may be everywhere
        (["I DON'T"], ["I never"], [PAIRS[7]]),
        (["I don’t"], ["I never"], [PAIRS[7]]),
        (["US"], ["the U.S.-based"], [PAIRS[8]]),
        (["U.S"], ["u.s."], [PAIRS[8]]),
        (["NAÏVE"], ["a CAFÉ"], [PAIRS[9]]),
        ([""], [""], []),
        ([], [], []),
    ],
)
def test_the_pairs_that_can_match(found, hypotheses, references, expected):
    assert left(found, hypotheses, references) == expected


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("5\u212a", "5 k"),  # the Kelvin sign
        ("\u0130stanbul", "i\u0307stanbul"),
        ("xDOTDOTMULTIy", "x..y"),
        ("1990's", "1990 's"),
        ("3,000.5%", "3,000.5 %"),
        ("co--operate", "co operate"),
        ("a\u2028b\x0bc\x1cd", "b c"),
        ("\ud800x 中y", "x y"),
    ],
)
def test_what_the_jar_makes_of_a_text(cache, tmp_path, text, phrase):
    found = Paraphrases.of(table(tmp_path / "table.gz", [(phrase, "other")]))
    assert left(found, [text], ["other"]) == left(found, ["other"], [text]) == [(phrase, "other")]
    assert left(found, [text[1:]], ["another"]) == []


WORDS = st.lists(st.sampled_from(["a", "b", "ab", "ba", "aab", "0", "-", "'"]), min_size=1, max_size=6).map(" ".join)


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=20), st.lists(WORDS), st.lists(WORDS))
def test_no_pair_is_left_that_cannot_match_and_none_is_lost(tmp_path_factory, pairs, hypotheses, references):
    def standing(phrase, texts):
        """By strings in place of hashes."""
        words = "".join(phrase.replace("-", " ").replace("'", " ").split())
        for text in texts:
            runs = text.replace("-", " ").replace("'", " ").split()
            ends = range(len(runs) + 1)
            if any("".join(runs[start:end]) == words for end in ends for start in range(end + 1)):
                return True
        return not words

    found = meteor_paraphrases.prepared(table(tmp_path_factory.mktemp("table") / "table.gz", pairs))
    assert left(found, hypotheses, references) == [
        (first, second)
        for first, second in pairs
        if (standing(first, hypotheses) and standing(second, references))
        or (standing(second, hypotheses) and standing(first, references))
    ]


def test_more_phrases_than_are_hashed_at_a_time(monkeypatch, cache, tmp_path):
    monkeypatch.setattr(meteor_paraphrases, "_BLOCK", 3)
    found = Paraphrases.of(table(tmp_path / "table.gz", PAIRS))
    assert left(found, ["It is a pub."], ["Is it the inn?"]) == [PAIRS[0], PAIRS[1], PAIRS[3], PAIRS[4]]


def test_prepared_once(cache, tmp_path, monkeypatch):
    file = table(tmp_path / "table.gz", PAIRS)
    before = Paraphrases.of(file)
    name = f"{hashlib.sha256(file.read_bytes()).hexdigest()}-1.safetensors"
    assert sorted(path.name for path in cache.iterdir()) == [name, f"{name}.lock"]
    monkeypatch.setattr(meteor_paraphrases, "prepared", lambda table: pytest.fail("prepared again"))
    after = Paraphrases.of(file)
    for name, array in vars(before).items():
        np.testing.assert_array_equal(array, getattr(after, name), strict=True)


def test_another_table_is_another_file(cache, tmp_path):
    file = table(tmp_path / "table.gz", PAIRS)
    Paraphrases.of(file)
    assert left(Paraphrases.of(table(file, [("x", "y")])), ["x"], ["y"]) == [("x", "y")]


def cut(data):
    return data[:-1]


def one_bit(data):
    return data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: b"no such file", cut, one_bit])
def test_a_damaged_cache_is_made_again(found, cache, tmp_path, capsys, damage):
    (file,) = cache.glob("*.safetensors")
    good = file.read_bytes()
    file.write_bytes(damage(good))
    again = Paraphrases.of(tmp_path / "table.gz")
    assert capsys.readouterr().err == f"{file} is damaged: it is made again\n"
    assert file.read_bytes() == good
    np.testing.assert_array_equal(again.pairs, found.pairs)
    assert Paraphrases.of(tmp_path / "table.gz") and capsys.readouterr().err == ""


def test_a_file_of_another_kind_in_the_cache(found, cache, tmp_path, capsys):
    (file,) = cache.glob("*.safetensors")
    save_file(vars(found) | {"pairs": found.pairs[:, :1].copy()}, file)
    assert left(Paraphrases.of(tmp_path / "table.gz"), ["pub"], ["bar"]) == [PAIRS[2]]
    assert capsys.readouterr().err == f"{file} is damaged: it is made again\n"


def test_a_cache_that_cannot_be_read(found, cache, tmp_path):
    (file,) = cache.glob("*.safetensors")
    file.unlink()
    file.mkdir()
    with pytest.raises(UserError) as error:
        Paraphrases.of(tmp_path / "table.gz")
    assert str(error.value).startswith(f"cannot read {file}: ") and "PREFIX_CACHE" in str(error.value)


def test_a_cache_that_cannot_be_written(cache, tmp_path):
    cache.parent.write_text("a file")
    with pytest.raises(UserError, match=r"cannot write .*: Not a directory; the environment variable PREFIX_CACHE"):
        Paraphrases.of(table(tmp_path / "table.gz", PAIRS))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (cut, "is damaged: install pycocoevalcap again"),
        (lambda data: data[:20], "is damaged: install pycocoevalcap again"),
        (lambda data: b"<html>", "is damaged: install pycocoevalcap again"),
        (lambda data: gzip.compress(b"0.5\na\nb\n0.5\na\n"), "is damaged: install pycocoevalcap again"),
        (lambda data: gzip.compress(b""), "is damaged: install pycocoevalcap again"),
    ],
)
def test_a_table_that_cannot_be_read(cache, tmp_path, damage, reason):
    file = table(tmp_path / "table.gz", PAIRS)
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(Unavailable) as error:
        Paraphrases.of(file)
    assert str(error.value) == f"METEOR's table {file} {reason}"
    assert not list(cache.glob("*.safetensors"))


def test_no_table(cache, tmp_path):
    with pytest.raises(Unavailable) as error:
        Paraphrases.of(tmp_path / "none.gz")
    assert str(error.value) == f"cannot read {tmp_path}/none.gz: No such file or directory"
