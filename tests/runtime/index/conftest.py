"""What the tests of an index share: videos as sources, and the models of the tiny bundles."""

import numpy as np
import pytest

from jsf.data.sequence import FeatureSequence
from jsf.data.vocabulary import Vocabulary
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
def fse_root(golden_weights, tmp_path_factory):
    """The bundle of a tiny FSE that takes what the tiny JSFusion takes; treat it as read-only."""
    from jsf.export.bundle import export_bundle
    from jsf.models.checkpoint import Checkpoint
    from jsf.models.hse.config import HSEConfig
    from jsf.models.hse.hse import HSE

    words = ("red", "blue", "circle", "square", "a", "rings")
    config = HSEConfig("tiny", 12, 7, False, 6, 4, 9, 3, 2, word_width=5, hidden=10)
    checkpoint = Checkpoint(golden_weights(HSE(config), gain=1.5), Vocabulary(words), extractor="toy 1")
    return export_bundle(checkpoint, tmp_path_factory.mktemp("bundles") / "fse").root


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
