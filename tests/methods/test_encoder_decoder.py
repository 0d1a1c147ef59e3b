"""Three prefixes in an encoder-decoder model against past key values made by hand; each place counts, each parameter learns."""

import pytest
import torch
from transformers import BartForConditionalGeneration, DynamicCache, EncoderDecoderCache

from stages.methods.prefix import Prefix
from stages.models.adaptation import Adaptation
from stages.models.attention import NAME as ATTENTION
from stages.models.batches import Batch
from stages.training.step import target_losses

PLACES = ("encoder", "decoder", "cross")


def test_no_parameter_is_without_gradient(seq2seq, examples):
    method = Prefix(seq2seq, 4, 8, [1, 2])
    target_losses(seq2seq, method(), Batch.of(examples, [0, 1, 0], seq2seq.device))[0].sum().backward()
    shared = {"down_bias", "up_bias"}
    for name, parameter in method.named_parameters():
        dead = (parameter.grad == 0).flatten(1).all(1)
        assert not dead.any(), name
        if name.rpartition(".")[2] not in shared:
            assert (parameter.grad != 0).float().mean() > 0.99, f"{name}: no layer, head or position is left out"


@pytest.mark.parametrize("place", PLACES)
def test_each_place_changes_the_output(seq2seq, hidden_of, place, same):
    one = Prefix(seq2seq, 4, 8, [1])().prefixes[place]
    plain, changed = hidden_of(seq2seq), hidden_of(seq2seq, Adaptation({place: one}))
    assert (plain - changed).abs().max() > 1e-3
    same(hidden_of(seq2seq), plain)  # nothing is left behind in the model


def test_a_prefix_of_zero_keys_and_values_still_takes_attention(seq2seq, hidden_of):
    """It is no mask: a key of zeros has a score of 0, not of minus infinity."""
    zeros = {place: torch.zeros_like(prefix) for place, prefix in Prefix(seq2seq, 2, 8, [1])().prefixes.items()}
    assert (hidden_of(seq2seq, Adaptation(zeros)) - hidden_of(seq2seq)).abs().max() > 1e-3


def heads(linear, states, shape):
    """[batch, length, width] -> [batch, heads, length, head_dim]"""
    return linear(states).view(*states.shape[:2], shape.kv_heads, shape.head_dim).transpose(1, 2)


def by_hand_encoder(model, prefix, ids, shape):
    """BART's encoder for one unpadded text, layer by layer, with the prefix's keys and values [layers, 2, ...] joined on."""
    encoder = model.model.encoder
    states = encoder.layernorm_embedding(encoder.embed_tokens(ids) + encoder.embed_positions(ids))
    for layer, (keys, values) in zip(encoder.layers, prefix, strict=True):
        attention = layer.self_attn
        query = heads(attention.q_proj, states, shape)
        key = torch.cat([keys[None], heads(attention.k_proj, states, shape)], 2)
        value = torch.cat([values[None], heads(attention.v_proj, states, shape)], 2)
        weights = (query @ key.transpose(-1, -2) * shape.head_dim**-0.5).softmax(-1)
        seen = (weights @ value).transpose(1, 2).flatten(2)
        states = layer.self_attn_layer_norm(states + attention.out_proj(seen))
        states = layer.final_layer_norm(states + layer.fc2(layer.activation_fn(layer.fc1(states))))
    return states


@pytest.mark.parametrize("number", range(3))
def test_equals_past_key_values_made_by_hand(bart_lm, alone, number, same, examples):
    """transformers' own decoder with a filled EncoderDecoderCache; the encoder, which takes none, by hand."""
    adaptation = Prefix(bart_lm, 4, 8, [1])()
    encoder, decoder, cross = (adaptation.prefixes[place][0] for place in PLACES)
    model, example = bart_lm.model, examples[number]
    model.set_attn_implementation("sdpa")
    encoded = by_hand_encoder(model, encoder, torch.tensor([example.source]), bart_lm.shapes["encoder"])
    own, across = DynamicCache(), DynamicCache()
    for number, layer in enumerate(model.model.decoder.layers):
        own.update(decoder[number, 0][None], decoder[number, 1][None], number)
        attention, shape = layer.encoder_attn, bart_lm.shapes["cross"]
        keys = torch.cat([cross[number, 0][None], heads(attention.k_proj, encoded, shape)], 2)
        values = torch.cat([cross[number, 1][None], heads(attention.v_proj, encoded, shape)], 2)
        across.update(keys, values, number)
    ids = torch.tensor([[bart_lm.start, *example.target[:-1]]])
    positions = model.model.decoder.embed_positions
    positions.offset -= decoder.shape[3]  # transformers counts a cache as positions, the authors' prefix takes none
    theirs = model.model.decoder(
        input_ids=ids, encoder_hidden_states=torch.zeros(1, across.get_seq_length(), bart_lm.width),
        past_key_values=EncoderDecoderCache(own, across), use_cache=True,
    ).last_hidden_state[0]  # fmt: skip
    positions.offset += decoder.shape[3]
    model.set_attn_implementation(ATTENTION)
    same(alone(bart_lm, examples.index(example), adaptation), theirs)


def test_without_a_prefix_it_is_the_model(seq2seq, hidden_of, examples):
    assert isinstance(seq2seq.model, BartForConditionalGeneration) or seq2seq.name == "tiny-t5"
    rows = hidden_of(seq2seq).split([len(e.target) for e in examples])
    seq2seq.model.set_attn_implementation("eager")
    for example, row in zip(examples, rows, strict=True):
        ids, before = torch.tensor([example.source]), torch.tensor([[seq2seq.start, *example.target[:-1]]])
        theirs = seq2seq.model(input_ids=ids, decoder_input_ids=before).logits[0]
        torch.testing.assert_close(seq2seq.logits(row), theirs, atol=1e-3, rtol=1e-3)
