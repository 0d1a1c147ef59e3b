"""Stage: describe each distinct source of the test set by beam search (section 5.2); an encoder classifies each record.

The out, data/run/predictions.jsonl, holds source, hypothesis and references, for people and for `score`.
"""

from dataclasses import asdict
from pathlib import Path

from stages.core.startup import model_imports

with model_imports():
    from stages import params
    from stages.core.errors import entry_point
    from stages.core.files import write_jsonl
    from stages.core.record import read_records
    from stages.core.scratch import scratch
    from stages.core.stage_costs import write_stage_cost
    from stages.methods.parts import saved
    from stages.methods.parts.given import RUN
    from stages.models.identity import base_model_id
    from stages.resolve import resolve
    from stages.run import code_of, load_run, open_model, predict

OUT = Path("data/run/predictions.jsonl")


@entry_point
def main() -> None:
    config = resolve(params.load())
    lm = open_model(config)
    identity = base_model_id(lm)
    adaptation = load_run(RUN, lm, config)
    settings = [code_of(config.method), asdict(config.decoding), config.source_words, config.threads]
    settings += [identity, str(lm.computes_in), lm.device.type]
    test = Path("data/linearized") / config.task / "test.jsonl"
    records = list(read_records(test))
    with scratch(settings, test, saved.weights_of(RUN)) as directory:
        [hypotheses] = predict(lm, [adaptation], records, config, [directory / "predictions.jsonl"])
        write_jsonl(OUT, (
            {"id": r.id, "source": r.source, "group": r.group, "name": r.name, "hypothesis": text, "references": r.targets}
            for r, text in zip(records, hypotheses, strict=True)
        ))  # fmt: skip
    write_stage_cost("decode", OUT)


if __name__ == "__main__":
    main()
