"""Stage: train the method on data/run/train; the result is data/run/model, the curve metrics/train.{csv,png}."""

from pathlib import Path

from stages.core.startup import model_imports

with model_imports():
    from stages import params
    from stages.core.errors import entry_point
    from stages.core.files import write_json
    from stages.core.record import read_records
    from stages.core.stage_costs import write_stage_cost
    from stages.methods import files_of
    from stages.methods.parts.given import RUN
    from stages.resolve import resolve
    from stages.run import Prepared, code_of, prepare
    from stages.training.checkpoint import Checkpoint
    from stages.training.curve import write_curve

DATA = [Path("data/run/train") / f"{split}.jsonl" for split in ("train", "dev")]


def cache_key(run: Prepared, seed: int) -> list:
    """Everything but files that decides what the run becomes."""
    own = {key: value for key, value in run.config.as_json().items() if key not in ("model", "revision")}
    return [own, code_of(run.config.method), seed, run.base_model_id, str(run.lm.computes_in), run.lm.device.type]


@entry_point
def main() -> None:
    chosen = params.load()
    config = resolve(chosen)
    run = prepare(config, [chosen.seed], Path("data/linearized") / config.task)
    with Checkpoint.of(cache_key(run, chosen.seed), *DATA, *files_of(config)) as checkpoint:
        trained = run.train([lambda: tuple(map(read_records, DATA))], checkpoint)
        counts = {
            "parameters_trained": trained.trained_parameters,
            "parameters_stored": sum(tensor.numel() for tensor in trained.state.values()),
            "parameters_of_model": sum(p.numel() for p in run.lm.model.parameters()),
        }
        trained.save(RUN, config)
        write_curve(Path("metrics/train.csv"), Path("metrics/train.png"), trained.curve, config.title)
        loss = round(trained.curve[-1].loss, 4) if trained.curve else None
        write_json(Path("metrics/train.json"), {"loss": loss, **counts})
    print(f"{config.title}: " + ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items()))
    write_stage_cost("train", RUN)
    where, recipe = chosen.recipe
    print(f"`recipe` in params.yaml: {where if recipe is not None else 'none for these'}")


if __name__ == "__main__":
    main()
