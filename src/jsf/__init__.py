"""jsf: match video with language, frame by word, and carry the match to the edge.

from jsf import Scorer
Scorer.load("bundle").score("video.npz", "a car speeds toward a truck")
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsf.data.errors import JsfError
    from jsf.data.sequence import FeatureSequence
    from jsf.runtime.embedder import Embedder
    from jsf.runtime.scorer import Scorer

__all__ = ["Embedder", "FeatureSequence", "JsfError", "Scorer"]

_HOMES = {
    "Embedder": "jsf.runtime.embedder",
    "FeatureSequence": "jsf.data.sequence",
    "JsfError": "jsf.data.errors",
    "Scorer": "jsf.runtime.scorer",
}


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used: `jsf --help` needs none of them."""
    if name not in _HOMES:
        raise AttributeError(f"module 'jsf' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
