import sys

import numpy as np
import pytest

from jsf.data.errors import JsfError
from jsf.evaluation.projection import project


def groups(count, each, width=8):
    """Unit vectors [count * each, width] around `count` axes."""
    random = np.random.default_rng(0)
    vectors = np.repeat(np.eye(width), each, axis=0)[: count * each] + 0.05 * random.standard_normal(
        (count * each, width)
    )
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_the_neighbours_of_a_video_stay_its_neighbours():
    points = project(groups(3, 12))
    assert (points.shape, points.dtype) == ((36, 2), np.float32)
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    same = np.repeat(np.arange(3), 12)
    nearest = np.argsort(distances, axis=1)[:, 1:6]
    assert (same[nearest] == same[:, None]).all()


def test_the_same_embeddings_give_the_same_map():
    embeddings = groups(3, 5)
    assert (project(embeddings) == project(embeddings.copy())).all()


def test_four_are_enough_and_three_are_not():
    assert np.isfinite(project(groups(4, 1))).all()
    with pytest.raises(JsfError, match="a map of 3 videos says nothing"):
        project(groups(3, 1))


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    with pytest.raises(JsfError, match=r"'sklearn'(.|\n)*'\.\[analysis\]'"):
        project(groups(3, 5))
