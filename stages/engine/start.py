"""What a stage that needs the model does first."""

from stages.engine.determinism import settle
from stages.engine.load import load
from stages.engine.model import LM
from stages.params import Params
from stages.progress import quiet_unless_terminal


def open_model(chosen: Params) -> LM:
    """The run's model, with torch told how to compute. Raises UserError as `load` does."""
    settle(chosen.threads)
    quiet_unless_terminal()
    return load(chosen.model_directory, chosen.model, chosen.revision)
