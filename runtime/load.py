"""A bundle to what scores with it: JSFusion's scorer, or an embedder."""

from pathlib import Path

from jsf.data.task_names import EMBEDDINGS
from jsf.runtime.bundle import Bundle, default_bundle
from jsf.runtime.embedder import Embedder
from jsf.runtime.graphs import Graphs, load_graphs
from jsf.runtime.scorer import Scorer


def load_scorer(root: Path | None = None, device: str = "auto", precision: str = "auto") -> Scorer | Embedder:
    """Opens a bundle folder; `$JSF_BUNDLE` or `./bundle` where none is named.

    Raises:
        JsfError: it is not a valid bundle, or the device or the precision is not there.
    """
    bundle = Bundle.open(root or default_bundle())
    return scorer_of(bundle, load_graphs(bundle, device, precision))


def scorer_of(bundle: Bundle, graphs: Graphs) -> Scorer | Embedder:
    """What scores with the graphs of a bundle, or with others in their place."""
    return (Embedder if bundle.manifest.model in EMBEDDINGS else Scorer)(bundle, graphs)
