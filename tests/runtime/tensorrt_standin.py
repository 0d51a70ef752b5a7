"""A stand-in for `tensorrt` and `tensorrt_rtx` without a GPU: host memory is device memory, and ONNX Runtime computes.

It offers exactly the names of `tensorrt_api/<version>.json`: any other name of the module, of an enumeration or of an
object raises AttributeError. A stream is a queue that runs at `synchronize` and never before, memory starts as NaN, and
freed memory is gone, so that code in the wrong order reads garbage or fails. A CUDA graph holds the addresses that it
was captured with, and is void once its context has changed.
"""

import enum
import json
import weakref
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import onnxruntime as ort

from jsf.runtime.backends.device import Buffer, Device

TYPES = {
    1: ("FLOAT", "FP32"),
    3: ("INT8", "Int8"),
    6: ("INT32", "Int32"),
    7: ("INT64", "Int64"),
    9: ("BOOL", "Bool"),
    10: ("HALF", "FP16"),
}
DTYPES = {"FLOAT": np.float32, "HALF": np.float16, "INT32": np.int32}
LAYERS = {
    "Conv": "CONVOLUTION",
    "MatMul": "MATRIX_MULTIPLY",
    "Gemm": "MATRIX_MULTIPLY",
    "LSTM": "RECURRENCE",
    "QuantizeLinear": "QUANTIZE",
    "DequantizeLinear": "DEQUANTIZE",
    "Transpose": "SHUFFLE",
    "Reshape": "SHUFFLE",
}
"""The graph's operation -> the type of TensorRT's layer; ELEMENTWISE stands for all others."""


class HostDevice(Device):
    """Device memory and one stream, in host memory."""

    def __init__(self):
        super().__init__()
        self.stream = 7
        self.memory = {}
        self.queue = []
        self.uploads = []
        self.captured, self.replayed = 0, 0
        self.capturing = self.refuses_capture = False
        self._next = 1 << 20

    def allocate(self, nbytes):
        buffer = Buffer(self._next, nbytes)
        self._next += nbytes + (1 << 12)
        self.memory[buffer.address] = np.full(nbytes, 0xFF, np.uint8)  # NaN in every float type
        weakref.finalize(buffer, self.memory.pop, buffer.address)
        return buffer

    def pin(self, nbytes):
        return np.full(nbytes, 0xFF, np.uint8)

    def upload(self, buffer, array):
        self.uploads.append(array)
        self.queue.append(lambda: np.copyto(self.bytes_at(buffer.address, array.nbytes), array.ravel().view(np.uint8)))

    def download(self, array, buffer):
        self.queue.append(lambda: np.copyto(array.ravel().view(np.uint8), self.bytes_at(buffer.address, array.nbytes)))

    def synchronize(self):
        while self.queue:
            self.queue.pop(0)()

    def capture(self, queue):
        before, self.queue, self.capturing = self.queue, [], True
        try:
            queued = queue()
        finally:
            captured, self.queue, self.capturing = self.queue, before, False
        if self.refuses_capture or not queued:
            return None
        self.captured += 1

        def replay():
            self.replayed += 1
            self.queue += captured

        return replay

    def bytes_at(self, address, nbytes):
        """The memory [nbytes] at an address inside an allocation that is alive and large enough."""
        for start, memory in self.memory.items():
            if start <= address and address + nbytes <= start + len(memory):
                return memory[address - start : address - start + nbytes]
        raise MemoryError(f"illegal access of {nbytes} bytes at {address:#x}")


class Severity(enum.Enum):
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)


def make_tensorrt(version, device, has_driver=lambda: True):
    """The module of a version over a HostDevice: `tensorrt` ("10.3", "10.16", "11.4") or `tensorrt_rtx` ("rtx-1.7")."""
    api = json.loads((Path(__file__).parent / "tensorrt_api" / f"{version}.json").read_text(encoding="utf-8"))
    flavour, _, number = version.rpartition("-")
    trt = ModuleType("tensorrt_rtx" if flavour else "tensorrt")
    trt.__version__ = f"{number}.0"
    trt.__spec__ = ModuleSpec(trt.__name__, None)
    trt.__getattr__ = lambda name: _absent(f"{trt.__name__} {number}", name)
    for name, members in api.items():
        if all(member.isupper() or member[0].isdigit() for member in members):
            setattr(trt, name, enum.IntEnum(name, {member: i for i, member in enumerate(members)}))
    for implementation in (_Builder, _Config, _Network, _Layer, _Parser, _ParserError, _Profile, _TimingCache, _Tensor):
        _offer(trt, api, implementation)
    for implementation in (_Runtime, _Engine, _Context, _Inspector):
        _offer(trt, api, implementation)
    if "IRuntimeConfig" in api:
        _offer(trt, api, _RuntimeConfig)
    trt.Runtime._device, trt.Runtime._has_driver = device, staticmethod(has_driver)
    trt.ILogger = _interface("ILogger", api, {severity.name: severity for severity in Severity})
    trt.IProgressMonitor = _interface("IProgressMonitor", api, {})
    return trt


def _absent(owner, name):
    raise AttributeError(f"{owner} has no '{name}'")


def _offer(trt, api, implementation):
    """Adds a class whose objects have the implementation's attributes, but only those that the version offers."""
    name = implementation._api

    class Offered(implementation):
        def __getattribute__(self, attribute):
            if not attribute.startswith("_") and attribute not in api[name]:
                _absent(f"{name} of {trt.__version__}", attribute)
            return super().__getattribute__(attribute)

        def __setattr__(self, attribute, value):
            if not attribute.startswith("_") and attribute not in api[name]:
                _absent(f"{name} of {trt.__version__}", attribute)
            super().__setattr__(attribute, value)

    Offered.__name__, Offered._trt = name, trt
    setattr(trt, name, Offered)


def _interface(name, api, attributes):
    """A class to be derived from: a method that the version would never call is refused."""

    def __init_subclass__(cls):
        for method in vars(cls):
            if not method.startswith("_") and method not in api[name]:
                _absent(name, method)

    return type(name, (), {**attributes, "__init__": lambda self: None, "__init_subclass__": __init_subclass__})


class _Tensor:
    _api = "ITensor"

    def __init__(self, value):
        kind = value.type.tensor_type
        self._dims = [d.dim_param or int(d.dim_value) for d in kind.shape.dim]
        self.name, self.shape = value.name, tuple(-1 if isinstance(d, str) else d for d in self._dims)
        self.dtype = self._trt.DataType[TYPES[kind.elem_type][0]]

    def get_dimension_name(self, index):
        return self._dims[index]


class _Network:
    _api = "INetworkDefinition"
    _model = None

    num_inputs = property(lambda self: len(self._model.graph.input))
    num_outputs = property(lambda self: len(self._model.graph.output))
    num_layers = property(lambda self: len(self._model.graph.node))

    def get_input(self, index):
        return self._trt.ITensor(self._model.graph.input[index])

    def get_output(self, index):
        return self._trt.ITensor(self._model.graph.output[index])

    def get_layer(self, index):
        return self._trt.ILayer(self._model.graph.node[index], _values(self._model))


class _Layer:
    _api = "ILayer"

    def __init__(self, node, values):
        self._node, self._values = node, values
        self.name, self.metadata = node.name, f"[ONNX Layer: {node.name}]"
        self.type = self._trt.LayerType[LAYERS.get(node.op_type, "ELEMENTWISE")]

    num_inputs = property(lambda self: len(self._node.input))
    num_outputs = property(lambda self: len(self._node.output))

    def get_input(self, index):
        return self._tensor(self._node.input[index])

    def get_output(self, index):
        return self._tensor(self._node.output[index])

    def _tensor(self, name):
        return self._trt.ITensor(self._values[name]) if name in self._values else None


class _ParserError:
    _api = "ParserError"

    def __init__(self, text):
        self._text = text

    def desc(self):
        return self._text


class _Parser:
    _api = "OnnxParser"

    def __init__(self, network, log):
        self._network, self._errors = network, []

    num_errors = property(lambda self: len(self._errors))

    def parse_from_file(self, path):
        assert isinstance(path, str)
        try:
            self._network._model = onnx.load(path)
            onnx.checker.check_model(self._network._model)
        except Exception as error:
            self._errors.append(str(error))
        return not self._errors

    def get_error(self, index):
        return self._trt.ParserError(self._errors[index])


class _Profile:
    _api = "IOptimizationProfile"

    def __init__(self):
        self._shapes = {}

    def set_shape(self, name, least, usual, greatest):
        assert all(a <= b <= c for a, b, c in zip(least, usual, greatest, strict=True))
        self._shapes[name] = [list(least), list(usual), list(greatest)]


class _TimingCache:
    _api = "ITimingCache"

    def __init__(self, content):
        self._lines = set(bytes(content).split())

    def combine(self, other, ignore_mismatch):
        assert ignore_mismatch is False
        self._lines |= other._lines
        return True

    def serialize(self):
        return b"\n".join(sorted(self._lines))


class _Config:
    _api = "IBuilderConfig"
    progress_monitor = profiling_verbosity = num_compute_capabilities = _cache = None

    def __init__(self):
        self._profiles, self._cleared, self._set, self._pools, self._targets = [], [], [], {}, []
        self.hardware_compatibility_level = self._trt.HardwareCompatibilityLevel.NONE

    def clear_flag(self, flag):
        self._cleared.append(self._trt.BuilderFlag(flag).name)

    def set_flag(self, flag):
        self._set.append(self._trt.BuilderFlag(flag).name)

    def set_memory_pool_limit(self, pool, pool_size):
        self._pools[self._trt.MemoryPoolType(pool).name] = pool_size

    def set_compute_capability(self, capability, index):
        assert index == len(self._targets) < self.num_compute_capabilities
        self._targets.append(capability)

    def add_optimization_profile(self, profile):
        self._profiles.append(profile)

    def create_timing_cache(self, content):
        if content.startswith(b"damaged"):
            return None
        return self._trt.ITimingCache(content)

    def set_timing_cache(self, timing_cache, ignore_mismatch):
        self._cache = timing_cache
        return True

    def get_timing_cache(self):
        return self._cache


class _Builder:
    _api = "Builder"

    def __init__(self, log):
        self._log = log

    def create_network(self, flags):
        assert flags & 1 << self._trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED
        return self._trt.INetworkDefinition()

    def create_builder_config(self):
        type(self)._config = self._trt.IBuilderConfig()  # for tests to look at
        return self._config

    def create_optimization_profile(self):
        return self._trt.IOptimizationProfile()

    def build_serialized_network(self, network, config):
        if config.progress_monitor:
            config.progress_monitor.phase_start("Building", None, 2)
            assert config.progress_monitor.step_complete("Building", 0) is True
            config.progress_monitor.phase_finish("Building")
        profiles = [profile._shapes for profile in config._profiles]
        self._log.log(Severity.INFO, f"building with {len(network._model.graph.node)} nodes")
        for value in network._model.graph.input:
            if any(value.name not in shapes for shapes in profiles):
                self._log.log(Severity.ERROR, f"no profile for {value.name}")
                return None
        if config._cache:  # TensorRT-RTX has none
            config._cache._lines.add(network._model.graph.output[0].name.encode())
        detailed = config.profiling_verbosity == self._trt.ProfilingVerbosity.DETAILED
        if detailed and hasattr(self._trt, "ComputeCapability"):
            described = [_logged(layer) for layer in _layers(network._model, len(profiles), range(len(profiles)))]
            self._log.log(Severity.VERBOSE, "\n".join(["Engine Layer Information:", *described]))
        header = {"version": self._trt.__version__, "profiles": profiles, "detailed": detailed, "flags": config._set}
        self._log.log(Severity.INFO, "built")
        return json.dumps(header).encode() + b"\n" + network._model.SerializeToString()


class _Runtime:
    _api = "Runtime"
    engine_host_code_allowed = False

    def __init__(self, log):
        if not self._has_driver():
            raise SystemError("a TensorRT runtime was made without a driver: this crashes the process")
        self._log = log

    def deserialize_cuda_engine(self, plan):
        header, _, model = bytes(plan).partition(b"\n")
        header = json.loads(header)
        host_code = "VERSION_COMPATIBLE" in header["flags"]
        if host_code and not self.engine_host_code_allowed:
            self._log.log(Severity.ERROR, "the engine contains host code, which is not allowed")
            return None
        if header["version"] != self._trt.__version__ and not host_code:
            self._log.log(Severity.ERROR, "the version of the plan does not match")
            return None
        return self._trt.ICudaEngine(self._device, header, onnx.load_from_string(model))


class _RuntimeConfig:
    _api = "IRuntimeConfig"
    cuda_graph_strategy = _how = None

    def set_execution_context_allocation_strategy(self, how):
        self._how = how


class _Engine:
    _api = "ICudaEngine"
    device_memory_size_v2 = 256

    def __init__(self, device, header, model):
        self._device, self._header, self._model = device, header, model
        self._tensors = {v.name: self._trt.ITensor(v) for v in (*model.graph.input, *model.graph.output)}
        self._contexts = []

    num_io_tensors = property(lambda self: len(self._tensors))

    def get_tensor_name(self, index):
        return list(self._tensors)[index]

    def get_tensor_dtype(self, name):
        return self._tensors[name].dtype

    def get_tensor_shape(self, name):
        return self._tensors[name].shape

    def create_runtime_config(self):
        return self._trt.IRuntimeConfig()

    def create_execution_context(self, how):
        self._contexts.append(self._trt.IExecutionContext(self, how))
        return self._contexts[-1]

    def create_engine_inspector(self):
        return self._trt.EngineInspector(self)


class _Inspector:
    """It describes the layers of all profiles, but the types of that of its context alone."""

    _api = "EngineInspector"
    execution_context = None

    def __init__(self, engine):
        self._engine = engine

    def get_engine_information(self, layer_format):
        assert layer_format == self._trt.LayerInformationFormat.JSON
        profiles, context = self._engine._header["profiles"], self.execution_context
        ready = context is not None and set(context._shapes) == set(profiles[0])
        layers = _layers(self._engine._model, len(profiles), [context._profile] if ready else [])
        if not self._engine._header["detailed"]:
            layers = [layer["Name"] for layer in layers]
        return json.dumps({"Layers": layers})


IN_HALF = set()
"""Nodes that a test has the stand-in compute without INT8, in all profiles or as "jst.d4 [profile 1]" in one."""


def _values(model):
    """Name -> ValueInfo of all that flows in a graph, weights included."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    weights = [onnx.helper.make_tensor_value_info(w.name, w.data_type, w.dims) for w in graph.initializer]
    return {value.name: value for value in (*graph.input, *graph.output, *graph.value_info, *weights)}


def _layers(model, profiles, known):
    """What an engine inspector says of each layer: one that reads dequantized values is fused with what made them.

    Each profile has layers of its own, whose names end with its number, but for the first; the types are told of those
    of the `known` profiles.
    """
    layers = []
    for number in range(profiles):
        layers += _layers_of_profile(model, f" [profile {number}]" if number else "", number in known)
    return layers


def _layers_of_profile(model, mark, known):
    values = _values(model)
    quantized = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    layers = []
    for node in model.graph.node:
        product = LAYERS.get(node.op_type) in ("CONVOLUTION", "MATRIX_MULTIPLY")
        fused = quantized if product and not IN_HALF & {node.name, node.name + mark} else {}
        weights = {weight.name for weight in model.graph.initializer}
        inputs = [fused.get(name, name) for name in node.input if name not in weights]
        layers.append(
            {
                "Name": node.name + mark,
                "LayerType": "gemm" if product else "kgen",
                "Inputs": [_description(name, values, mark, known) for name in inputs if name in values],
                "Outputs": [_description(name, values, mark, known) for name in node.output if name in values],
                "Metadata": f"[ONNX Layer: {node.name}]",
            }
        )
    return layers


def _description(name, values, mark, known):
    kind = TYPES[values[name].type.tensor_type.elem_type][1]
    told = f"Row major linear {kind} format" if known else "N/A due to dynamic shapes"
    return {"Name": name + mark, "Format/Datatype": told}


def _logged(layer):
    """A layer as TensorRT-RTX's builder logs it."""
    words = {"FP32": "Float", "FP16": "Half"}
    ends = {}
    for end in ("Inputs", "Outputs"):
        types = [tensor["Format/Datatype"].split()[3] for tensor in layer[end]]
        ends[end] = ", ".join(f"{{ Name: x, Datatype: {words.get(t, t)}, Format: (Linear) }}" for t in types)
    return (
        f"Name: {layer['Name']}_myl0_0, LayerType: {layer['LayerType']}, Inputs: [ {ends['Inputs']}], Constants: [], "
        f"Outputs: [ {ends['Outputs']}], TacticName: , StreamId: 0, Metadata: {layer['Metadata']}"
    )


class _Context:
    _api = "IExecutionContext"

    def __init__(self, engine, how):
        self._engine, self._shapes, self._addresses = engine, {}, {}
        self._settled = self._memory = self._state = None
        self._profile = 0
        self._settings, self._how = how, how._how if isinstance(how, _RuntimeConfig) else how
        self._session = ort.InferenceSession(engine._model.SerializeToString())

    def set_device_memory(self, memory, size):
        assert size >= self._engine.device_memory_size_v2
        self._memory = (memory, size)

    def set_optimization_profile_async(self, profile_index, stream_handle):
        fits = 0 <= profile_index < len(self._engine._header["profiles"])
        if fits:
            self._profile, self._shapes, self._settled, self._state = profile_index, {}, False, object()
        return fits

    def set_input_shape(self, name, shape):
        least, _, greatest = self._engine._header["profiles"][self._profile][name]
        fits = len(shape) == len(least) and all(a <= n <= b for a, n, b in zip(least, shape, greatest, strict=True))
        if fits:
            self._shapes[name] = tuple(shape)
            self._settled = False
            self._state = object()
        return fits

    def set_tensor_address(self, name, address):
        assert isinstance(address, int)
        assert name in self._engine._tensors
        self._addresses[name] = address
        self._state = object()
        return True

    def get_tensor_shape(self, name):
        if name in self._shapes:
            return self._shapes[name]
        lengths = {}
        for given, shape in self._shapes.items():
            lengths |= dict(zip(self._engine._tensors[given]._dims, shape, strict=True))
        return tuple(lengths.get(d, -1) if isinstance(d, str) else d for d in self._engine._tensors[name]._dims)

    def execute_async_v3(self, stream_handle):
        device = self._engine._device
        assert stream_handle == device.stream, "the run is on another stream than the copies"
        if self._how == self._trt.ExecutionContextAllocationStrategy.USER_MANAGED:
            device.bytes_at(*self._memory)
        arrays = {}
        for name, tensor in self._engine._tensors.items():  # TensorRT reads shapes and addresses when it enqueues
            shape, dtype = self.get_tensor_shape(name), np.dtype(DTYPES[tensor.dtype.name])
            memory = device.bytes_at(self._addresses[name], int(np.prod(shape)) * dtype.itemsize)
            arrays[name] = memory.view(dtype).reshape(shape)
        assert self._settled or not device.capturing, "the first run after a change of shapes cannot be captured"
        self._settled, state = True, self._state
        device.queue.append(lambda: self._compute(arrays, state))
        return True

    def _compute(self, arrays, state):
        assert state is self._state, "the context has changed since this run was captured"
        outputs = [value.name for value in self._session.get_outputs()]
        inputs = {value.name: arrays[value.name] for value in self._session.get_inputs()}
        for name, result in zip(outputs, self._session.run(outputs, inputs), strict=True):
            arrays[name][...] = result
