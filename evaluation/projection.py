"""A map of an embedding space: videos that are close in it are close on the map."""

import numpy as np
import numpy.typing as npt

from jsf.data.errors import JsfError
from jsf.data.extras import require

PERPLEXITY = 30
"""Neighbours that a point looks at; of few points, a third of the others."""

FEWEST = 4


def project(embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Embeddings [V, E] of unit length as points [V, 2], by t-SNE; the same for the same embeddings.

    Raises:
        JsfError: scikit-learn is absent, or there are fewer than four embeddings.

    Source: van der Maaten and Hinton 2008. The squared distance of unit vectors is 2 - 2 cos.
    """
    tsne = require("sklearn.manifold", "analysis").TSNE
    if len(embeddings) < FEWEST:
        raise JsfError(f"a map of {len(embeddings)} videos says nothing.", f"Embed {FEWEST} videos or more.")
    perplexity = min(PERPLEXITY, (len(embeddings) - 1) / 3)
    return np.asarray(tsne(perplexity=perplexity, init="pca", random_state=0).fit_transform(embeddings), np.float32)
