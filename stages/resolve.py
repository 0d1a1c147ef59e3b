"""From params.yaml to the configuration of a run: every `recipe` resolved, the method's options typed."""

from stages.core.run_config import RunConfig
from stages.methods import options_of
from stages.params import Params


def resolve(params: Params) -> RunConfig:
    """Raises UserError that names the key of params.yaml that is wrong, or that neither run nor recipe gives."""
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
        options=options_of(params.method, params.methods, recipe, where),
    )
