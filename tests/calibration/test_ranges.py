import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsf.calibration.ranges import Calibration
from jsf.data.errors import JsfError

bounds = st.tuples(*[st.floats(-1e9, 1e9, width=32)] * 2).map(lambda pair: (min(pair), max(pair)))
ranges = st.dictionaries(st.text(min_size=1), st.dictionaries(st.text(min_size=1), bounds))
CALIBRATION = Calibration(
    {"matcher": "a" * 64}, "b" * 64, 256, "minmax", {"matcher": {"d2": (-1.0, 2.0)}}, {"matcher": {"d2": (0.0, 1.0)}}
)
LAYERS = {"matcher": ["d2"]}


@given(ranges, ranges)
def test_what_is_written_is_read(tmp_path_factory, inputs, outputs):
    path = tmp_path_factory.mktemp("ranges") / "calibration.json"
    calibration = replace(CALIBRATION, inputs=inputs, outputs=outputs)
    calibration.write(path)
    assert Calibration.read(path) == calibration


def test_it_fits_exactly_what_it_is_of():
    assert CALIBRATION.mismatch({"matcher": "a" * 64}, LAYERS, "b" * 64, "minmax") is None


@pytest.mark.parametrize(
    ("graphs", "data", "method", "reason"),
    [
        ({"matcher": "c" * 64}, "b" * 64, "minmax", "another matcher (SHA-256 aaaaaaaaaaaa..., the bundle's is ccccc"),
        ({"frame_encoder": "c" * 64}, "b" * 64, "minmax", "another frame_encoder (SHA-256 none"),
        ({"matcher": "a" * 64}, "d" * 64, "minmax", "other pairs (digest bbbbbbbbbbbb..., these have dddddddddddd"),
        ({"matcher": "a" * 64}, "b" * 64, "entropy", "its method is minmax, entropy was asked for"),
    ],
)
def test_a_stale_one_says_what_differs(graphs, data, method, reason):
    assert reason in CALIBRATION.mismatch(graphs, LAYERS, data, method)


@pytest.mark.parametrize(
    "change",
    [
        {"inputs": {"matcher": {"d2": [1]}}},
        {"inputs": {"matcher": {"d2": [2, 1]}}},
        {"inputs": {"matcher": {"d2": [0, float("nan")]}}},
        {"inputs": [1]},
        {"outputs": {"matcher": 3}},
        {"method": None},
        {"method": 7},
        {"graphs": []},
        {"graphs": {"matcher": 7}},
        {"data": 7},
        {"inputs": {"matcher": {"d2": [0, 10**400]}}},
        {"inputs": {"matcher": {"d2": [0, 1e308]}}},
    ],
)
def test_a_damaged_file_is_refused_with_its_fix(tmp_path, change):
    path = tmp_path / "calibration.json"
    CALIBRATION.write(path)
    value = json.loads(path.read_text()) | change
    path.write_text(json.dumps({name: item for name, item in value.items() if item is not None}))
    with pytest.raises(JsfError, match="is not a calibration of this jsf") as error:
        Calibration.read(path)
    assert error.value.fix == f"Delete it: rm {path}"


@pytest.mark.parametrize("part", ["inputs", "outputs"])
@pytest.mark.parametrize("layers", [{}, {"matcher": {}}, {"matcher": {"d2": (0.0, 1.0), "d3": (0.0, 1.0)}}])
def test_one_of_other_layers_does_not_fit(part, layers):
    other = replace(CALIBRATION, **{part: layers})
    assert other.mismatch({"matcher": "a" * 64}, LAYERS, "b" * 64, "minmax") == "it is of other layers"
