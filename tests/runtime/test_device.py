import ctypes
import gc
import importlib.machinery
import inspect
import re
import sys
import weakref
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from jsf.data.errors import JsfError
from jsf.runtime.backends import device as devices
from jsf.runtime.backends import driver
from jsf.runtime.backends.cuda_python_device import CudaPythonDevice
from jsf.runtime.backends.device import open_device
from jsf.runtime.backends.driver import Gpu, find_gpu, require_gpu
from jsf.runtime.backends.pycuda_device import PyCudaDevice
from jsf.runtime.backends.sidecar import this_platform


class FakeDriver:
    """libcuda of a machine with one GPU; a call that fails returns an error number."""

    def __init__(self, integrated=0, **failures):
        self._attributes, self._failures = {18: integrated, 75: 8, 76: 7}, failures

    def cuInit(self, flags):
        return self._failures.get("cuInit", 0)

    def cuDeviceGet(self, device, ordinal):
        return self._failures.get("cuDeviceGet", 0)

    def cuDeviceGetName(self, name, length, device):
        name.value = b"Orin"
        return 0

    def cuDeviceGetAttribute(self, value, attribute, device):
        value._obj.value = self._attributes[attribute]
        return 0


def absent(name):
    raise OSError(f"{name}: cannot open shared object file")


def test_the_gpu_is_read_from_the_driver(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: FakeDriver())
    assert find_gpu() == require_gpu() == Gpu("Orin", "8.7", integrated=False)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: FakeDriver(integrated=1))
    assert find_gpu() == Gpu("Orin", "8.7", integrated=True)


@pytest.mark.parametrize(
    ("files", "jetson"),
    [
        ({}, False),
        ({"model": b"Raspberry Pi 5 Model B\0"}, False),
        ({"model": b"NVIDIA Jetson Orin Nano Developer Kit\0"}, True),
        ({"nv_tegra_release": b"# R36 (release), REVISION: 4.0"}, True),
    ],
)
def test_a_jetson_is_known_by_its_release_or_its_board(monkeypatch, tmp_path, files, jetson):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.setattr(driver, "JETSON_RELEASE", tmp_path / "nv_tegra_release")
    monkeypatch.setattr(driver, "BOARD", tmp_path / "model")
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert driver.is_jetson() is jetson
    assert this_platform() == ("linux-aarch64-jetson" if jetson else "linux-aarch64")


@pytest.mark.parametrize(
    "library", [absent, lambda name: FakeDriver(cuInit=100), lambda name: FakeDriver(cuDeviceGet=101)]
)
def test_a_missing_driver_or_gpu_is_an_error(monkeypatch, library):
    monkeypatch.setattr(ctypes, "CDLL", library)
    open_device.cache_clear()
    assert find_gpu() is None
    for ask in (require_gpu, open_device, PyCudaDevice, CudaPythonDevice):
        with pytest.raises(JsfError, match="no usable NVIDIA GPU"):
            ask()


class FakeMemory:
    """CUDA memory, page-locked memory and a stream: copies run at `synchronize`, as they may on a GPU."""

    def __init__(self, limit=1 << 20):
        self.blocks, self.pinned, self.queue, self.limit = {}, {}, [], limit
        self.captured = self.graphs = None

    def allocate(self, nbytes):
        if nbytes > self.limit:
            return None
        address = 4096 * (len(self.blocks) + 1)
        self.blocks[address] = np.zeros(nbytes, np.uint8)
        return address

    def free(self, address):
        self.blocks.pop(address)

    def pin(self, nbytes):
        if nbytes > self.limit:
            return None
        block = np.full(nbytes, 0xFF, np.uint8)
        self.pinned[block.ctypes.data] = block
        return block.ctypes.data

    def unpin(self, address):
        self.pinned.pop(address)

    def write(self, address, values):
        self.queue.append(lambda: self.blocks[address].__setitem__(slice(values.nbytes), values.ravel().view(np.uint8)))

    def read(self, values, address):
        self.queue.append(lambda: values.ravel().view(np.uint8).__setitem__(..., self.blocks[address][: values.nbytes]))

    def synchronize(self):
        while self.queue:
            self.queue.pop(0)()


class FakeGraphs:
    """CUDA graphs over a FakeMemory; `failure` is what the end of a capture then reports."""

    def __init__(self, memory, errors):
        self._memory, self._errors = memory, errors
        self.failure, self.pending = None, None
        self.graphs, self.executables, self.before = [], [], None

    def begin(self, stream, mode):
        assert (stream, mode) == (5, "thread-local")
        self.before, self._memory.queue = self._memory.queue, []
        return (self._errors.cudaSuccess,)

    def end(self, stream):
        captured, self._memory.queue = self._memory.queue, self.before
        if self.failure:
            self.pending = self.failure
            return (self.failure, None)
        self.graphs.append(captured)
        return (self._errors.cudaSuccess, captured)

    def last_error(self):
        error, self.pending = self.pending, None
        return (error,)

    def instantiate(self, graph, flags):
        self.executables.append(list(graph))
        return (self._errors.cudaSuccess, self.executables[-1])

    def launch(self, executable, stream):
        assert stream == 5
        self._memory.queue += executable
        return (self._errors.cudaSuccess,)

    def destroy(self, graph):
        self.graphs.remove(graph)
        return (self._errors.cudaSuccess,)

    def destroy_executable(self, executable):
        self.executables.remove(executable)
        return (self._errors.cudaSuccess,)


def fake_cuda_python(memory):
    """`cuda.bindings.runtime`: each call returns a tuple that begins with an error."""
    success, exhausted, broken = (SimpleNamespace(name=name) for name in ("cudaSuccess", "oom", "cudaErrorBroken"))
    kinds = SimpleNamespace(cudaMemcpyHostToDevice="up", cudaMemcpyDeviceToHost="down")

    def reserve(address):
        return (exhausted, None) if address is None else (success, address)

    def copy(target, source, nbytes, kind, stream):
        if stream != 5:
            return (broken,)
        if kind == "up":
            memory.write(target, np.ctypeslib.as_array((ctypes.c_uint8 * nbytes).from_address(source)))
        else:
            memory.read(np.ctypeslib.as_array((ctypes.c_uint8 * nbytes).from_address(target)), source)
        return (success,)

    module = ModuleType("cuda.bindings.runtime")
    module.cudaError_t = SimpleNamespace(cudaSuccess=success, cudaErrorMemoryAllocation=exhausted)
    module.cudaMemcpyKind, module.cudaMemcpyAsync = kinds, copy
    module.cudaSetDevice = lambda ordinal: (success,)
    module.cudaStreamNonBlocking, module.cudaHostAllocDefault = 1, 0
    module.cudaStreamCreateWithFlags = lambda flags: (success, 5) if flags == 1 else (broken, None)
    module.cudaStreamSynchronize = lambda stream: (memory.synchronize(), (success,))[1]
    module.cudaMalloc = lambda nbytes: reserve(memory.allocate(nbytes))
    module.cudaFree = lambda address: (memory.free(address), (success,))[1]
    module.cudaHostAlloc = lambda nbytes, flags: reserve(memory.pin(nbytes)) if flags == 0 else (broken, None)
    module.cudaFreeHost = lambda address: (memory.unpin(address), (success,))[1]
    module.cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal="thread-local")
    memory.graphs = graphs = FakeGraphs(memory, module.cudaError_t)
    module.cudaStreamBeginCapture, module.cudaStreamEndCapture = graphs.begin, graphs.end
    module.cudaGraphInstantiate, module.cudaGraphLaunch = graphs.instantiate, graphs.launch
    module.cudaGraphDestroy, module.cudaGraphExecDestroy = graphs.destroy, graphs.destroy_executable
    module.cudaGetLastError = graphs.last_error
    return {"cuda": ModuleType("cuda"), "cuda.bindings": ModuleType("cuda.bindings"), "cuda.bindings.runtime": module}


def fake_pycuda(memory):
    """`pycuda.driver`: objects that free themselves, and exceptions."""

    class Allocation:
        def __init__(self, nbytes):
            self.address = memory.allocate(nbytes)
            if self.address is None:
                raise driver.MemoryError

        def __int__(self):
            return self.address

        def __del__(self):
            if self.address is not None:
                memory.free(self.address)

    def pagelocked_empty(shape, dtype):
        address = memory.pin(shape * np.dtype(dtype).itemsize)
        if address is None:
            raise driver.MemoryError
        block = (ctypes.c_uint8 * shape).from_address(address)
        weakref.finalize(block, memory.unpin, address)
        return np.ctypeslib.as_array(block).view(dtype)

    stream = SimpleNamespace(handle=5, synchronize=memory.synchronize)
    driver = ModuleType("pycuda.driver")
    driver.init = lambda: None
    driver.Device = lambda ordinal: SimpleNamespace(
        retain_primary_context=lambda: SimpleNamespace(push=lambda: None, pop=lambda: None)
    )
    driver.MemoryError = type("MemoryError", (Exception,), {})
    driver.Stream, driver.mem_alloc, driver.pagelocked_empty = lambda: stream, Allocation, pagelocked_empty
    driver.memcpy_htod_async = lambda address, array, on: memory.write(address, array) if on is stream else None
    driver.memcpy_dtoh_async = lambda array, address, on: memory.read(array, address) if on is stream else None
    package = ModuleType("pycuda")
    package.__spec__ = importlib.machinery.ModuleSpec("pycuda", None)
    return {"pycuda": package, "pycuda.driver": driver}


@pytest.fixture(
    params=[(fake_pycuda, PyCudaDevice), (fake_cuda_python, CudaPythonDevice)], ids=["pycuda", "cuda-python"]
)
def opened(request, monkeypatch):
    """A device over each of the two packages, and the memory behind it."""
    fake, kind = request.param
    memory = FakeMemory()
    monkeypatch.setattr("jsf.runtime.backends.driver.find_gpu", lambda: Gpu("Orin", "8.7"))
    for name, module in fake(memory).items():
        monkeypatch.setitem(sys.modules, name, module)
    return kind(), memory


def test_what_is_uploaded_is_downloaded_after_synchronize(opened):
    device, memory = opened
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    result = np.full_like(array, -1)
    buffer = device.allocate(array.nbytes)
    device.upload(buffer, array)
    device.download(result, buffer)
    assert (result == -1).all()
    device.synchronize()
    assert np.array_equal(result, array)
    assert device.stream == 5
    assert len(memory.blocks) == 1


def test_memory_is_freed_with_its_buffer(opened):
    device, memory = opened
    buffer = device.allocate(64)
    assert list(memory.blocks) == [buffer.address]
    del buffer
    gc.collect()
    assert not memory.blocks


def test_page_locked_memory_is_freed_with_the_last_view_of_it(opened):
    device, memory = opened
    block = device.pin(64)
    assert (block.dtype, block.shape) == (np.uint8, (64,))
    view = block[:32].view(np.float32).reshape(2, 4)
    view[...] = 3
    assert (next(iter(memory.pinned.values()))[:32].view(np.float32) == 3).all()
    del block
    gc.collect()
    assert len(memory.pinned) == 1
    del view
    gc.collect()
    assert not memory.pinned


def test_too_much_memory_is_an_error(opened):
    device, _ = opened
    with pytest.raises(JsfError, match=r"the GPU has no 2,097,152 bytes of free memory"):
        device.allocate(1 << 21)
    with pytest.raises(JsfError, match=r"the machine has no 2,097,152 bytes of free memory"):
        device.pin(1 << 21)


def test_pycuda_captures_nothing(opened):
    device, _ = opened
    queued = []
    replay = device.capture(lambda: not queued.append(1))
    assert (replay is None, queued) == ((True, []) if isinstance(device, PyCudaDevice) else (False, [1]))


class TestCudaGraphs:
    @pytest.fixture
    def device(self, monkeypatch):
        self.memory = FakeMemory()
        monkeypatch.setattr("jsf.runtime.backends.driver.find_gpu", lambda: Gpu("Orin", "8.7"))
        for name, module in fake_cuda_python(self.memory).items():
            monkeypatch.setitem(sys.modules, name, module)
        return CudaPythonDevice()

    def copies(self, device, succeeds=True):
        """A function that queues a copy there and one back, and the arrays at its ends."""
        source, result, buffer = np.arange(3.0), np.zeros(3), device.allocate(24)

        def queue():
            device.upload(buffer, source)
            device.download(result, buffer)
            return succeeds

        return queue, source, result

    def test_what_was_captured_runs_when_it_is_replayed(self, device):
        queue, source, result = self.copies(device)
        replay = device.capture(queue)
        device.synchronize()
        assert not result.any()
        for value in (1, 2):
            source[...] = value
            replay()
            device.synchronize()
            assert (result == value).all()

    def test_what_was_queued_before_stays_queued(self, device):
        queue, source, result = self.copies(device)
        queue()
        assert device.capture(lambda: True)
        device.synchronize()
        assert np.array_equal(result, source)

    def test_it_is_destroyed_with_its_last_reference(self, device):
        replay = device.capture(self.copies(device)[0])
        assert (len(self.memory.graphs.graphs), len(self.memory.graphs.executables)) == (0, 1)
        del replay
        gc.collect()
        assert not self.memory.graphs.executables

    def test_work_that_fails_is_not_captured(self, device):
        assert device.capture(self.copies(device, succeeds=False)[0]) is None
        assert not self.memory.graphs.graphs
        assert not self.memory.graphs.executables

    def test_a_capture_that_cuda_refuses_leaves_no_error_behind(self, device):
        self.memory.graphs.failure = SimpleNamespace(name="cudaErrorStreamCaptureInvalidated")
        queue, source, result = self.copies(device)
        assert device.capture(queue) is None
        assert self.memory.graphs.pending is None
        queue()
        device.synchronize()
        assert np.array_equal(result, source)

    def test_an_exception_ends_the_capture(self, device):
        with pytest.raises(ZeroDivisionError):
            device.capture(lambda: 1 // 0)
        queue, source, result = self.copies(device)
        queue()
        device.synchronize()
        assert np.array_equal(result, source)
        assert not self.memory.graphs.graphs


def test_every_name_is_one_of_cuda_pythons():
    runtime = pytest.importorskip("cuda.bindings.runtime")
    used = set(re.findall(r"\bcuda[A-Z]\w+", inspect.getsource(CudaPythonDevice)))
    members = {
        "cudaSuccess": "cudaError_t",
        "cudaErrorMemoryAllocation": "cudaError_t",
        "cudaMemcpyHostToDevice": "cudaMemcpyKind",
        "cudaMemcpyDeviceToHost": "cudaMemcpyKind",
        "cudaStreamCaptureModeThreadLocal": "cudaStreamCaptureMode",
    }
    assert set(members) < used
    assert len(used) > 20
    assert not [
        name for name in used if not hasattr(getattr(runtime, members[name]) if name in members else runtime, name)
    ]


def test_a_failed_call_is_an_error(monkeypatch):
    monkeypatch.setattr("jsf.runtime.backends.driver.find_gpu", lambda: Gpu("Orin", "8.7"))
    for name, module in fake_cuda_python(FakeMemory()).items():
        monkeypatch.setitem(sys.modules, name, module)
    device = CudaPythonDevice()
    device.stream = 6
    with pytest.raises(JsfError, match="CUDA failed: cudaErrorBroken"):
        device.upload(device.allocate(4), np.zeros(1, np.float32))


@pytest.mark.parametrize(("installed", "kind"), [(["pycuda", "cuda"], "PyCudaDevice"), (["cuda"], "CudaPythonDevice")])
def test_pycuda_goes_before_cuda_python(monkeypatch, installed, kind):
    monkeypatch.setattr(driver, "find_gpu", lambda: Gpu("Orin", "8.7"))
    monkeypatch.setattr(devices, "find_spec", lambda name: name in installed or None)
    for module, name in (("pycuda_device", "PyCudaDevice"), ("cuda_python_device", "CudaPythonDevice")):
        monkeypatch.setattr(f"jsf.runtime.backends.{module}.{name}", lambda name=name: name)
    open_device.cache_clear()
    assert open_device() == kind
    open_device.cache_clear()


def test_without_a_package_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(driver, "find_gpu", lambda: Gpu("Orin", "8.7"))
    for name in ("pycuda", "cuda", "cuda.bindings", "cuda.bindings.runtime"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(devices, "find_spec", lambda name: None)
    open_device.cache_clear()
    with pytest.raises(JsfError, match="'cuda'") as refusal:
        open_device()
    assert "pip install '.[tensorrt]'" in refusal.value.fix
