"""A checkpoint's matcher as a graph: the scores of the bundle that was exported from it."""

import numpy as np
import pytest

from jsf.data.errors import JsfError
from jsf.export.torch_matcher import TorchMatcher, torch_peers
from jsf.runtime.bench.workload import Workload
from jsf.runtime.bundle import Bundle
from jsf.runtime.graphs import load_graphs
from jsf.runtime.matching import match


@pytest.mark.parametrize("which", [("official", "multiple-choice"), ("official", "fill-in-the-blank")])
def test_its_scores_are_the_bundles(which, tiny_variant, variant_bundle):
    bundle = Bundle.open(variant_bundle(*which))
    matcher, expected = TorchMatcher(tiny_variant(*which).jsfusion), load_graphs(bundle, "cpu")["matcher.buckets"]
    assert [spec.name for spec in matcher.inputs] == [spec.name for spec in expected.inputs]
    words = np.array([2, 8, 8, 21, 40], np.int32)
    blanks = words // 2 if which[1] == "fill-in-the-blank" else None
    pairs = Workload("", 17, words, bundle.manifest.left_padded, blanks).encoded(8, np.dtype(np.float32))
    each = np.arange(5)
    found, wanted = (match(graph, *pairs, each, each) for graph in (matcher, expected))
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() < 1e-4 * np.ptp(wanted)


def test_peers_open_from_the_checkpoint(tiny_checkpoint, tmp_path):
    eager, compiled = torch_peers(tiny_checkpoint)
    assert eager.peer and compiled.peer
    assert "torch" in eager.open().description
    assert compiled.open().description.startswith("torch.compile of torch")
    with pytest.raises(JsfError, match="does not exist"):
        torch_peers(tmp_path / "absent.pt")[0].open()
