"""What the tests of SuperGLUE share: one row a task in both of its forms, and how rows are read and divided."""

from stages.tasks import Linearize
from stages.tasks.common.rows import SplitRowsSource

OPTIONS = Linearize(tokenize_targets=False, authors_first_entry=False)

OFFICIAL = {
    "boolq": {"question": "is it far", "passage": "It -- the inn -- is far.", "idx": 3, "label": True},
    "cb": {"premise": "He may go.", "hypothesis": "he goes", "label": "neutral", "idx": 1},
    "copa": {"premise": "It rained.", "choice1": "It was wet.", "choice2": "It was dry.", "question": "effect",
             "label": 0, "idx": 2},
    "multirc": {"idx": 4, "passage": {"text": "<b>Sent 1: </b>It rained.<br>He went.", "questions": [
        {"question": "Who?", "idx": 7, "answers": [{"text": "He", "idx": 20, "label": 1}, {"text": "It", "idx": 21, "label": 0}]},
    ]}},
    "record": {"source": "Daily mail", "idx": 5, "passage": {
        "text": "Ann met Bob.\n@highlight\nBob left\n@highlight\nAnn stayed",
        "entities": [{"start": 8, "end": 10}, {"start": 0, "end": 2}, {"start": 8, "end": 10}]},
        "qas": [{"query": "@placeholder stayed", "idx": 9, "answers": [{"start": 0, "end": 2, "text": "Ann"}]}]},
    "rte": {"premise": "It is red.", "hypothesis": "It has a colour.", "label": "entailment", "idx": 6},
    "wic": {"word": "run", "sentence1": "A run.", "sentence2": "They run.", "idx": 8, "label": False, "start1": 2,
            "start2": 5, "end1": 5, "end2": 8, "version": 1.1},
    "wsc": {"text": "Ann told Bob that she won .", "idx": 9, "label": True,
            "target": {"span1_text": "Ann", "span1_index": 0, "span2_text": "she", "span2_index": 4}},
}  # fmt: skip
OFFICIAL["wsc_referent"] = OFFICIAL["wsc"]
# The same rows as the Hugging Face hub has them: numbers for classes, one row an answer or a query.
HUB = {
    "boolq": OFFICIAL["boolq"] | {"label": 1},
    "cb": OFFICIAL["cb"] | {"label": 2},
    "copa": OFFICIAL["copa"],
    "multirc": {"paragraph": "<b>Sent 1: </b>It rained.<br>He went.", "question": "Who?", "answer": "He", "label": 1,
                "idx": {"paragraph": 4, "question": 7, "answer": 20}},
    "record": {"passage": "Ann met Bob.\n@highlight\nBob left\n@highlight\nAnn stayed", "query": "@placeholder stayed",
               "entities": ["Ann", "Bob"], "answers": ["Ann"], "idx": {"passage": 5, "query": 9}},
    "rte": OFFICIAL["rte"] | {"label": 0},
    "wic": OFFICIAL["wic"] | {"label": 0},
    "wsc": {"text": "Ann told Bob that she won .", "idx": 9, "label": 1, "span1_text": "Ann", "span1_index": 0,
            "span2_text": "she", "span2_index": 4},
}  # fmt: skip
HUB["wsc_referent"] = HUB["wsc"]


def source(root, **more):
    options = {"dataset": "aps/super_glue", "revision": "main", "dev_share": 0.1, "divide": False}
    return SplitRowsSource(**options | {"root": str(root)} | more)
