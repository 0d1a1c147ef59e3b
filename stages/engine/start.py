"""What a stage that needs the model does first."""

from stages.engine.determinism import settle
from stages.engine.model import FrozenLM, load
from stages.params import Params
from stages.progress import quiet_unless_terminal


def open_model(chosen: Params) -> FrozenLM:
    """The run's frozen model, with torch told how to compute. Raises UserError as `load` does."""
    settle(chosen.threads)
    quiet_unless_terminal()
    return load(chosen.model_directory, chosen.model, chosen.revision)
