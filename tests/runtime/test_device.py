import ctypes
import gc
import importlib.machinery
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from jsf.data.errors import JsfError
from jsf.runtime.backends import device as devices
from jsf.runtime.backends.device import CudaPythonDevice, PyCudaDevice, open_device
from jsf.runtime.backends.driver import Gpu, find_gpu, require_gpu


class FakeDriver:
    """libcuda of a machine with one GPU; a call that fails returns an error number."""

    def __init__(self, **failures):
        self._failures = failures

    def cuInit(self, flags):
        return self._failures.get("cuInit", 0)

    def cuDeviceGet(self, device, ordinal):
        return self._failures.get("cuDeviceGet", 0)

    def cuDeviceGetName(self, name, length, device):
        name.value = b"Orin"
        return 0

    def cuDeviceGetAttribute(self, value, attribute, device):
        value._obj.value = {75: 8, 76: 7}[attribute]
        return 0


def absent(name):
    raise OSError(f"{name}: cannot open shared object file")


def test_the_gpu_is_read_from_the_driver(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: FakeDriver())
    assert find_gpu() == require_gpu() == Gpu("Orin", "8.7")


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
    """CUDA memory and a stream: copies run at `synchronize`, as they may on a GPU."""

    def __init__(self, limit=1 << 20):
        self.blocks, self.queue, self.limit = {}, [], limit

    def allocate(self, nbytes):
        if nbytes > self.limit:
            return None
        address = 4096 * (len(self.blocks) + 1)
        self.blocks[address] = np.zeros(nbytes, np.uint8)
        return address

    def free(self, address):
        self.blocks.pop(address)

    def write(self, address, values):
        self.queue.append(lambda: self.blocks[address].__setitem__(slice(values.nbytes), values.ravel().view(np.uint8)))

    def read(self, values, address):
        self.queue.append(lambda: values.ravel().view(np.uint8).__setitem__(..., self.blocks[address][: values.nbytes]))

    def synchronize(self):
        while self.queue:
            self.queue.pop(0)()


def fake_cuda_python(memory):
    """`cuda.bindings.runtime`: each call returns a tuple that begins with an error."""
    success, exhausted, broken = (SimpleNamespace(name=name) for name in ("cudaSuccess", "oom", "cudaErrorBroken"))
    kinds = SimpleNamespace(cudaMemcpyHostToDevice="up", cudaMemcpyDeviceToHost="down")

    def malloc(nbytes):
        address = memory.allocate(nbytes)
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
    module.cudaMemcpyKind, module.cudaMalloc, module.cudaMemcpyAsync = kinds, malloc, copy
    module.cudaSetDevice = lambda ordinal: (success,)
    module.cudaStreamCreate = lambda: (success, 5)
    module.cudaStreamSynchronize = lambda stream: (memory.synchronize(), (success,))[1]
    module.cudaFree = lambda address: (memory.free(address), (success,))[1]
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

    stream = SimpleNamespace(handle=5, synchronize=memory.synchronize)
    driver = ModuleType("pycuda.driver")
    driver.init = lambda: None
    driver.Device = lambda ordinal: SimpleNamespace(
        retain_primary_context=lambda: SimpleNamespace(push=lambda: None, pop=lambda: None)
    )
    driver.MemoryError = type("MemoryError", (Exception,), {})
    driver.Stream, driver.mem_alloc = lambda: stream, Allocation
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


def test_too_much_memory_is_an_error(opened):
    device, _ = opened
    with pytest.raises(JsfError, match=r"no 2,097,152 bytes of free memory"):
        device.allocate(1 << 21)


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
    monkeypatch.setattr(devices, "require_gpu", lambda: Gpu("Orin", "8.7"))
    monkeypatch.setattr(devices, "find_spec", lambda name: name in installed or None)
    for name in ("PyCudaDevice", "CudaPythonDevice"):
        monkeypatch.setattr(devices, name, lambda name=name: name)
    open_device.cache_clear()
    assert open_device() == kind
    open_device.cache_clear()


def test_without_a_package_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(devices, "require_gpu", lambda: Gpu("Orin", "8.7"))
    for name in ("pycuda", "cuda", "cuda.bindings", "cuda.bindings.runtime"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(devices, "find_spec", lambda name: None)
    open_device.cache_clear()
    with pytest.raises(JsfError, match="'cuda'") as refusal:
        open_device()
    assert "pip install '.[tensorrt]'" in refusal.value.fix
