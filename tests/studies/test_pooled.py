"""The paired test of two cells: as if the outputs of all their runs were those of one system."""

from stages.scoring.multibleu import multibleu
from stages.scoring.scores import Unavailable
from stages.scoring.significance import p_value
from stages.studies.pooled import p_values, pooled

REFERENCES = [["the mill is a pub by the river"], ["a cheap cafe called the mill"], ["the eagle serves food"]] * 4
ONE = ["the mill is a pub by the river", "a cheap cafe", "the eagle serves food"] * 4
OTHER = ["the mill is a pub", "a cheap cafe called the mill", "an eagle by the river"] * 4
LATER = ["mill by the river", "the cafe called the mill", "the eagle serves"] * 4


def bleu(texts, references=REFERENCES):
    return multibleu(texts, references)


def test_two_runs_count_as_one_system_that_wrote_all_their_texts():
    one, other = pooled([bleu(ONE), bleu(LATER)], ["BLEU"]), pooled([bleu(OTHER), bleu(OTHER)], ["BLEU"])
    whole, against = (bleu(texts, REFERENCES * 2)["BLEU"] for texts in (ONE + LATER, OTHER + OTHER))
    assert one["BLEU"].score() == whole.score()
    assert p_values(one, other) == {"BLEU": p_value(whole, against)}
    assert p_values(one, one) == {"BLEU": 1.0}


def test_a_metric_that_one_run_lacks_is_left_out():
    without = {"BLEU": Unavailable("needs Java")}
    assert pooled([bleu(ONE), without], ["BLEU"]) == {}
    assert pooled([bleu(ONE)], ["ROUGE_L"]) == {} == p_values({}, pooled([bleu(ONE)], ["BLEU"]))
