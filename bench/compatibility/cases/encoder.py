"""Encoder architectures."""

from bench.compatibility.case import Case
from bench.compatibility.vocabularies import plain_pairs, typed_pairs

RELATIVE = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_biased_input": False,
            "type_vocab_size": 0}  # fmt: skip
VERSION_3 = RELATIVE | {"position_buckets": 8, "norm_rel_ebd": "layer_norm", "share_att_key": True}


def typed(name: str, particulars: str, architecture: str | None = None, **settings: object) -> Case:
    """BERT's kind of tokenizer."""
    return Case(name, architecture or name, particulars, typed_pairs, settings)


def plain(name: str, particulars: str, architecture: str | None = None, **settings: object) -> Case:
    """RoBERTa's kind of tokenizer."""
    return Case(name, architecture or name, particulars, plain_pairs, settings)


CASES = [
    typed("bert", "token types, a pooler"),
    plain("roberta", "positions behind the padding's", type_vocab_size=1),
    plain("xlm-roberta", "positions behind the padding's", type_vocab_size=1),
    plain("xlm-roberta-xl", "norms before the blocks", type_vocab_size=1),
    plain("camembert", "positions behind the padding's", type_vocab_size=1),
    plain("roberta-prelayernorm", "norms before the blocks", type_vocab_size=1),
    plain("data2vec-text", "positions behind the padding's", type_vocab_size=1),
    plain("xmod", "adapters by language", type_vocab_size=1, languages=["en_XX"], default_language="en_XX"),
    typed("distilbert", "no token types", dim=32, hidden_dim=48, n_layers=3, n_heads=4),
    typed("albert", "one layer read three times, embedding narrower", embedding_size=16),
    typed("electra", "embedding narrower", embedding_size=16),
    typed("deberta", "distances, terms of both kinds", **RELATIVE),
    typed("deberta-absolute", "absolute positions alone", "deberta", type_vocab_size=0),
    typed("deberta-v2", "distances in classes, shared matrices (version 3)", **VERSION_3),
    typed("deberta-v2-own", "distances with matrices of their own", "deberta-v2", **VERSION_3 | {"share_att_key": False}),
    typed("deberta-v2-conv", "a convolution behind the first layer (xlarge)", "deberta-v2",
          **VERSION_3 | {"conv_kernel_size": 3, "conv_act": "gelu"}),
    plain("mpnet", "a position bias shared by all layers"),
    plain("modernbert", "rotary, global and local layers, window 8", local_attention=8, global_attn_every_n_layers=2),
    plain("modernbert-long", "rotary, global and local layers, window 200", "modernbert", local_attention=200,
          global_attn_every_n_layers=2),
    typed("nomic_bert", "rotary, gated", head_dim=8),
    plain("eurobert", "rotary, grouped queries", num_key_value_heads=2, head_dim=8),
    typed("gte", "rotary, gated"),
    typed("jina_embeddings_v3", "rotary", type_vocab_size=1),
    typed("ernie", "task types", use_task_id=True),
    typed("megatron-bert", "norms before the blocks"),
    typed("rembert", "embeddings of another width", input_embedding_size=16, output_embedding_size=24),
    typed("roformer", "rotary", embedding_size=32),
    typed("convbert", "convolutions beside attention", embedding_size=32),
    Case("mobilebert", "mobilebert", "narrow layers between wide ones", typed_pairs, {
        "embedding_size": 16, "intra_bottleneck_size": 16, "true_hidden_size": 16, "num_feedforward_networks": 2,
    }, std=0.05),
    typed("squeezebert", "grouped convolutions", embedding_size=32),
    typed("funnel", "pooled layers", d_model=32, block_sizes=[1, 2], n_head=4, d_head=8, d_inner=48, architectures=["FunnelModel"]),
    typed("roc_bert", "shapes and sounds of characters", pronunciation_vocab_size=16, shape_vocab_size=16,
          pronunciation_embed_dim=8, shape_embed_dim=8),
    typed("layoutlm", "places on a page"),
    typed("tapas", "places in a table"),
    plain("luke", "words and entities", entity_vocab_size=16, entity_emb_size=16),
    plain("longformer", "windows and global tokens", attention_window=8),
    typed("big_bird", "full attention", attention_type="original_full"),
    typed("nystromformer", "attention by landmarks", num_landmarks=8, segment_means_seq_len=64),
    typed("yoso", "hashed attention", use_expectation=True),
    typed("mra", "attention by blocks"),
    typed("fnet", "Fourier transforms, no attention"),
    plain("ibert", "integers", type_vocab_size=1),
    plain("esm", "rotary, for proteins", position_embedding_type="rotary", token_dropout=False, mask_token_id=5),
    plain("flaubert", "learned positions", emb_dim=32, n_layers=3, n_heads=4),
    plain("xlm-encoder", "learned positions", "xlm", emb_dim=32, n_layers=3, n_heads=4),
]  # fmt: skip
