"""From params.yaml to the configuration of a run: each `recipe` is resolved, the method's options are typed."""

from pathlib import Path

from transformers import AutoConfig

from stages.core.errors import UserError
from stages.core.run_config import RunConfig
from stages.methods import check_fits, options_of
from stages.models.load import family_of
from stages.models.named import PACKAGES, path_of
from stages.params import Params


def resolve(params: Params) -> RunConfig:
    """The configuration of the run that params.yaml describes.

    Raises UserError that names the key of params.yaml which is wrong, or which neither the run nor its recipe gives.
    """
    family = _family(params)
    if family is not None:  # checked first: without it the error would be about a missing recipe
        check_fits(params.method, family, params.model)
    where, recipe = params.recipe
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
        head_init_std=params.head.init_std,
        options=options_of(params.method, params.methods, recipe, where),
    )


def _family(params: Params) -> str | None:
    """The family of the run's model; None if the model is not on this machine. Raises UserError if it is unusable."""
    if params.model in PACKAGES:  # it may be missing, and studies of other models do not need it
        return PACKAGES[params.model].family
    path = path_of(params.model)
    try:
        config = AutoConfig.from_pretrained(
            path, revision=params.revision, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        if not Path(path).is_dir():
            return None
        raise UserError(f"model: {path} holds no usable model ({str(error).strip().splitlines()[0]})") from error
    return family_of(config, params.model)[0].family
