"""The gates of a trained `apt` run as a probe (Zhang et al. 2023, section 4): `python -m stages.gates`, after `dvc repro`.

Writes metrics/gates.csv and metrics/gates.png: the factor of each position of each layer's prefix, mean and standard
deviation over the test records.
"""

import csv
from dataclasses import replace
from pathlib import Path

import matplotlib.figure
import torch

from stages import params
from stages.core.errors import UserError, entry_point
from stages.core.files import replacing
from stages.core.record import Record, read_records, with_source_prefix
from stages.methods.parts.given import RUN
from stages.methods.parts.saved import load
from stages.models.adaptation import Adaptation
from stages.models.batches import Batch
from stages.models.encode import encode
from stages.models.encoder import Encoder
from stages.models.gates import RecordingGate
from stages.models.model import LM
from stages.resolve import resolve
from stages.run import open_model

CSV, PNG = Path("metrics/gates.csv"), Path("metrics/gates.png")


@torch.no_grad()
def factors_of(
    lm: LM, adaptation: Adaptation, records: list[Record], most_source: int | None, batch_size: int
) -> torch.Tensor:
    """[records, layers, len]; raises UserError for a run without gates."""
    if adaptation.gate is None:
        raise UserError(
            f"{RUN} is a run without gates: method apt has them, with methods.apt.token_gate or methods.apt.layer_gate"
        )
    if isinstance(lm, Encoder):
        examples = [lm.question(record, most_source) for record in records]
    else:  # what is written does not matter
        examples = list(
            encode(lm, (replace(record, targets=record.targets[:1]) for record in records), most_source, None)
        )
    found = []
    for chosen in torch.arange(len(examples)).split(batch_size):
        part, seen = [examples[i] for i in chosen.tolist()], []
        batch = Batch.of(part, [0] * len(part), lm.device)
        lm.target_hidden(batch, replace(adaptation, gate=RecordingGate(adaptation.gate, seen)))
        by_layer = torch.stack([factors for _, factors in seen], 1)  # [rows, layers, len or 1]
        rows = by_layer.view(len(part), -1, *by_layer.shape[1:]).mean(1)  # of a record's choices the mean
        found.append(rows.expand(-1, -1, adaptation.length).cpu())
    return torch.cat(found)


def picture(mean: torch.Tensor, title: str) -> matplotlib.figure.Figure:
    """A heat map of [layers, len]."""
    figure = matplotlib.figure.Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(mean, aspect="auto", cmap="viridis", origin="lower")
    axes.set(title=title, xlabel="position of the prefix", ylabel="layer", yticks=range(len(mean)))
    figure.colorbar(image, label="factor")
    return figure


@entry_point
def main() -> None:
    chosen = params.load()
    config = resolve(chosen)
    lm = open_model(config)
    adaptation = load(RUN, lm)
    linearized = Path("data/linearized") / chosen.task
    records = list(with_source_prefix(read_records(linearized / "test.jsonl"), config.source_words))
    factors = factors_of(lm, adaptation, records, config.decoding.source_tokens, config.decoding.batch_size)
    mean, deviation = factors.mean(0), factors.std(0)
    with replacing(CSV) as out, open(out, "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("layer", "position", "mean", "deviation"))
        for layer, position in torch.cartesian_prod(*map(torch.arange, mean.shape)).tolist():
            rows.writerow((layer, position, f"{mean[layer, position]:.4f}", f"{deviation[layer, position]:.4f}"))
    with replacing(PNG) as out:
        picture(mean, f"apt on {chosen.task}, {chosen.model}").savefig(
            out, format="png", dpi=150, metadata={"Software": None}
        )
    for layer, values in enumerate(mean):
        print(f"layer {layer}: mean {values.mean():.3f}, least {values.min():.3f}, most {values.max():.3f}")


if __name__ == "__main__":
    main()
