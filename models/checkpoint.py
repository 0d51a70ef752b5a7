"""The checkpoint `best.pt`: everything needed to score again, and nothing that runs code when loaded."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from jsf.data.errors import JsfError
from jsf.data.files import replacing
from jsf.data.vocabulary import Vocabulary
from jsf.models.config import JSFusionConfig
from jsf.models.jsfusion import JSFusion

FORMAT = 2


@dataclass
class Checkpoint:
    """A trained model with its vocabulary and its history.

    Attributes:
        model: the network.
        vocabulary: the words it knows.
        extractor: what made the features it was trained on; "" where unknown.
        metrics: the validation metrics of this epoch.
        recipe: how it was trained.
    """

    model: JSFusion
    vocabulary: Vocabulary
    extractor: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Writes `best.pt`, whole or not at all."""
        value = {
            "format": FORMAT,
            "config": asdict(self.model.config),
            "vocabulary": list(self.vocabulary.words),
            "extractor": self.extractor,
            "metrics": self.metrics,
            "recipe": self.recipe,
            "state_dict": self.model.state_dict(),
        }
        with replacing(path) as temporary:
            torch.save(value, temporary)

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """Reads `best.pt` with `weights_only=True`; the model is in eval mode, on the CPU.

        Raises:
            JsfError: the file is missing, damaged, not a jsf checkpoint, or from a newer jsf.
        """
        if not path.is_file():
            raise JsfError(
                f"{path} {'is a folder' if path.is_dir() else 'does not exist'}.",
                "Make it with: jsf train ... -o RUN, which writes RUN/best.pt",
            )
        try:
            value = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # damaged bytes raise whatever they run into, from AssertionError to IndexError
            raise JsfError(
                f"{path} is not a jsf checkpoint: PyTorch cannot read it as data ({type(error).__name__}).",
                "Expected the best.pt that `jsf train` writes.",
            ) from error
        if not isinstance(value, dict) or value.get("format") != FORMAT:
            found = value.get("format") if isinstance(value, dict) else None
            raise JsfError(f"{path} has checkpoint format {found!r}; this jsf reads format {FORMAT}.")
        try:
            model, vocabulary = _model(value), Vocabulary(tuple(value["vocabulary"]))
            if len(vocabulary) != model.config.vocabulary_size:
                raise ValueError(f"a vocabulary of {len(vocabulary)} for {model.config.vocabulary_size} embeddings")
            return cls(model.eval(), vocabulary, value["extractor"], value["metrics"], value["recipe"])
        except (JsfError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise JsfError(f"{path} is damaged: {_reason(error)}") from error


def _model(value: dict[str, Any]) -> JSFusion:
    config = JSFusionConfig(**{**value["config"], "head": tuple(value["config"]["head"])})
    with torch.device("meta"):  # sizes are compared with the file's before anything of them is allocated
        model = JSFusion(config)
    model.load_state_dict(value["state_dict"], assign=True)
    if kinds := {str(weight.dtype) for weight in model.state_dict().values()} - {"torch.float32"}:
        raise ValueError(f"weights of {', '.join(sorted(kinds))}, expected torch.float32")
    return model


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
