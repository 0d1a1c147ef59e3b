"""Tables of meaning representations and texts: what is read of them, and how outputs find their references."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.core.errors import UserError
from stages.scoring import e2e
from stages.scoring.tables import is_table, read_outputs, read_table_references

A, B, C = "name[A]", "name[B], food[x]", "name[C]"
REFERENCES = f'mr,ref\n{A},a one\n"{B}",b one\n{A},a two\n"{B}",b two\n'
WANTED = [["a one", "a two"], ["b one", "b two"]]

# What a quoted field can hold; the reader takes a CR for white space, and repairs `Ł`.
field = st.text(st.characters(codec="utf-8", exclude_characters="\rŁÂÃã"), max_size=20).map(lambda text: f"x{text}x")
newline = st.sampled_from(["\n", "\r\n"])
bom = st.sampled_from([b"", b"\xef\xbb\xbf"])
quoting = st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL])


def rows_of(file):
    return [(entry.key[0], entry.value) for entry in read_outputs(file).entries]


def table(rows, **form):
    content = io.StringIO(newline="")
    csv.writer(content, **form).writerows(rows)
    return content.getvalue().encode()


@settings(deadline=None)
@given(
    st.lists(field, min_size=1), st.permutations(["MR", "output", "id", "Note"]), st.sampled_from(",\t"), newline, bom,
    quoting, st.booleans(),
)  # fmt: skip
def test_what_a_csv_writer_writes_is_read(write, texts, header, separator, newline, bom, quoting, shout):
    """Columns in any order, extra ones too; tabs and line breaks within quotes."""
    cells = [{"MR": f"name[{i}]", "output": text, "id": str(i), "Note": 'a\t"b", c'} for i, text in enumerate(texts)]
    rows = [[row[name] for name in header] for row in cells]
    names = [name.upper() if shout else name for name in header]
    content = bom + table([names, *rows], delimiter=separator, lineterminator=newline, quoting=quoting)
    assert rows_of(write("system.csv", content)) == [(row["MR"], row["output"]) for row in cells]


@pytest.mark.parametrize(
    ("name", "text", "rows"),
    [
        ("a.csv", '"MR","ref"\n"b","one"\n\n"a","two"\n', [("b", "one"), ("a", "two")]),
        ("a.csv", 'mr,ref\na,"x ""2"" y"\na,"three\nlines"\n', [("a", 'x "2" y'), ("a", "three\nlines")]),
        ("a.csv", f"{A},one\n", [(A, "one")]),  # without a header
        ("a.csv", f'"{B}","one\ttwo"\n', [(B, "one\ttwo")]),
        ("a.csv", "mr,ref\na,one\ttwo\n", [("a", "one\ttwo")]),  # a tab in valid CSV
        ("a.csv", f"{B}\tone, two\n", [(B, "one, two")]),  # the separator is that of the first row
        ("a.tsv", "mr\tref\na\t\"one, two\"\nb\t 'three' \n", [("a", "one, two"), ("b", " 'three' ")]),
        ("a.tsv", f'{A}\tthe "one" pub\n', [(A, 'the "one" pub')]),
        ("a.tsv", 'mr\toutput\na\t"The Crane" is a pub\nb\t\n', [("a", "The Crane is a pub"), ("b", "")]),
        ("a.csv", "mr,ref\n\"a\",\"'The Crane' is a pub\"\n", [("a", "'The Crane' is a pub")]),
        ("a.csv", "mr,ref\nŁà,Â£3 at a cafÃ©\n", [("£à", "£3 at a café")]),
        ("a.csv", "System outputs,Meaning_Representation\none,a\n", [("a", "one")]),
        ("a.csv", " source ,REFERENCE,x\n a  b ,one,\n", [("a b", "one")]),
        ("a.csv", "mr,ref\ra,one\rb,two\r", [("a", "one"), ("b", "two")]),  # the old Mac's lines
        ("a.csv", "mr,ref\na,one\rtwo\n", [("a", "one two")]),
        ("a.csv", "", []),
        ("a.csv", "mr,ref\n", []),
    ],
)  # fmt: skip
def test_rows(write, name, text, rows):
    assert rows_of(write(name, text)) == rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mr,ref\nk,l\nk,l,m\n", "a.csv, line 3: 3 columns, not 2 as in the first row"),
        ("mr\tref\nk\n", "a.csv, line 2: 1 columns, not 2 as in the first row"),
        ('mr,ref\nk,l\nm,"n\n', "a.csv, line 3: not CSV (its quotation mark is never closed)"),
        ('mr\tref\nk\t"l\nm\t"n\n', "a.csv, line 2: not CSV ('\t' expected after '\"')"),
        ("mr,text\nk,l\n", "a.csv: the first row is neither a header, with one column of MRs (mr, source) and one of"),
        ("k,l\n", "a.csv: the first row is neither a header"),
        ("MR\nname[A]\n", "a.csv: the first row is neither a header"),
        ("output\none\n", "a.csv: the first row is neither a header"),
        ("mr,output,ref\nk,l,m\n", "a.csv: the first row is neither a header"),  # two that may be it
        ("mr,output,source\nk,l,m\n", "a.csv: the first row is neither a header"),
        ("He said [sic],that\n", "a.csv: the first row is neither a header"),
        (f"{A},one,two\n", "a.csv: the first row is neither a header"),
    ],
)
def test_other_tables_are_refused(write, text, message):
    with pytest.raises(UserError) as error:
        read_outputs(write("a.csv", text))
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "text", "known"),
    [
        ("a.TSV", "anything", True),
        ("63", "mr,ref\na,one\n", True),  # a pipe has no suffix
        ("a.txt", '\n"Output"\t"MR"\n', True),
        ("a.txt", "The pub, the Crane, is a reference.\n", False),
        ("a.txt", "mr, who is ref, k\n", False),
        ("a.txt", "", False),
    ],
)
def test_what_is_a_table(write, name, text, known):
    assert is_table(write(name, text)) == known


def test_rows_of_one_meaning_are_one_segment_wherever_they_stand(write):
    references = read_table_references([write("refs.csv", REFERENCES)])
    assert (references.values, [entry.place for entry in references.entries]) == (WANTED, ["line 2", "line 3"])
    both = [write("refs.csv", REFERENCES), write("more.tsv", f"target\tmr\nc one\t{C}\na three\t{A}\n")]
    assert read_table_references(both).values == [["a one", "a two", "a three"], ["b one", "b two"], ["c one"]]


@pytest.mark.parametrize(
    "system",
    [
        f"MR\toutput\n{B}\tsaid of b\n{A}\tsaid of a\n",
        f'output,mr\nsaid of b,"{B}"\nsaid of a,{A}\nsaid of b,"{B}"\n',  # once more, and the same
        f"{B}\tsaid of b\n{A}\tsaid of a\n",
        f"mr\tref\nname[B],  food[x] \tsaid of b\n{A}\tsaid of a\n",
    ],
)
def test_outputs_find_their_references(write, system):
    assert e2e.read(write("system.tsv", system), [write("refs.csv", REFERENCES)]) == (
        ["said of a", "said of b"],
        WANTED,
    )


@settings(deadline=None)
@given(st.data(), st.lists(st.integers(0, 5), min_size=1, max_size=12))
def test_any_order_of_rows_gives_the_same_pairs(write, data, meanings):
    references = write(
        "refs.csv", table([["mr", "ref"], *([f"name[{m}]", f"{m} {i}"] for i, m in enumerate(meanings))])
    )
    outputs = [[f"name[{m}]", f"said of {m}"] for m in data.draw(st.permutations(sorted(set(meanings))))]
    system = write("system.tsv", table([["MR", "output"], *outputs], delimiter="\t"))
    said, wanted = e2e.read(system, [references])
    order = list(dict.fromkeys(meanings))
    assert said == [f"said of {m}" for m in order]
    assert wanted == [[f"{m} {i}" for i, other in enumerate(meanings) if other == m] for m in order]


@pytest.mark.parametrize(
    ("system", "message"),
    [
        (
            f"mr\tref\n{A}\tk\n{B}\tl\n{C}\tm\n",
            r"system\.tsv, line 4: MR 'name\[C\]', which .*refs\.csv does not have$",
        ),
        (f"mr\tref\n{B}\tk\n", r"system\.tsv: no MR 'name\[A\]', which is in .*refs\.csv, line 2$"),
        ("mr\tref\n", r"system\.tsv: no MR 'name\[A\]', which is in .*refs\.csv, line 2$"),
        (f"mr\tref\n{A}\tk\n{B}\tl\n{A}\tm\n", r"system\.tsv, line 4: MR 'name\[A\]' again, after line 2$"),
    ],
)
def test_outputs_for_other_data_are_refused(write, system, message):
    with pytest.raises(UserError, match=message):
        e2e.read(write("system.tsv", system), [write("refs.csv", REFERENCES)])


def test_what_has_no_meanings_is_paired_by_order(write):
    references = write("refs.csv", REFERENCES)
    assert e2e.read(write("hyp.txt", "k\nl\n"), [references]) == (["k", "l"], WANTED)
    groups, system = write("refs.txt", "k\n\nl\n"), write("system.tsv", f"mr\tref\n{B}\tm\n{B}\tn\n")
    assert e2e.read(system, [groups]) == (["m", "n"], [["k"], ["l"]])


def test_tables_and_other_references_do_not_mix(write):
    with pytest.raises(
        UserError, match=r"refs\.csv is a table and .*refs\.txt is none: references are tables, or none"
    ):
        e2e.read(write("hyp.txt", "k\n"), [write("refs.txt", "k\n"), write("refs.csv", REFERENCES)])
