"""What a stage that needs the model does first."""

from stages.models.determinism import settle
from stages.models.load import load
from stages.models.model import LM
from stages.models.progress import quiet_unless_terminal
from stages.params import Params


def open_model(chosen: Params) -> LM:
    """The run's model, with torch told how to compute. Raises UserError as `load` does."""
    settle(chosen.threads)
    quiet_unless_terminal()
    return load(chosen.model_directory, chosen.model, chosen.revision)
