"""Encoder-decoder architectures."""

from bench.compatibility.case import Case, Tokenizer
from bench.compatibility.vocabularies import closes, encloses, names_language


def case(name: str, architecture: str, particulars: str, tokenizer: Tokenizer = encloses, **settings: object) -> Case:
    """BART's kind: the decoder begins with the end token."""
    return Case(name, architecture, particulars, tokenizer, {"decoder_start_token_id": 2} | settings)


def t5(name: str, architecture: str, particulars: str, **settings: object) -> Case:
    """T5's kind: the decoder begins with padding; heads are of another width than the model's over their number.

    Its scores are not divided by the width of a head, so that smaller weights suffice.
    """
    return Case(name, architecture, particulars, closes, {"d_kv": 12, "decoder_start_token_id": 0} | settings, std=0.2)


EXPERTS = {"num_experts": 4, "expert_capacity": 64, "num_sparse_encoder_layers": 1, "num_sparse_decoder_layers": 1}
GEMMA = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
         "intermediate_size": 48, "head_dim": 8, "vocab_size": 320, "attn_logit_softcapping": 3.0,
         "final_logit_softcapping": 5.0, "sliding_window": 200}  # fmt: skip
STACK = {"vocab_size": 320, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
         "intermediate_size": 48, "model_type": "bert", "pad_token_id": 0}  # fmt: skip

CASES = [
    case("bart", "bart", "learned positions, a bias of the logits"),
    case("bart-scaled", "bart", "scaled embedding", scale_embedding=True),
    case("mbart", "mbart", "norms before the blocks, a language behind the text", names_language),
    case("plbart", "plbart", "a language behind the text", names_language),
    case("mvp", "mvp", "no prompts of its own"),
    case("pegasus", "pegasus", "sinusoidal positions", closes, decoder_start_token_id=0),
    case("pegasus_x", "pegasus_x", "attention by blocks", closes, decoder_start_token_id=0, block_size=8,
         num_global_tokens=2),
    case("bigbird_pegasus", "bigbird_pegasus", "full attention", closes, attention_type="original_full"),
    case("bigbird_pegasus-sparse", "bigbird_pegasus", "attention by blocks", closes, attention_type="block_sparse",
         block_size=4, num_random_blocks=1),
    case("blenderbot", "blenderbot", "norms before the blocks"),
    case("blenderbot-small", "blenderbot-small", "norms behind the blocks"),
    case("marian", "marian", "sinusoidal positions", closes, decoder_start_token_id=0),
    case("m2m_100", "m2m_100", "sinusoidal positions behind the padding's", names_language),
    case("nllb-moe", "nllb-moe", "experts", names_language, num_experts=4, expert_capacity=64, encoder_sparse_step=2,
         decoder_sparse_step=2),
    case("led", "led", "windows and global tokens", attention_window=8, max_encoder_position_embeddings=256,
         max_decoder_position_embeddings=256),
    case("prophetnet", "prophetnet", "two streams", num_encoder_layers=2, num_decoder_layers=2, hidden_size=32,
         num_encoder_attention_heads=4, num_decoder_attention_heads=4, ngram=2),
    case("fsmt", "fsmt", "two vocabularies", langs=["en", "de"], src_vocab_size=320, tgt_vocab_size=320),
    t5("t5", "t5", "position bias by distance, tied head"),
    t5("t5-v1.1", "t5", "gated, untied head", feed_forward_proj="gated-gelu", tie_word_embeddings=False),
    t5("mt5", "mt5", "gated, untied head", tie_word_embeddings=False),
    t5("umt5", "umt5", "a position bias in each layer"),
    t5("longt5-local", "longt5", "windows", local_radius=4),
    t5("longt5-global", "longt5", "windows and summaries of blocks", local_radius=4, global_block_size=4,
       encoder_attention_type="transient-global"),
    t5("switch", "switch_transformers", "experts with room for all", **EXPERTS),
    t5("switch-full", "switch_transformers", "experts with room for two tokens of a text",
       **EXPERTS | {"expert_capacity": 2}),
    case("t5gemma", "t5gemma", "Gemma 2 as encoder and decoder, scores and logits capped", encoder=GEMMA, decoder=GEMMA),
    case("bert2bert", "encoder-decoder", "BERT twice", encoder=STACK,
         decoder=STACK | {"is_decoder": True, "add_cross_attention": True}, pad_token_id=0),
]  # fmt: skip
