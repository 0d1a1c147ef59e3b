"""Texts of several lengths to be read, as records of tasks."""

from stages.core.record import Record

PREFIX = 3  # positions of the prefix
MOST_NEW = 12  # tokens of a generated text

# Two of one length, the others shorter and longer than the short windows of the cases.
WRITING = [
    Record("0", "name : Oak", ["The Oak is near the river."]),
    Record("1", "an old mill", ["It is cheap."]),
    Record("2", "name : Oak | food : cheap | area : park", ["a park"]),
    Record("3", "The hotel is near the river and the price of it is low, where children and dogs play all day long.",
           ["An oak stands beside the house and the owner cooks."]),
]  # fmt: skip
CLASSES = ["no", "yes", "perhaps", "no"]
JUDGING = [
    Record("0", "", ["no"], parts=[["the hotel is near the river"]]),
    Record("1", "", ["yes"], parts=[["the price is low", "it is cheap and near a park where dogs play all day"]]),
    Record("2", "", ["perhaps"], parts=[["a park"]]),
    Record("3", "", ["no"], parts=[[WRITING[3].source, "children play"]]),
]  # fmt: skip
TAGGING = [
    Record(str(number), "", [" ".join("AB"[len(word) % 2] for word in words)], words=words)
    for number, words in enumerate(text.split(" ") for text in (
        "name : Oak", "the hotel is near the river and the price of it is low", WRITING[3].source
    ))
]  # fmt: skip
