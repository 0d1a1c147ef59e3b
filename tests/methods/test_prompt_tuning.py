"""Prompts equal vectors fed in front of the words; where they start; several runs in one pass."""

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from stages.core.errors import UserError
from stages.decoding.beam import Search, search_sources
from stages.decoding.ensemble import search_runs
from stages.decoding.vote import vote
from stages.methods import files_of
from stages.methods.parts import saved
from stages.methods.parts.head import build
from stages.methods.prompt_tuning import PromptTuning, uniform
from stages.models.adaptation import Adaptation
from stages.models.batches import Batch, Example
from stages.models.encoder_decoder import EncoderDecoder
from stages.models.identity import base_model_id
from tests.conftest import config_of, tiny_gpt2

SOURCES = [[5, 300, 700], [42, 7, 9, 11, 13, 900], [7], [8, 8, 9, 500]]


def method_of(lm, length=4, seeds=(1, 2)):
    return PromptTuning(lm, uniform(lm, length, 0.5), list(seeds))


def prompt_config(**options):
    return config_of("prompt_tuning", "t5", "rte", prefix_len=6, methods={"prompt_tuning": options})


@torch.no_grad()
@pytest.mark.parametrize("number", range(3))
def test_equals_feeding_the_vectors_to_the_encoder(seq2seq, alone, number, same, examples):
    vectors = method_of(seq2seq).state()["embeddings"]
    example = examples[number]
    inputs = torch.cat([vectors[1], seq2seq.embed(example.source)])[None]
    before = torch.tensor([[seq2seq.start, *example.target[:-1]]])
    theirs = seq2seq.model(inputs_embeds=inputs, decoder_input_ids=before).logits[0]
    same(seq2seq.logits(alone(seq2seq, number, method_of(seq2seq)(), run=1)), theirs)


@torch.no_grad()
@pytest.mark.parametrize("number", range(3))
def test_equals_feeding_the_vectors_before_the_text(lm, alone, number, same, examples):
    vectors = method_of(lm).state()["embeddings"]
    example = examples[number]
    text = [*example.source, lm.separator, *example.target[:-1]]
    inputs = torch.cat([vectors[1], lm.embed(text)])[None]
    theirs = lm.model(inputs_embeds=inputs).logits[0, 4 + len(example.source) :]
    same(lm.logits(alone(lm, number, method_of(lm)(), run=1)), theirs)


@torch.no_grad()
def test_padding_and_neighbours_change_nothing(any_lm, hidden_of, alone, same):
    adaptation = method_of(any_lm)()
    found = hidden_of(any_lm, adaptation, (1, 0, 1))
    same(found, torch.cat([alone(any_lm, i, adaptation, run) for i, run in enumerate((1, 0, 1))]))


@torch.no_grad()
def test_it_writes_what_generate_writes_behind_the_vectors(seq2seq):
    """transformers' own beam search over the same input vectors."""
    vectors = method_of(seq2seq).state()["embeddings"]
    search = Search(3, 1.0, 12, seq2seq.end)
    found = dict(search_sources(seq2seq, method_of(seq2seq)(), [1] * 4, SOURCES, search, 4))
    for number, source in enumerate(SOURCES):
        inputs = torch.cat([vectors[1], seq2seq.embed(source)])[None]
        written = seq2seq.model.generate(
            inputs_embeds=inputs, attention_mask=torch.ones(inputs.shape[:2], dtype=torch.long), num_beams=3, do_sample=False,
            max_new_tokens=12, length_penalty=1.0, early_stopping=False, forced_bos_token_id=None, min_length=0,
        )[0].tolist()[1:]  # fmt: skip
        ids = written[: written.index(seq2seq.end)] if seq2seq.end in written else written
        assert found[number] == ids


def test_every_vector_learns(any_lm, hidden_of):
    method = method_of(any_lm)
    hidden_of(any_lm, method(), (0, 1, 0)).square().sum().backward()
    assert (method.vectors.grad != 0).any(-1).all()


@torch.no_grad()
def test_several_prompts_answer_in_one_pass_what_each_answers_alone(any_lm):
    """Token for token, N = 5."""
    method, search = method_of(any_lm, seeds=(1, 2, 3, 4, 5)), Search(2, 1.0, 8, any_lm.end)
    together = {(run, number): ids for number, run, ids in search_runs(any_lm, method(), 5, SOURCES, search, 20)}
    for run in range(5):
        alone = dict(search_sources(any_lm, method().of(run), [0] * 4, SOURCES, search, 4))
        assert [together[run, number] for number in range(4)] == [alone[number] for number in range(4)]
    assert len({tuple(together[run, 0]) for run in range(5)}) > 1


@torch.no_grad()
def test_prompts_of_several_trainings_are_joined(seq2seq):
    joined = Adaptation.joined([method_of(seq2seq, seeds=[seed])() for seed in (1, 2, 3)])
    assert joined.runs == 3 and torch.equal(joined.of(2).prompt, method_of(seq2seq, seeds=[3])().prompt)


def test_the_answer_of_most_wins_and_of_equals_the_first():
    assert vote([["a", "x", "p"], ["b", "y", "q"], ["b", "x", "r"]]) == ["b", "x", "p"]


def test_starts_uniform_in_half(any_lm):
    vectors = build(any_lm, prompt_config(init="uniform"), [1, 2]).vectors.detach()
    assert vectors.shape == (2, 6, any_lm.width)
    assert -0.5 <= vectors.min() < -0.4 and 0.4 < vectors.max() <= 0.5 and not torch.equal(vectors[0], vectors[1])
    assert torch.equal(build(any_lm, prompt_config(init="uniform"), [2]).vectors[0], vectors[1])
    narrow = build(any_lm, prompt_config(init="uniform", bound=0.25), [1, 2]).vectors
    assert torch.equal(2 * narrow, vectors)


def ids_of(lm, vectors):
    """Which pieces the vectors are."""
    table = lm.model.get_input_embeddings().weight
    return [int((table - vector).abs().sum(1).argmin()) for vector in vectors], table


def test_starts_from_frequent_pieces(any_lm):
    vectors = build(any_lm, prompt_config(init="vocabulary", population=10), [1]).vectors.detach()[0]
    ids, table = ids_of(any_lm, vectors)
    assert torch.equal(table[ids], vectors) and len(set(ids)) == 6 and max(ids) < 10
    few = build(any_lm, prompt_config(init="vocabulary", population=3), [1]).vectors.detach()[0]
    again, _ = ids_of(any_lm, few)
    assert len(again) == 6 and max(again) < 3


def written(lm, text):
    return lm.tokenizer(text, add_special_tokens=False)["input_ids"]


def test_starts_from_the_pieces_that_are_written():
    """GPT-2's vocabulary has another piece for a word behind a space, and targets begin without one."""
    pairs = Tokenizer(models.BPE())
    pairs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<end>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    pairs.train_from_iterator(["True", "it is True"] * 9, trainer)
    lm = tiny_gpt2(PreTrainedTokenizerFast(tokenizer_object=pairs, eos_token="<end>"))
    lm.labels = ["True"]
    [number] = written(lm, "True")
    assert lm.token_ids("True") != [number]
    vectors = build(lm, prompt_config(init="labels"), [1]).vectors.detach()[0]
    assert torch.equal(vectors[0], lm.embed([number])[0])


def test_starts_from_classes_each_in_one_place(any_lm):
    any_lm.labels = ["entailment", "no"]
    vectors = build(any_lm, prompt_config(init="labels"), [1]).vectors.detach()[0]
    for place, label in enumerate(any_lm.labels):
        assert torch.allclose(vectors[place], any_lm.embed(written(any_lm, label)).mean(0), atol=1e-6)
    _, table = ids_of(any_lm, vectors)
    assert all((table == vector).all(1).any() for vector in vectors[2:])
    any_lm.labels = [str(i) for i in range(7)]
    vectors = build(any_lm, prompt_config(init="labels"), [1]).vectors.detach()[0]
    assert torch.allclose(
        vectors, torch.stack([any_lm.embed(written(any_lm, str(i))).mean(0) for i in range(6)]), atol=1e-6
    )


def test_words_stand_for_classes_where_there_are_none(any_lm):
    """As Lester et al. start ReCoRD's and WSC's prompts: a place for each word, however many pieces it has."""
    vectors = build(any_lm, prompt_config(init="labels", words="reasoning comprehension"), [1]).vectors.detach()[0]
    for place, word in enumerate(("reasoning", "comprehension")):
        assert torch.allclose(vectors[place], any_lm.embed(written(any_lm, word)).mean(0), atol=1e-6)
    _, table = ids_of(any_lm, vectors)
    assert all((table == vector).all(1).any() for vector in vectors[2:])


def test_starts_from_words(any_lm):
    vectors = build(any_lm, prompt_config(init="words", words="a place"), [1]).vectors.detach()[0]
    words = any_lm.embed(any_lm.token_ids("a place"))
    assert torch.equal(vectors[: len(words)], words) and len(vectors) == 6
    with pytest.raises(UserError, match=r"methods\.prompt_tuning\.words .* tokens for .*, prefix_len is 6"):
        build(any_lm, prompt_config(init="words", words="a " * 9), [1])


def test_starts_from_the_prompt_of_another_training(any_lm, project):
    """Prompt transfer: trained on one task, where another begins."""
    first = method_of(any_lm, 6, [7])
    saved.save(project / "kept", prompt_config(), first.state(), base_model_id(any_lm))
    vectors = build(any_lm, prompt_config(init="file", file=str(project / "kept")), [1, 2]).vectors.detach()
    assert torch.equal(vectors[0], first.vectors.detach()[0]) and torch.equal(vectors[1], vectors[0])
    with pytest.raises(UserError, match=r"^cannot read nowhere/config\.json: No such file"):
        build(any_lm, prompt_config(init="file", file="nowhere"), [1])
    other = method_of(any_lm, 5, [7])
    saved.save(project / "short", prompt_config(), other.state(), base_model_id(any_lm))
    with pytest.raises(UserError, match=r"holds \[5, 32\], where prefix_len and .* need \[6, 32\]"):
        build(any_lm, prompt_config(init="file", file=str(project / "short")), [1])
    with torch.no_grad():
        any_lm.model.get_input_embeddings().weight += 0.1
    with pytest.raises(UserError, match=r"kept is of another model: its base_model_fingerprint is"):
        build(any_lm, prompt_config(init="file", file=str(project / "kept")), [1])


def test_a_run_that_dvc_deletes_is_refused():
    with pytest.raises(
        UserError,
        match=r"^params\.yaml: methods\.prompt_tuning\.file is data/run/model, which DVC deletes before it trains anew: copy it",
    ):
        files_of(prompt_config(init="file", file="data/run/model"))


def test_a_model_that_scales_its_tokens_is_refused(seq2seq):
    """Pegasus and Marian multiply the vectors of tokens, and not vectors that they are given."""
    real = seq2seq.model.get_input_embeddings().forward
    seq2seq.model.get_input_embeddings().forward = lambda ids: real(ids) * (1.0 if ids.shape[0] == 1 else 2.0)
    encoder = seq2seq.model.get_encoder()
    kept = encoder.forward
    encoder.forward = lambda input_ids=None, inputs_embeds=None, **options: (
        kept(inputs_embeds=real(input_ids) * 3, **options)
        if inputs_embeds is None
        else kept(inputs_embeds=inputs_embeds, **options)
    )
    with pytest.raises(UserError, match="scales the vectors of its tokens: prompts are not supported"):
        build(seq2seq, prompt_config(init="uniform"), [1])


def test_a_prompt_takes_positions_of_an_encoder_that_counts_them(bart_lm):
    adaptation = method_of(bart_lm, 100)()
    assert bart_lm.num_virtual_tokens(adaptation) == 100 and bart_lm.room(adaptation) == 28
    bart_lm.check_max_length(28, 20, 100)
    with pytest.raises(UserError, match=r"a prompt of 100 before a source of 29 .* set cut.source_tokens to 28"):
        bart_lm.check_max_length(29, 20, 100)
    batch = Batch.of([Example([5] * 28, [2]), Example([6] * 3, [2])], [0, 0], bart_lm.device)
    assert bart_lm.target_hidden(batch, adaptation).shape[0] == 2


def test_a_saved_prompt_is_the_prompt(any_lm, tmp_path, hidden_of):
    method = method_of(any_lm, seeds=[3])
    saved.save(tmp_path / "model", prompt_config(), method.state(), base_model_id(any_lm))
    loaded = saved.load(tmp_path / "model", any_lm)
    torch.testing.assert_close(hidden_of(any_lm, loaded), hidden_of(any_lm, method()), atol=1e-6, rtol=1e-6)
    assert isinstance(any_lm, EncoderDecoder) == (loaded.prompt is not None)
