"""The layers of a finished engine, as TensorRT's inspector describes them."""

import json
from typing import Any

from jsf.data.errors import JsfError
from jsf.export.layer_types import Layer, inspected_layers
from jsf.export.options import BuildOptions
from jsf.export.profiles import Lengths, shapes_of
from jsf.runtime.backends.tensorrt import load_engine


def read_layers(
    trt: Any,
    log: Any,
    plan: Any,
    options: BuildOptions,
    inputs: dict[str, dict[str, Any]],
    profiles: list[Lengths],
) -> list[list[Layer]]:
    """The layers of each profile, at the usual shapes of its inputs: without shapes their types are not described.

    Raises:
        JsfError: TensorRT does not load what it built.
    """
    _runtime, engine = load_engine(trt, log, plan, options.version_compatible)
    no_memory = trt.ExecutionContextAllocationStrategy.USER_MANAGED  # nothing is run
    context = engine.create_execution_context(no_memory) if engine else None
    if context is None:
        raise JsfError(f"{trt.__name__} {trt.__version__} cannot load what it built: {' '.join(log.errors)}")
    inspector = engine.create_engine_inspector()
    layers = []
    for number, lengths in enumerate(profiles):
        context.set_optimization_profile_async(number, 0)
        for name, tensor in inputs.items():
            context.set_input_shape(name, shapes_of(tensor, lengths)[1])
        inspector.execution_context = context
        described = json.loads(inspector.get_engine_information(trt.LayerInformationFormat.JSON))["Layers"]
        layers.append(inspected_layers(described, number))
    return layers
