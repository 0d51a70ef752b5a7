"""What the tests of an index share: videos as sources, and the models of the tiny bundles."""

import numpy as np
import pytest

from jsf.data.sequence import FeatureSequence
from jsf.runtime.index.build import Source
from jsf.runtime.index.models import Models

SENTENCES = ("a red circle", "blue square", "red square then blue circle", "rings", "a circle while a square")


def video(number, width=12, extractor="toy 1"):
    """The features of video `number`: as many steps as its number says, up to 50."""
    features = np.random.default_rng(number).standard_normal((1 + number % 50, width)).astype(np.float32)
    return FeatureSequence(features, 5, extractor, f"v{number}.npz")


@pytest.fixture(scope="session")
def make_sources():
    """make_sources(numbers) -> those videos."""

    def make(numbers):
        return [Source(f"v{n}", f"/videos/v{n}.npz", lambda n=n: video(n)) for n in numbers]

    return make


@pytest.fixture(scope="session")
def make_video():
    return video


@pytest.fixture(scope="session")
def sentences():
    return SENTENCES


@pytest.fixture(scope="session")
def fse_root(embedding_bundle):
    """The bundle of a tiny FSE that takes what the tiny JSFusion takes; treat it as read-only."""
    return embedding_bundle(False)


@pytest.fixture(scope="session")
def pooled(tiny_bundle):
    """JSFusion alone."""
    return Models.load(tiny_bundle, None, "cpu")


@pytest.fixture(scope="session")
def flat(fse_root):
    """FSE alone."""
    return Models.load(fse_root, None, "cpu")


@pytest.fixture(scope="session")
def both(tiny_bundle, fse_root):
    """FSE, then JSFusion."""
    return Models.load(tiny_bundle, fse_root, "cpu")


@pytest.fixture(scope="session", params=["pooled", "flat", "both"])
def models(request):
    return request.getfixturevalue(request.param)
