"""The E2E reader and its linearization: exact strings, exact rows, and an error with a line for everything else."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import UserError
from stages.core.record import Record
from stages.tasks import Linearize, e2e

PLAIN = Linearize(tokenize_targets=False, authors_first_entry=False)
values = st.text(st.characters(exclude_characters="[],", exclude_categories=("Cs", "Cc")), max_size=20)


@pytest.mark.parametrize(
    ("mr", "source"),
    [
        ("name[Corner Oak], eatType[coffee shop], area[city centre]", "name : Corner Oak | Type : coffee shop | area : city centre"),
        ("name[Oak], priceRange[£20-25]", "name : Oak | price : £ 20 - 25"),
        ("name[Oak], priceRange[less than £20], familyFriendly[no]", "name : Oak | price : less than £ 20 | family friendly : no"),
        ("near[Café Tarno], customer rating[3 out of 5], food[Thai], name[Oak]",
         "name : Oak | food : Thai | customer rating : 3 out of 5 | near : Café Tarno"),
    ],
)  # fmt: skip
def test_linearized_strings(mr, source):
    assert e2e.linearize_mr(e2e.parse_mr(mr)) == source


def test_words_set_apart():
    assert (
        e2e.tokenize_words("It's a family-friendly pub, isn't it?  £10.50.")
        == "It 's a family - friendly pub , is n't it ? £ 10.50 ."
    )


@pytest.mark.parametrize(
    ("text", "left_out"),
    [
        ("The Oak is a cheap riverside pub near Café Tarno. Families rate it 3 out of 5.", []),
        ("the oak, close to café tarno: a coffee shop in the city centre, £20-25, five stars, no kids", []),
        ("The Oak is a pub near Cafe Tarno.", ["price", "customer rating", "area", "family friendly", "near"]),
        ("Oak Tree has high prices.", ["name", "Type", "customer rating", "area", "family friendly", "near"]),
        ("", ["name", "Type", "price", "customer rating", "area", "family friendly", "near"]),
    ],
)
def test_fields_that_a_text_leaves_out(text, left_out):
    """Names letter by letter; of the others any word for the field, even with another value."""
    mr = "name[The Oak], eatType[pub], priceRange[cheap], customer rating[3 out of 5], area[riverside], familyFriendly[yes]"
    found = e2e.mentioned(e2e.linearize_mr(e2e.parse_mr(f"{mr}, near[Café Tarno]")), text)
    assert [field for field, there in found.items() if not there] == left_out and len(found) == 7


@given(st.dictionaries(st.sampled_from(sorted(e2e.FIELDS)), values, min_size=1))
def test_parses_what_it_is_given(fields):
    assert e2e.parse_mr(", ".join(f"{key}[{value}]" for key, value in fields.items())) == fields


@pytest.mark.parametrize(
    ("mr", "message"),
    [
        ("", "is empty"),
        ("name[Oak", "expected field"),
        ("name[Oak],area[riverside]", "expected field"),
        ("name[Oak], ", "expected field"),
        ("name[Oak] area[riverside]", "expected field"),
        ("name[Oak], name[Elm]", "stands twice"),
        ("colour[red]", "unknown field 'colour'"),
    ],
)
def test_refuses_other_meaning_representations(mr, message):
    with pytest.raises(ValueError, match=message):
        e2e.parse_mr(mr)


@given(st.lists(st.tuples(st.just("name[Oak]"), st.text(st.characters(exclude_categories=("Cs",)))), min_size=1))
def test_reads_every_row_exactly(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("e2e") / "rows.csv"
    text = io.StringIO(newline="")
    csv.writer(text).writerows([("mr", "ref"), *rows])
    path.write_bytes(text.getvalue().encode())
    assert e2e.read_rows(path) == [({"name": "Oak"}, reference) for _, reference in rows]


def test_line_ends_quotes_and_duplicates(tmp_path):
    path = tmp_path / "trainset.csv"
    path.write_bytes(
        b'mr,ref\r\nname[A],One.\r\nname[A],"Two\r\nlines, ""quoted""."\r\nname[A],One.\r\n"name[B], food[Thai]",x\r\n'
    )
    assert [reference for _, reference in e2e.read_rows(path)] == ["One.", 'Two\r\nlines, "quoted".', "One.", "x"]
    for name in ("devset.csv", "testset_w_refs.csv"):
        (tmp_path / name).write_bytes(b'"mr","ref"\n"name[C]","y"\n')
    first, second = e2e.linearize(tmp_path, PLAIN)["train"]
    assert (first.id, first.source, first.name) == ("train-00000", "name : A", "A")
    assert first.targets == ["One.", 'Two lines, "quoted".', "One."]
    assert second.source == "name : B | food : Thai"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "line 1: the header must be mr,ref"),
        (b"MR\nname[A]\n", "line 1: the header must be mr,ref, not MR"),
        (b"mr,ref\n", "has no rows"),
        (b"mr,ref\nname[A],x\nname[A]\n", "line 3: 1 columns, not 2"),
        (b'mr,ref\nname[A],"two\nlines"\nname{A},x\n', "line 4: meaning representation expected"),
        (b'mr,ref\nname[A],"open\n', "line 2: not CSV"),
        (b"mr,ref\nname[A],x\nname[A],caf\xe9\n", "line 3: byte 0xe9 is not UTF-8"),
    ],
)
def test_says_which_line_is_wrong(tmp_path, data, message):
    path = tmp_path / "trainset.csv"
    path.write_bytes(data)
    with pytest.raises(UserError, match=message) as error:
        e2e.read_rows(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_the_authors_own_layout():
    records = [Record("a", "name : Oak | price : £ 20 - 25", ["Oak is family-friendly.", "Oak, £20-25."])]
    files = e2e.authors_files({"train": records, "dev": [], "test": records[:1]})
    assert sorted(files) == ["src1_test.txt", "src1_train.txt", "src1_valid.txt"] and files["src1_valid.txt"] == ""
    assert files["src1_train.txt"] == (
        "name : Oak | price : £ 20 - 25||Oak is family - friendly . \n"
        "name : Oak | price : £ 20 - 25||Oak , £ 20 - 25 . \n"
    )
