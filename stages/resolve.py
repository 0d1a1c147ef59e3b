"""From params.yaml to the configuration of a run: every `recipe` resolved, the method's options typed."""

from pathlib import Path

from stages.core.run_config import RunConfig
from stages.methods import check_fits, options_of
from stages.models.named import path_of
from stages.params import Params


def resolve(params: Params) -> RunConfig:
    """Raises UserError that names the key of params.yaml that is wrong, or that neither run nor recipe gives."""
    where, recipe = params.recipe
    if recipe is None:
        _check_fits(params)
    return RunConfig(
        task=params.task,
        model=params.model,
        revision=params.revision,
        method=params.method,
        prefix_len=params.prefix_length,
        source_words=params.source_words,
        threads=params.threads,
        precision=params.precision,
        training=params.training,
        decoding=params.decoding,
        options=options_of(params.method, params.methods, recipe, where),
    )


def _check_fits(params: Params) -> None:
    """Refuse a method that does not fit the model, if that is on this machine: to set what no recipe gives would not help."""
    directory = path_of(params.model)
    if (Path(directory) / "config.json").is_file():
        from stages.models.load import family_at  # takes a second, and most runs have a recipe

        check_fits(params.method, family_at(directory, params.model), params.model)
