"""From params.yaml to the configuration of a run: every `recipe` resolved, the method's options typed."""

from pathlib import Path

from transformers import AutoConfig

from stages.core.errors import UserError
from stages.core.run_config import RunConfig
from stages.methods import check_fits, options_of
from stages.models.encoder import Encoder
from stages.models.load import family_of
from stages.models.named import MINILM, path_of
from stages.params import Params


def resolve(params: Params) -> RunConfig:
    """Raises UserError that names the key of params.yaml that is wrong, or that neither run nor recipe gives."""
    family = _family(params)
    if family is not None:  # before a recipe is missed, which no method has for models that it does not fit
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
    """The family of the run's model; None of one that is not on this machine: nothing is known of it yet."""
    if params.model == MINILM:  # its package may be missing, which is no reason to refuse the studies of other models
        return Encoder.family
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
