"""What stands before a source; reading and writing records: tests/engine/test_encode.py."""

import pytest

from stages.core.errors import UserError
from stages.core.record import Record, with_source_prefix


def test_words_stand_before_the_source_as_text():
    record = Record("1", "name : Aromi | food : Thai", ["Aromi is Thai."], group="food", name="Aromi")
    [found] = with_source_prefix([record], "table-to-text:")
    assert found == Record(
        "1", "table-to-text: name : Aromi | food : Thai", ["Aromi is Thai."], group="food", name="Aromi"
    )
    assert list(with_source_prefix([record], None)) == [record]


def test_an_encoder_reads_them_before_the_first_text_of_each_choice():
    record = Record("1", "choice1: A. choice2: B. premise: C.", ["choice2"], parts=[["C.", "A."], ["C.", "B."]])
    [found] = with_source_prefix([record], "Choose:")
    assert found.source == "Choose: choice1: A. choice2: B. premise: C."
    assert found.parts == [["Choose: C.", "A."], ["Choose: C.", "B."]]


def test_tagged_words_have_no_text_before_them():
    record = Record("7", "EU rejects", ["ORG O"], words=["EU", "rejects"])
    with pytest.raises(UserError, match=r"^params.yaml: source_words is not for tasks that tag words, .* record 7$"):
        list(with_source_prefix([record], "Tag:"))
