"""Every name of TensorRT's API that the source uses exists in each version that is supported."""

import ast
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
API = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in (Path(__file__).parent / "tensorrt_api").glob("*.json")
}
SOURCES = ["contexts.py", "log.py", "tensorrt.py"]
SOURCES = [f"runtime/backends/{name}" for name in SOURCES]
SOURCES += [f"export/{name}" for name in ("layer_types.py", "plan.py", "progress.py", "read_back.py", "timing.py")]

OBJECTS = {
    "builder": "Builder",
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "config": "IBuilderConfig",
    "profile": "IOptimizationProfile",
    "timing_cache": "ITimingCache",
    "runtime": "Runtime",
    "engine": "ICudaEngine",
    "inspector": "EngineInspector",
    "context": "IExecutionContext",
    "tensor": "ITensor",
    "layer": "ILayer",
    "settings": "IRuntimeConfig",
}
"""The house's names for TensorRT's objects -> their classes."""

ONLY_RTX = {
    "ComputeCapability",
    "num_compute_capabilities",
    "set_compute_capability",
    "CudaGraphStrategy",
    "WHOLE_GRAPH_CAPTURE",
    "create_runtime_config",
    "cuda_graph_strategy",
    "set_execution_context_allocation_strategy",
}
"""Used where `hasattr(trt, "ComputeCapability")` or `hasattr(trt, "CudaGraphStrategy")` only."""


def used_names(source):
    """Every use as (class, member): `trt.X` -> ("", "X"), `trt.X.Y` -> ("X", "Y"), `config.z` -> (its class, "z")."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Attribute):
            continue
        path = ast.unparse(node.value)
        name = path.removeprefix("self.").lstrip("_")
        if name == "trt":
            yield "", node.attr
        elif name.startswith("trt.") and name.count(".") == 1:
            yield name.removeprefix("trt."), node.attr
        elif name in OBJECTS:
            yield OBJECTS[name], node.attr


def unknown(source, api):
    """The uses that a version's API lacks."""
    module = {*api, "__version__", "__name__"}
    return sorted(
        f"{owner}.{member}" if owner else member
        for owner, member in set(used_names(source))
        if not member.startswith("__") and member not in (api.get(owner, ()) if owner else module)
    )


@pytest.mark.parametrize("version", sorted(API))
@pytest.mark.parametrize("source", SOURCES)
def test_every_name_exists(source, version):
    missing = unknown((ROOT / source).read_text(encoding="utf-8"), API[version])
    if not version.startswith("rtx"):
        missing = [name for name in missing if name.rpartition(".")[2] not in ONLY_RTX]
    assert not missing


def test_the_walk_sees_the_names():
    seen = {use for source in SOURCES for use in used_names((ROOT / source).read_text(encoding="utf-8"))}
    assert {
        ("", "ILogger"),
        ("", "IProgressMonitor"),
        ("NetworkDefinitionCreationFlag", "STRONGLY_TYPED"),
        ("IExecutionContext", "execute_async_v3"),
        ("ICudaEngine", "num_io_tensors"),
        ("IBuilderConfig", "progress_monitor"),
        ("ITimingCache", "combine"),
        ("ExecutionContextAllocationStrategy", "USER_MANAGED"),
        ("HardwareCompatibilityLevel", "AMPERE_PLUS"),
        ("IRuntimeConfig", "cuda_graph_strategy"),
        ("ILayer", "metadata"),
    } <= seen
    assert len(seen) > 60


@pytest.mark.parametrize(
    ("line", "missing"),
    [
        ("config.set_flag(trt.BuilderFlag.FP16)", ["BuilderFlag.FP16"]),
        ("self._context.execute_async_v2(1)", ["IExecutionContext.execute_async_v2"]),
        ("trt.IInt8MinMaxCalibrator", ["IInt8MinMaxCalibrator"]),
        ("builder.build_engine(network)", ["Builder.build_engine"]),
        ("builder.build_serialized_network(network, config)", []),
    ],
)
def test_a_name_that_went_away_is_caught(line, missing):
    assert unknown(line, API["11.4"]) == missing


def test_the_versions_are_the_ones_that_are_supported():
    assert sorted(API) == ["10.16", "10.3", "11.4", "rtx-1.7"]
