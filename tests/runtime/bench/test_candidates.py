"""What is measured: all that is here; what was asked for by name is here, or is an error."""

import pickle
from functools import partial

import numpy as np
import pytest

from jsf.data.errors import JsfError
from jsf.runtime.bench.candidates import Candidate, FullSize, bundle_candidates, open_candidates
from jsf.runtime.bench.measure import planned
from jsf.runtime.bench.workload import Workload
from jsf.runtime.bundle import Bundle
from jsf.runtime.graphs import DEVICES, Graphs, load_graphs
from jsf.runtime.matching import match


@pytest.fixture
def bundle(tiny_bundle):
    return Bundle.open(tiny_bundle)


def candidates(*here):
    """Two devices in two precisions, of which some are `here`."""

    def open_one(device, precision):
        if (device, precision) not in here:
            raise JsfError(f"no {device} {precision}")
        return Graphs({}, f"{device} {precision}")

    return [
        Candidate(f"{device} {precision}", device, precision, partial(open_one, device, precision))
        for device in ("cpu", "cuda")
        for precision in ("fp32", "int8")
    ]


def test_by_default_all_devices_run_all_precisions_of_the_bundle(bundle):
    found = bundle_candidates(bundle, (), ())
    assert [(each.device, each.precision) for each in found] == [(device, "fp32") for device in DEVICES[1:]]
    assert found[0].name == "ONNX Runtime FP32"
    bundle.manifest.hashes["int8-cpu"] = {}
    assert [each.precision for each in bundle_candidates(bundle, ["cpu", "cpu"], ())] == ["fp32", "int8"]


@pytest.mark.parametrize("options", [(["tpu"], ()), (["auto"], ()), ((), ["int4"])])
def test_names_that_are_not_known_are_refused(bundle, options):
    with pytest.raises(JsfError, match="is not known, expected some of: "):
        bundle_candidates(bundle, *options)


def test_a_candidate_opens_in_another_process(bundle):
    candidate = pickle.loads(pickle.dumps(bundle_candidates(bundle, ["cpu"], ())[0]))
    assert candidate.open()["matcher.buckets"].inputs[0].shape[2] == 8


def test_what_is_absent_is_named(bundle):
    opened, absent = open_candidates(candidates(("cpu", "fp32")), (), ())
    assert [each.name for each in opened] == ["cpu fp32"]
    assert absent == {name: f"no {name}" for name in ("cpu int8", "cuda fp32", "cuda int8")}


@pytest.mark.parametrize(
    ("here", "devices", "precisions", "missing"),
    [
        ([("cpu", "fp32")], ["cuda"], (), "no cuda fp32"),
        ([("cpu", "fp32")], (), ["int8"], "no cpu int8"),
        ([("cpu", "fp32"), ("cuda", "int8")], ["cuda"], ["fp32"], "no cuda fp32"),
        ([], (), (), "no cpu fp32"),
    ],
)
def test_what_was_asked_for_and_is_absent_is_an_error(here, devices, precisions, missing):
    chosen = [
        each
        for each in candidates(*here)
        if each.device in (devices or each.device) and each.precision in (precisions or each.precision)
    ]
    with pytest.raises(JsfError, match=missing):
        open_candidates(chosen, devices, precisions)


def test_a_device_that_runs_one_precision_is_there(bundle):
    opened, absent = open_candidates(candidates(("cpu", "fp32"), ("cuda", "int8"))[2:], ["cuda"], ())
    assert ([each.name for each in opened], list(absent)) == (["cuda int8"], ["cuda fp32"])


def test_at_full_size_every_pair_is_40_by_40_with_the_same_score(bundle):
    matcher = load_graphs(bundle, "cpu")["matcher.buckets"]
    pairs = Workload("", 23, np.arange(1, 22, dtype=np.int32)).encoded(8, np.dtype(np.float32))
    full = FullSize(matcher, 8)
    shapes = [(inputs["videos"].shape, inputs["sentences"].shape) for _, inputs in planned(full, pairs)]
    assert shapes == [((n, 40, 8), (n, 40, 8)) for n in (8, 8, 5)]
    assert len({inputs["sentences"].shape[1] for _, inputs in planned(matcher, pairs)}) > 1
    each = np.arange(21)
    found, expected = match(full, *pairs, each, each), match(matcher, *pairs, each, each)
    assert np.abs(found - expected).max() < 1e-5 * np.ptp(expected)
