"""ResNet pool5 to ONNX, once: ResNet-152's 2048 numbers a frame are the visual features of JSFusion's paper.

Weights and preprocessing: microsoft/resnet-50, -101 and -152 (Apache-2.0) on the Hugging Face hub.
"""

from pathlib import Path
from typing import Any

import torch

from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.files import sha256
from jsf.extraction.spec import ExtractorSpec
from jsf.extraction.tracing import write_graph

DEPTHS = {"resnet-50": (3, 4, 6, 3), "resnet-101": (3, 4, 23, 3), "resnet-152": (3, 8, 36, 3)}
SIZE = 224
SHORT_SIDE = 256
"""The image processor's size / crop_pct = 224 / 0.875; then the centre 224 x 224 is cut out."""

MEAN, STD = (255 * 0.485, 255 * 0.456, 255 * 0.406), (255 * 0.229, 255 * 0.224, 255 * 0.225)
"""ImageNet's, on pixel values 0..255."""

FILES = ("model.safetensors", "pytorch_model.bin")


class PooledResNet(torch.nn.Module):
    """A ResNet without its classifier: images [B, 3, 224, 224] -> features [B, 2048]."""

    def __init__(self, name: str) -> None:
        super().__init__()
        transformers = require("transformers", "resnet")
        self.network = transformers.ResNetModel(transformers.ResNetConfig(depths=DEPTHS[name]))
        self.eval()

    def load(self, path: Path) -> None:
        """Loads a checkpoint of `transformers`, with or without its classifier.

        Raises:
            JsfError: it is damaged, or of another network.
        """
        try:
            if path.suffix == ".safetensors":
                state = require("safetensors.torch", "resnet").load_file(path)
            else:
                state = torch.load(path, map_location="cpu", weights_only=True)
            kept = {key.removeprefix("resnet."): value for key, value in state.items() if "classifier" not in key}
            self.network.load_state_dict(kept)
        except JsfError:
            raise
        except Exception as error:  # each format has exceptions of its own
            reason = " ".join(str(error).split())[:200]
            raise JsfError(
                f"{path} does not hold this network's weights: {reason}",
                "Expected the checkpoint's model.safetensors or pytorch_model.bin.",
            ) from error

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Averages the last stage's output over its 7 x 7 places (pool5)."""
        return self.network(images).pooler_output.flatten(1)  # type: ignore[no-any-return]


def write_resnet(path: Path, name: str, weights: Path | None = None) -> ExtractorSpec:
    """Writes the graph of "resnet-50", "resnet-101" or "resnet-152", checked against PyTorch.

    Args:
        path: the graph's file.
        name: a key of `DEPTHS`.
        weights: the checkpoint's file or its folder; without, microsoft/<name> is read from the hub.

    Raises:
        JsfError: the weights cannot be had or do not fit; else as `write_graph`.
    """
    network = PooledResNet(name)
    network.load(_find_weights(name, weights))
    images = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    width = write_graph(network, images, ("images", "features"), path)
    return ExtractorSpec(
        name=name,
        version=1,
        input="images",
        output="features",
        size=SIZE,
        width=width,
        mean=MEAN,
        std=STD,
        sha256=sha256(path),
        short_side=SHORT_SIDE,
    )


def _find_weights(name: str, weights: Path | None) -> Path:
    if weights is None:
        return _download(require("huggingface_hub", "resnet"), f"microsoft/{name}")
    if weights.is_file():
        return weights
    for file in FILES:
        if (weights / file).is_file():
            return weights / file
    raise JsfError(f"{weights} is neither a checkpoint nor a folder with {' or '.join(FILES)}.")


def _download(hub: Any, repository: str) -> Path:
    try:
        return Path(hub.hf_hub_download(repository, FILES[0]))
    except Exception as error:  # no network, no such file, a proxy: each has a class of its own
        raise JsfError(
            f"{repository} cannot be read from the hub: {' '.join(str(error).split())[:200]}",
            f"On a machine that reaches it: hf download {repository} {FILES[0]} --local-dir FOLDER; "
            "then add here: --weights FOLDER",
        ) from error
