"""VGGish with its PCA to ONNX, once (Hershey et al., CNN Architectures for Large-Scale Audio Classification, 2017).

Weights: the TensorFlow release (Apache-2.0), converted to PyTorch by torchvggish: `vggish-10086976.pth` and
`vggish_pca_params-970ea276.pth`; the PCA may be TensorFlow's `vggish_pca_params.npz`.
"""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from jsf.data.errors import JsfError
from jsf.extraction.tracing import write_graph
from jsf.extraction.vggish import BANDS, COLUMNS, INPUT, OUTPUT

RELEASE = "https://github.com/harritaylor/torchvggish/releases/download/v0.1/"
NETWORK, PCA = "vggish-10086976.pth", "vggish_pca_params-970ea276.pth"
"""The files of the release; a name ends with the start of its SHA-256."""

PCA_NPZ = "vggish_pca_params.npz"
WIDTH = 128


class VGGishNetwork(torch.nn.Module):
    """Log-mel windows [B, 96, 64] -> embeddings [B, 128], whitened by PCA and clipped to -2..2.

    AudioSet stores these in 8 bits, 256 steps of -2..2. That is a format of files, which TensorFlow's code fills by
    cutting and torchvggish by rounding; here the numbers stay as they are.
    """

    eigen_vectors: torch.Tensor
    means: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        layers: list[torch.nn.Module] = []
        channels = 1
        for group in ((64,), (128,), (256, 256), (512, 512)):
            for width in group:
                layers += [torch.nn.Conv2d(channels, width, 3, padding=1), torch.nn.ReLU()]
                channels = width
            layers.append(torch.nn.MaxPool2d(2))
        self.features = torch.nn.Sequential(*layers)
        widths = (512 * (COLUMNS // 16) * (BANDS // 16), 4096, 4096, WIDTH)
        dense = [layer for i, o in pairwise(widths) for layer in (torch.nn.Linear(i, o), torch.nn.ReLU())]
        self.embeddings = torch.nn.Sequential(*dense)
        self.register_buffer("eigen_vectors", torch.eye(WIDTH))
        self.register_buffer("means", torch.zeros(WIDTH))
        self.eval()

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """The embedding, PCA and clipping of `vggish_postprocess`."""
        images = self.features(windows.unsqueeze(1))
        embedded = self.embeddings(images.permute(0, 2, 3, 1).flatten(1))  # as TensorFlow lays images out
        return torch.clamp((embedded - self.means) @ self.eigen_vectors.T, -2.0, 2.0)

    def load(self, folder: Path) -> None:
        """Loads the files of the release from a folder.

        Raises:
            JsfError: a file is missing or damaged, or does not fit.
        """
        pca = folder / (PCA if (folder / PCA).is_file() else PCA_NPZ)
        for path in (folder / NETWORK, pca):
            if not path.is_file():
                raise JsfError(
                    f"{folder} has no {path.name}.", f"Load {NETWORK} and {PCA} into it from {RELEASE.rstrip('/')}"
                )
            try:
                self._fill(_read(path))
            except Exception as error:  # torch and numpy raise many kinds on damaged files
                reason = " ".join(str(error).split())[:200]
                raise JsfError(
                    f"{path} does not hold VGGish's weights: {reason}", f"Load it again: {RELEASE}"
                ) from error

    def _fill(self, values: Any) -> None:
        if "pca_means" in values:
            values = {"eigen_vectors": values["pca_eigen_vectors"], "means": values["pca_means"]}
            values = {key: torch.as_tensor(value, dtype=torch.float32) for key, value in values.items()}
            values["means"] = values["means"].reshape(-1)
            self.load_state_dict({**self.state_dict(), **values})
        else:
            own = {"eigen_vectors": self.eigen_vectors, "means": self.means}
            self.load_state_dict({**values, **own})


def write_vggish(path: Path, weights: Path | None = None) -> None:
    """Writes the graph, checked against PyTorch.

    Args:
        path: the graph's file.
        weights: a folder with the release's files; without, they are downloaded into PyTorch's cache.

    Raises:
        JsfError: the weights cannot be had or do not fit; else as `write_graph`.
    """
    network = VGGishNetwork()
    network.load(weights or _download())
    windows = torch.randn(3, COLUMNS, BANDS, generator=torch.Generator().manual_seed(0)) - 2
    write_graph(network, windows, (INPUT, OUTPUT), path)


def _read(path: Path) -> Any:
    if path.suffix == ".npz":
        return dict(np.load(path, allow_pickle=False))
    # The PCA was saved as numpy arrays: what rebuilds one is all that may be called.
    rebuild = [
        (np._core.multiarray._reconstruct, f"numpy.{core}.multiarray._reconstruct")  # type: ignore[attr-defined]
        for core in ("core", "_core")
    ]
    types = [type(np.dtype(kind)) for kind in (np.float32, np.float64)]
    with torch.serialization.safe_globals([*rebuild, np.ndarray, np.dtype, *types]):
        return torch.load(path, map_location="cpu", weights_only=True)


def _download() -> Path:
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    try:
        for file in (NETWORK, PCA):
            if not (folder / file).is_file():
                folder.mkdir(parents=True, exist_ok=True)
                prefix = file.rpartition("-")[2].removesuffix(".pth")
                torch.hub.download_url_to_file(RELEASE + file, str(folder / file), hash_prefix=prefix)
    except (OSError, RuntimeError) as error:
        raise JsfError(
            f"VGGish's weights cannot be downloaded: {error}",
            f"Load {NETWORK} and {PCA} from {RELEASE.rstrip('/')} into a folder; then add: --sound-weights FOLDER",
        ) from error
    return folder
