"""Exports: PEFT and transformers' cache give what this engine gives, and what cannot travel is refused with the reason."""

import contextlib
import io
import json
import re

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from stages.core.errors import UserError
from stages.decoding.beam import search_sources
from stages.exchange import keys_values, peft_write
from stages.export import FORMATS, Run, export
from stages.methods import names
from stages.methods.parts import saved
from stages.models.batches import Batch, Example
from stages.models.encoder import Encoder
from stages.models.identity import base_model_id
from tests.conftest import ROOT, bare_encoder
from tests.exchange.conftest import DECODER_ONLY, NEW, SEQ2SEQ, SOURCES, save

TRAVELS = [
    *((kind, method) for kind in DECODER_ONLY for method in ("prefix", "prompt_tuning", "embedding_only", "lora")),
    *((kind, method) for kind in SEQ2SEQ for method in ("prompt_tuning", "lora")),
]


@pytest.mark.parametrize(("kind", "method"), TRAVELS)
def test_peft_gives_the_same(opened, tmp_path, kind, method):
    """Logits, greedy search and five beams; with the begin token where the README says so."""
    two = opened(kind)
    run, out = save(two.lm, method, tmp_path / "run"), tmp_path / "out"
    export(run, out, "peft", two.lm)
    adaptation = saved.load(run, two.lm)
    model = PeftModel.from_pretrained(two.bare(), out).eval()
    ours = {beam: two.ours(adaptation, beam) for beam in (1, 5)}
    assert ours == {beam: two.theirs(model, beam, begin=method == "lora") for beam in (1, 5)}
    assert ours[1] != two.theirs(two.bare(), 1, True), "the run changes something"
    if kind in DECODER_ONLY:
        source, target = two.lm.source_ids(SOURCES[:1], None)[0], [9, 100, 4]
        ours = two.lm.logits(two.lm.target_hidden(Batch.of([Example(source, target)], [0], two.lm.device), adaptation))
        ids = torch.tensor([[*two.ids(method == "lora")[0], *target[:-1]]])
        with torch.no_grad():
            theirs = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, -len(target) :]
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", DECODER_ONLY)
@pytest.mark.parametrize("method", ["prefix", "prompt_tuning"])
def test_layout(opened, tmp_path, kind, method):
    """A position is flattened as [layers, keys and values, kv_heads, head_dim], the begin token first."""
    two = opened(kind)
    run = save(two.lm, method, tmp_path / "run")
    export(run, tmp_path / "out", "peft", two.lm)
    [tensor] = load_file(tmp_path / "out/adapter_model.safetensors").values()
    config = json.loads((tmp_path / "out/adapter_config.json").read_text())
    [state], first = saved.state_of(run).values(), len(two.lm.begin)
    assert first == (kind == "llama-gqa-begins") and config["num_virtual_tokens"] == len(tensor) == first + 5
    if method == "prompt_tuning":
        assert torch.equal(tensor[first:], state[0])
        assert not first or torch.equal(tensor[:first], two.lm.embed(two.lm.begin))
        return
    shape = two.lm.shapes["decoder"]
    for position in range(5):
        laid_out = tensor[first + position].view(shape.layers, 2, shape.kv_heads, shape.head_dim)
        assert torch.equal(laid_out, state[0, :, :, :, position])


@pytest.mark.parametrize("kind", DECODER_ONLY)
@pytest.mark.parametrize("method", ["prefix", "prompt_tuning", "embedding_only"])
def test_the_cache_of_an_export(opened, tmp_path, kind, method):
    two = opened(kind)
    run = save(two.lm, method, tmp_path / "run")
    export(run, tmp_path / "out", "kv", two.lm)
    said = json.loads((tmp_path / "out/kv.json").read_text())
    shape, length = two.lm.shapes["decoder"], 5 + len(two.lm.begin)
    tensor = load_file(tmp_path / "out/kv.safetensors")["keys_values"]
    assert list(tensor.shape) == [shape.layers, 2, shape.kv_heads, length, shape.head_dim]
    assert said == {
        "tensor": "keys_values", "layout": "[layers, keys and values, kv_heads, length, head_dim]", "dtype": "float32",
        "layers": shape.layers, "kv_heads": shape.kv_heads, "length": length, "head_dim": shape.head_dim,
        "base_model": two.lm.name, "base_model_fingerprint": two.lm.fingerprint(), "begin_tokens": len(two.lm.begin),
    }  # fmt: skip
    prefix = saved.load(run, two.lm).prefixes["decoder"][0]
    assert torch.equal(tensor[..., len(two.lm.begin) :, :], prefix)
    for beam in (1, 5):
        found = []
        for row in two.ids(begin=False):
            cache = keys_values.cache_of(tensor)
            cache.batch_repeat_interleave(beam)
            inputs = torch.tensor([[0] * length + row])
            out = two.bare().generate(
                input_ids=inputs, attention_mask=torch.ones_like(inputs), past_key_values=cache, num_beams=beam,
                max_new_tokens=NEW, do_sample=False, eos_token_id=two.lm.end, pad_token_id=two.lm.end,
            )[0, inputs.shape[1] :].tolist()  # fmt: skip
            found.append(out[: out.index(two.lm.end)] if two.lm.end in out else out)
        assert found == two.ours(saved.load(run, two.lm), beam)


@pytest.mark.parametrize("kind", DECODER_ONLY)
def test_the_code_of_the_docs(opened, tmp_path, kind):
    """docs/peft.md, as it stands but for the place of the export."""
    two = opened(kind)
    run = save(two.lm, "prefix", tmp_path / "run")
    export(run, tmp_path / "out", "kv", two.lm)
    text = (ROOT / "docs/peft.md").read_text()
    [code] = [code for code in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL) if "DynamicCache" in code]
    model = two.bare()
    model.generation_config.update(max_new_tokens=NEW, eos_token_id=two.lm.end, pad_token_id=two.lm.end)
    names = {"torch": torch, "model": model, "ids": two.ids(begin=False)[0]}
    exec(code.replace("OUT/", f"{tmp_path}/out/"), names)
    found = names["found"][0, names["inputs"].shape[1] :].tolist()
    found = found[: found.index(two.lm.end)] if two.lm.end in found else found
    assert found == two.ours(saved.load(run, two.lm), 5)[0] and found


def test_the_cache_of_a_text(opened, tmp_path):
    """A run of in_context: the keys and values of the words, which act like the words."""
    two = opened("llama-gqa")
    ids = two.lm.token_ids("name of the place")
    saved.write(tmp_path / "run", "in_context", {"ids": torch.tensor([ids], dtype=torch.int32)}, {
        **base_model_id(two.lm), "prefix_len": None, "cut": {"source_tokens": None}, "source_words": None, "revision": "main",
    })  # fmt: skip
    export(tmp_path / "run", tmp_path / "out", "kv", two.lm)
    tensor = load_file(tmp_path / "out/kv.safetensors")["keys_values"]
    torch.testing.assert_close(tensor, two.lm.activations(ids)["decoder"], atol=1e-6, rtol=0)


CODE = [
    *(("peft", kind, method) for kind, method in TRAVELS if method != "embedding_only"),
    *(("kv", kind, "prefix") for kind in DECODER_ONLY),
]


@pytest.mark.parametrize(("form", "kind", "method"), [
    pytest.param(*one, marks=pytest.mark.slow if one[1] == "mini-gpt2" else ()) for one in CODE
])  # fmt: skip
@pytest.mark.parametrize("words", [pytest.param(None, marks=pytest.mark.slow), "Say it"])
def test_the_code_of_the_readme_gives_the_engines_text(opened, tmp_path, form, kind, method, words):
    """As it stands, but for the place of the export and the length, and with a source that is cut or has words before it."""
    two = opened(kind)
    cut = {"source_words": words, "cut": {"source_tokens": 6 if words else "none"}}
    run = save(two.lm, method, tmp_path / "run", **cut)
    export(run, tmp_path / "out", form, two.lm, base=str(two.directory))
    [code] = re.findall(r"```python\n(.*?)```", (tmp_path / "out/README.md").read_text(), flags=re.DOTALL)
    here = f'name, here = {str(two.directory)!r}, "."'
    assert here in code and "max_new_tokens=100" in code
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = code.replace(here, here.replace('"."', repr(str(tmp_path / "out"))))
        exec(code.replace("max_new_tokens=100", f"max_new_tokens={NEW}"), {})
    source = "name : Blue Spice | area : riverside"
    rows = two.lm.source_ids([f"{words} {source}" if words else source], 6 if words else None)
    assert not words or len(rows[0]) == 6
    [(_, ids)] = search_sources(two.lm, saved.load(run, two.lm), [0], rows, two.search(5), 8)
    assert printed.getvalue() == two.lm.tokenizer.decode(ids, skip_special_tokens=True) + "\n"
    assert ids


def refused(two_lm, run, tmp_path, form="peft"):
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError) as error:
        export(run, tmp_path / "out", form, two_lm)
    assert sorted(tmp_path.iterdir()) == before, "nothing is left"
    assert "\n" not in str(error.value)
    return str(error.value)


ONLY = "runs of prefix, prompt_tuning, prompt_projection, embedding_only, lora can"


@pytest.mark.parametrize(("method", "reason"), [
    ("infix", "its virtual tokens stand after the source, PEFT's before it"),
    ("apt", "gates weigh its prefix by what each layer reads, and PEFT's prefix is the same for every text"),
    ("in_context", "it is a text: put the text before the source"),
    ("adapter", "PEFT has no adapters after a block"),
    ("finetune", "it has trained the model's own weights, which no adapter holds"),
    ("none", "nothing is trained"),
])  # fmt: skip
def test_what_peft_has_no_form_for(lm, method, reason):
    with pytest.raises(UserError) as error:
        peft_write.adapter_of(lm, method, None, {})
    assert str(error.value) == f"a run of {method} cannot become a PEFT adapter: {reason}; {ONLY}"


def test_each_method_has_a_form_or_a_reason():
    assert set(names()) == peft_write._FORMS.keys() | peft_write._REASONS.keys()


def test_a_prefix_of_three_attention_sites_is_refused(opened, tmp_path):
    two = opened("t5")
    run = save(two.lm, "prefix", tmp_path / "run")
    assert refused(two.lm, run, tmp_path) == (
        f"a prefix of the encoder-decoder {two.lm.name} cannot become a PEFT adapter: it stands at three attention sites "
        "(encoder, decoder, cross-attention), PEFT's only at the decoder's"
    )
    assert refused(two.lm, run, tmp_path, "kv") == (
        f"{two.lm.name} is no decoder-only model: keys and values of its attention (encoder, decoder, cross) fit no cache of "
        "transformers"
    )


def test_a_run_on_an_encoder_is_refused(word_pieces, tmp_path):
    lm = Encoder(bare_encoder("bert", len(word_pieces)), word_pieces, "tiny-bert")
    with pytest.raises(
        UserError, match=r"^a run on the encoder tiny-bert cannot become a PEFT adapter: its head, which"
    ):
        peft_write.adapter_of(lm, "lora", None, {})


def test_an_update_has_no_keys_and_values(opened, tmp_path):
    two = opened("llama-gqa")
    run = save(two.lm, "lora", tmp_path / "run")
    assert refused(two.lm, run, tmp_path, "kv") == (
        "a run of lora is more than keys and values before the text: a cache cannot hold it"
    )


@pytest.mark.parametrize("form", FORMATS)
def test_a_run_that_is_not_whole_is_refused(opened, tmp_path, form):
    two = opened("llama-gqa")
    run = save(two.lm, "prefix", tmp_path / "run")
    file = run / "prefix.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    assert "is not the file that was written" in refused(two.lm, run, tmp_path, form)


def test_what_exists_is_not_replaced(opened, tmp_path):
    two = opened("llama-gqa")
    run = save(two.lm, "prefix", tmp_path / "run")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/precious").touch()
    assert refused(two.lm, run, tmp_path) == f"{tmp_path}/out exists: delete it, or give another name"
    assert (tmp_path / "out/precious").exists()


def test_a_model_that_reads_a_cache_otherwise_is_refused(opened, tmp_path, monkeypatch):
    two = opened("llama-gqa")
    run = save(two.lm, "prefix", tmp_path / "run")
    real = keys_values.cache_of
    monkeypatch.setattr(keys_values, "cache_of", lambda tensor: real(tensor.flip(3) * 1.5))
    assert re.search("does not compute the same in transformers' own code after a cache of this prefix", refused(
        two.lm, run, tmp_path,
    ))  # fmt: skip


def test_exports_are_the_same_bytes_again(opened, tmp_path):
    two = opened("mini-gpt2")
    run = save(two.lm, "prefix", tmp_path / "run")
    for form in FORMATS:
        for name in ("one", "two"):
            export(run, tmp_path / form / name, form, two.lm)
        files = sorted((tmp_path / form / "one").iterdir())
        assert all(file.read_bytes() == (tmp_path / form / "two" / file.name).read_bytes() for file in files)
        assert len(files) == {"peft": 4, "kv": 3}[form]


def test_the_run_names_its_base_model_for_others(opened, tmp_path):
    two = opened("llama-gqa")
    run = save(two.lm, "lora", tmp_path / "run")
    assert Run.read(run, two.lm).base == two.lm.name
    file = run / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"revision": "v2"}))
    export(run, tmp_path / "out", "peft", two.lm, base="someone/llama")
    config = json.loads((tmp_path / "out/adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["revision"]) == ("someone/llama", "v2")
    assert (config["r"], config["lora_alpha"], config["target_modules"]) == (3, 3, ["q_proj", "v_proj"])
    readme = (tmp_path / "out/README.md").read_text()
    assert "base_model: someone/llama\n" in readme and "| base model | someone/llama, revision v2 |\n" in readme
    assert "from_pretrained(name, dtype=torch.float32, revision='v2').eval()\n" in readme
