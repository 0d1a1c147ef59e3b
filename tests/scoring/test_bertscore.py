"""BERTScore by a tiny random RoBERTa, against the formula written out and against the package bert-score."""

import json
from collections import defaultdict
from itertools import chain

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModel, AutoTokenizer, RobertaConfig, RobertaModel, RobertaTokenizer

from stages.scoring.neural.bertscore import LAYER, OFFICIAL, Encoder, bertscore, greedy_f1
from stages.scoring.scores import Unavailable

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
LAYERS = 2  # of the model's 3
LONGEST = 64
HYPOTHESES = ["The Old Mill is a cheap pub.", "pub", "Café Noir, in the centre", "a pub near the Crane, near the mill"]
REFERENCES = [
    ["A cheap pub is the Old Mill.", "The Old Mill"],
    ["the pub", "mill", "a cheap pub near the river"],
    ["Café Noir is in the city centre."],
    ["The mill is near the Crane."],
]
AWKWARD = ["pub", "a ||| b", "🙂", "one\ntwo", "\ud83d", "\x00", "<mask> <pad>", "mill " * 10_000]


@pytest.fixture(scope="module")
def roberta(tmp_path_factory):
    directory = tmp_path_factory.mktemp("roberta")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=340, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([*HYPOTHESES, *chain.from_iterable(REFERENCES)] * 3, trainer)
    trained = json.loads(tokenizer.to_str())["model"]
    merges = [tuple(merge) for merge in trained["merges"]]
    RobertaTokenizer(trained["vocab"], merges, model_max_length=512).save_pretrained(directory)
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=len(trained["vocab"]), hidden_size=32, intermediate_size=48, num_hidden_layers=LAYERS + 1,
        num_attention_heads=4, max_position_embeddings=LONGEST + 2, initializer_range=0.3,
    )  # fmt: skip
    RobertaModel(config).save_pretrained(directory)
    return directory


@pytest.fixture(scope="module")
def encoder(roberta):
    return Encoder(roberta, LAYERS)


@pytest.fixture
def copy(roberta, tmp_path):
    """A function that copies the model without some files."""

    def make(*without):
        for file in roberta.iterdir():
            if file.name not in without:
                (tmp_path / file.name).write_bytes(file.read_bytes())
        return tmp_path

    return make


def values(metric):
    return metric.segments[:, 0]


@torch.inference_mode()
def by_hand(directory, hypothesis, reference):
    """F1 of two texts, each encoded alone: the space before the first word is written out."""
    model = AutoModel.from_pretrained(directory)
    pieces = Tokenizer.from_file(str(directory / "tokenizer.json"))
    found = []
    for text in (hypothesis, reference):
        ids = [0, *pieces.encode(" " + text, add_special_tokens=False).ids, 2]
        states = model(torch.tensor([ids]), output_hidden_states=True).hidden_states[LAYERS][0].double().numpy()
        found.append(states / np.linalg.norm(states, axis=1, keepdims=True))
    hyp, ref = found
    precision = np.mean([max(piece @ other for other in ref) for piece in hyp[1:-1]])
    recall = np.mean([max(piece @ other for other in hyp) for piece in ref[1:-1]])
    return 2 * precision * recall / (precision + recall)


def test_formula(encoder, roberta):
    metric = greedy_f1(HYPOTHESES, REFERENCES, encoder)
    pairs = zip(HYPOTHESES, REFERENCES, strict=True)
    expected = [max(by_hand(roberta, hyp, ref) for ref in refs) for hyp, refs in pairs]
    assert values(metric) == pytest.approx(expected, abs=1e-6)
    assert metric.score() == round(np.mean(values(metric)), 6)
    assert min(expected) < 0.9, "a model that finds all texts alike tests nothing"


def test_package_bert_score_with_the_right_tokenizer(encoder, roberta):
    package = pytest.importorskip("bert_score.utils")
    tokenizer = AutoTokenizer.from_pretrained(roberta, add_prefix_space=True)
    tokenizer.model_max_length = LONGEST
    model = package.get_model(str(roberta), LAYERS)
    hypotheses, references = HYPOTHESES + AWKWARD[:4], [segment[0] for segment in REFERENCES] + HYPOTHESES
    weights = defaultdict(lambda: 1.0, {tokenizer.cls_token_id: 0.0, tokenizer.sep_token_id: 0.0})
    scored = package.bert_cos_score_idf(model, references, hypotheses, tokenizer, weights, device="cpu", batch_size=3)
    ours = greedy_f1(hypotheses, [[reference] for reference in references], encoder)
    assert values(ours) == pytest.approx(scored[:, 2].tolist(), abs=1e-6)


def test_first_word_has_its_space(encoder):
    (_, *words, _), (_, *word, _) = encoder.pieces(["cheap pub", " pub\n"])
    assert words[-len(word) :] == word
    assert encoder.tokenizer.decode(word) == " pub"


def test_identical_texts(encoder):
    assert greedy_f1(HYPOTHESES, [[text] for text in HYPOTHESES], encoder).score() == 1
    assert greedy_f1(["pub"], [["something else", "pub"]], encoder).score() == 1


def test_empty_texts(encoder):
    metric = greedy_f1(["", " \n", "pub"], [["a pub"], ["a pub", ""], ["", "the pub"]], encoder)
    assert values(metric)[:2].tolist() == [0, 0]
    assert values(metric)[2] == values(greedy_f1(["pub"], [["the pub"]], encoder))[0] > 0


def test_batches_and_order_do_not_matter(encoder):
    hypotheses, references = HYPOTHESES * 20, REFERENCES * 20
    order = np.random.default_rng(0).permutation(len(hypotheses))
    shuffled = greedy_f1([hypotheses[i] for i in order], [references[i][::-1] for i in order], encoder)
    together = values(greedy_f1(hypotheses, references, encoder))
    assert values(shuffled) == pytest.approx(together[order], abs=1e-6)
    pairs = zip(HYPOTHESES, REFERENCES, strict=True)
    alone = [greedy_f1([hyp], [refs], encoder).score() for hyp, refs in pairs]
    assert together[:4] == pytest.approx(alone, abs=2e-6)


def test_awkward_texts(encoder):
    scores = values(greedy_f1(AWKWARD, [["a cheap pub", *AWKWARD]] * len(AWKWARD), encoder))
    assert scores == pytest.approx(np.ones(len(AWKWARD)))
    assert np.isfinite(values(greedy_f1(AWKWARD, [["a cheap pub"]] * len(AWKWARD), encoder))).all()
    assert max(map(len, encoder.pieces(AWKWARD))) == LONGEST


def test_another_model_is_refused(roberta):
    with pytest.raises(Unavailable, match=r"does not hold roberta-large, but .*num_hidden_layers 3, hidden_size 32"):
        bertscore(["a"], [["a"]], roberta)


def test_a_model_tuned_for_another_task_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(
        json.dumps(OFFICIAL | {"architectures": ["RobertaForSequenceClassification"]})
    )
    with pytest.raises(Unavailable, match="tuned for another task: RobertaForSequenceClassification"):
        bertscore(["a"], [["a"]], tmp_path)


@pytest.mark.parametrize(("content", "reason"), [(None, "cannot be read"), ("{", "cannot be read"), ("[]", "no JSON")])
def test_no_config(tmp_path, content, reason):
    if content:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(Unavailable, match=reason):
        bertscore(["a"], [["a"]], tmp_path)


def test_right_config_without_weights(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(OFFICIAL))
    with pytest.raises(Unavailable, match=r"holds no usable model: .*model\.safetensors"):
        bertscore(["a"], [["a"]], tmp_path)


def test_pickled_weights_are_refused(copy):
    directory = copy("model.safetensors")
    torch.save({}, directory / "pytorch_model.bin")
    with pytest.raises(Unavailable, match=r"no usable model: .*model\.safetensors"):
        Encoder(directory, LAYERS)


def test_damaged_weights(copy):
    directory = copy("model.safetensors")
    (directory / "model.safetensors").write_bytes(b"x" * 99)
    with pytest.raises(Unavailable, match="no usable model: "):
        Encoder(directory, LAYERS)


def test_missing_layers(roberta):
    with pytest.raises(Unavailable, match=r"it lacks encoder\.layer\.10\."):
        Encoder(roberta, LAYER)


def test_missing_tokenizer(copy):
    with pytest.raises(Unavailable, match=r"a tokenizer of 5 pieces for a model of 3"):
        Encoder(copy("tokenizer.json", "vocab.json", "merges.txt"), LAYERS)


def test_says_nothing(roberta, capfd):
    greedy_f1(HYPOTHESES, REFERENCES, Encoder(roberta, LAYERS))
    assert capfd.readouterr() == ("", "")
