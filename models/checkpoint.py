"""The checkpoint `best.pt`: everything needed to score again, and nothing that runs code when loaded."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import torch

from jsf.data.errors import JsfError
from jsf.data.files import replacing
from jsf.data.vocabulary import Vocabulary
from jsf.models.config import JSFusionConfig
from jsf.models.hse.captioner import Captioner, CaptionerConfig
from jsf.models.hse.config import HSEConfig
from jsf.models.hse.hse import HSE
from jsf.models.jsfusion import JSFusion

FORMAT = 2

Model: TypeAlias = JSFusion | HSE | Captioner
SYSTEMS: dict[str, tuple[Any, type[Model]]] = {
    "jsfusion": (JSFusionConfig, JSFusion),
    "hse": (HSEConfig, HSE),
    "captioner": (CaptionerConfig.of, Captioner),
}
"""System -> what makes its configuration, and its network."""


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

    model: Model
    vocabulary: Vocabulary
    extractor: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)

    @property
    def jsfusion(self) -> JSFusion:
        """The model; raises JsfError where it is another than JSFusion."""
        if not isinstance(self.model, JSFusion):
            raise JsfError(
                f"the checkpoint holds a model for {self.model.config.task}, which compares no frame with a word.",
                "Name a checkpoint of JSFusion: jsf train --model jsfusion",
            )
        return self.model

    @property
    def hse(self) -> HSE:
        """The model; raises JsfError where it is another than HSE or FSE."""
        if not isinstance(self.model, HSE):
            raise JsfError(
                f"the checkpoint holds a model for {self.model.config.task}, which embeds neither videos nor texts.",
                "Name a checkpoint of an embedding: jsf train --model hse",
            )
        return self.model

    @property
    def captioner(self) -> Captioner:
        """The model; raises JsfError where it is another than a captioner."""
        if not isinstance(self.model, Captioner):
            raise JsfError(
                f"the checkpoint holds a model for {self.model.config.task}, which tells no sentences.",
                "Name a checkpoint of a captioner: jsf train --task captioning --start RUN/best.pt",
            )
        return self.model

    def save(self, path: Path) -> None:
        """Writes `best.pt`, whole or not at all."""
        value = {
            "format": FORMAT,
            "system": next(name for name, (_, kind) in SYSTEMS.items() if isinstance(self.model, kind)),
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


def _model(value: dict[str, Any]) -> Model:
    config_of, network_of = SYSTEMS[value.get("system", "jsfusion")]  # which checkpoints before HSE do not name
    config = config_of(**{k: tuple(v) if isinstance(v, list) else v for k, v in value["config"].items()})
    with torch.device("meta"):  # sizes are compared with the file's before anything of them is allocated
        model = network_of(config)
    model.load_state_dict(value["state_dict"], assign=True)
    if kinds := {str(weight.dtype) for weight in model.state_dict().values()} - {"torch.float32"}:
        raise ValueError(f"weights of {', '.join(sorted(kinds))}, expected torch.float32")
    return model


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
