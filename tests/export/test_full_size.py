import pytest

from jsf.calibration.fp16 import add_fp16
from jsf.data.vocabulary import Vocabulary
from jsf.export.bundle import export_bundle
from jsf.export.engine import build_engines
from jsf.models.checkpoint import Checkpoint
from jsf.models.jsfusion import JSFusion
from jsf.models.presets import preset
from jsf.runtime.backends.sidecar import EngineSidecar


@pytest.mark.slow
def test_the_paper_preset_exports_and_builds_in_both_precisions(golden_weights, tmp_path):
    pytest.importorskip("tensorrt_rtx")
    vocabulary = Vocabulary(tuple(f"word{i}" for i in range(99)))
    model = golden_weights(JSFusion(preset("paper", "retrieval", feature_width=2176, vocabulary_size=len(vocabulary))))
    bundle = export_bundle(Checkpoint(model, vocabulary), tmp_path / "bundle")
    assert max(bundle.manifest.parity.values()) < 1e-4
    assert bundle.samples.stat().st_size < 1e6
    loss = add_fp16(bundle)
    for precision, wanted in (("fp32", "float32"), ("fp16", "float16")):
        engines = build_engines(bundle, precision, "tensorrt-rtx")
        for sidecar in (EngineSidecar.read(engine.with_suffix(".json")) for engine in engines):
            assert sidecar.layers[wanted] > 5 * len(sidecar.profiles)
            assert sum(sidecar.layers.values()) - sidecar.layers[wanted] <= len(sidecar.profiles)
    assert loss["fp32_nodes"] == {}
    assert 0 < loss["score_error_max"] < 0.01 * loss["score_range"]
