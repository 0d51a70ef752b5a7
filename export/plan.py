"""One ONNX graph to one engine, through TensorRT's builder or TensorRT-RTX's: the same API but for a few names."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsf.data.errors import JsfError
from jsf.export.layer_types import asked_types, built_types, count_types, logged_layers
from jsf.export.options import BuildOptions
from jsf.export.profiles import Lengths, profiles_of, shapes_of
from jsf.export.progress import cancelling
from jsf.export.read_back import read_layers
from jsf.export.timing import save_timing_cache, use_timing_cache


@dataclass(frozen=True)
class Plan:
    """A serialized engine.

    Attributes:
        engine: what goes into the .engine file.
        inputs: name -> {"dtype", "shape"}, outputs likewise, as in the sidecar.
        profiles: of each, symbolic length -> [least, usual, greatest].
        layers: of each profile, type -> the number of layers that read or write it.
        asked: layer with weights -> the type that the graph asks it to multiply in.
        types: of each profile, layer with weights -> the type that it multiplies in, where the engine still names it.
        compute_capabilities: the GPUs it was built for, "8.7"; empty for the one in this machine.
        log: TensorRT's messages from info upwards, in order.
    """

    engine: bytes
    inputs: dict[str, dict[str, Any]]
    outputs: dict[str, dict[str, Any]]
    profiles: list[Lengths]
    layers: list[dict[str, int]]
    asked: dict[str, str]
    types: list[dict[str, str]]
    compute_capabilities: list[str]
    log: list[str]


def build_plan(
    trt: Any,
    log: Any,
    graph: Path,
    options: BuildOptions,
    timings: Path,
    monitor: Callable[[Any], Any],
    workspace: int | None = None,
) -> Plan:
    """Builds the engine of one graph, strongly typed: each layer computes in the type that the graph names.

    Args:
        trt: the module tensorrt or tensorrt_rtx.
        log: `keeping_log(trt)`, which takes TensorRT's messages.
        graph: the .onnx file.
        options: what the engine is to run on beside this machine.
        timings: the timing cache to use and to extend; TensorRT-RTX keeps none.
        monitor: makes the builder's progress monitor from `trt`.
        workspace: bytes that a run may be planned with; None for all of the GPU's memory.

    Raises:
        JsfError: TensorRT cannot parse or build the graph.
    """
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    _parse(trt, network, log, graph)
    inputs = {t.name: _tensor(trt, t) for t in (network.get_input(i) for i in range(network.num_inputs))}
    outputs = {t.name: _tensor(trt, t) for t in (network.get_output(i) for i in range(network.num_outputs))}
    profiles = profiles_of(graph, inputs)
    asked = asked_types(trt, network)

    config = builder.create_builder_config()
    config.progress_monitor = watch = monitor(trt)
    for lengths in profiles:
        profile = builder.create_optimization_profile()
        for name, tensor in inputs.items():
            profile.set_shape(name, *shapes_of(tensor, lengths))
        config.add_optimization_profile(profile)
    _configure(trt, config, options, workspace)
    ahead_of_time = hasattr(trt, "ComputeCapability")  # TensorRT-RTX: needs no GPU, and times nothing
    capabilities = _target(trt, config) if ahead_of_time else []
    if not ahead_of_time:
        use_timing_cache(config, timings)
    with cancelling(watch):
        plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise JsfError(f"{trt.__name__} {trt.__version__} cannot build {graph}: {' '.join(log.errors)}")
    if not ahead_of_time:
        try:
            save_timing_cache(config, timings)
        except (JsfError, OSError) as error:  # it saves time in another build, and costs this one nothing
            log.messages.append(f"WARNING: the timing cache was not kept: {error}")
    layers = (
        logged_layers(log.layers, len(profiles))
        if ahead_of_time
        else read_layers(trt, log, plan, options, inputs, profiles)
    )
    return Plan(
        engine=bytes(plan),
        inputs=inputs,
        outputs=outputs,
        profiles=profiles,
        layers=[count_types(of_profile) for of_profile in layers],
        asked=asked,
        types=[built_types(of_profile, asked) for of_profile in layers],
        compute_capabilities=capabilities,
        log=list(log.messages),
    )


def _parse(trt: Any, network: Any, log: Any, graph: Path) -> None:
    parser = trt.OnnxParser(network, log)
    if not parser.parse_from_file(str(graph)):
        errors = [parser.get_error(i).desc() for i in range(parser.num_errors)]
        raise JsfError(f"{trt.__name__} {trt.__version__} cannot parse {graph}: {' '.join(errors)}")


def _tensor(trt: Any, tensor: Any) -> dict[str, Any]:
    types = {trt.DataType.FLOAT: "float32", trt.DataType.HALF: "float16", trt.DataType.INT32: "int32"}
    # TensorRT names the symbolic lengths of inputs only.
    shape = [tensor.get_dimension_name(i) or "?" if length < 0 else length for i, length in enumerate(tensor.shape)]
    return {"dtype": types[tensor.dtype], "shape": shape}


def _configure(trt: Any, config: Any, options: BuildOptions, workspace: int | None) -> None:
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # so that the layers' types can be read back
    config.clear_flag(trt.BuilderFlag.TF32)  # FP32 means FP32: it is what the reduced precisions are compared with
    if workspace is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace)
    if options.hardware_compatible:
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    if options.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)


def _target(trt: Any, config: Any) -> list[str]:
    """Targets every GPU from compute capability 8.0 that TensorRT-RTX names: one engine for all of them."""
    known = {int(name[2:]): value for name, value in trt.ComputeCapability.__members__.items() if name.startswith("SM")}
    numbers = sorted(number for number in known if number >= 80)
    config.num_compute_capabilities = len(numbers)
    for i, number in enumerate(numbers):
        config.set_compute_capability(known[number], i)
    return [f"{number // 10}.{number % 10}" for number in numbers]
