"""The doctor on machines that are described here: what each check finds, and the fix that it names."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

from jsf.data.errors import JsfError
from jsf.runtime import gpu_checks, machine_checks, package_checks
from jsf.runtime.backends.driver import Gpu
from jsf.runtime.doctor import CHECKS, examine
from jsf.runtime.host import Finding, Host
from jsf.verbs.doctor import show_findings

ORIN = Gpu("Orin", "8.7")


class Machine(Host):
    """A machine with what is given, and nothing else."""

    def __init__(self, versions=(), modules=(), files=(), paths=(), prints=(), gpu=None, cuda=None, **others):
        self.versions, self.modules, self.files, self.prints = map(dict, (versions, modules, files, prints))
        self.paths, self.card, self.cuda = [Path(path) for path in paths], gpu, cuda
        self.in_venv, self.processor = others.get("in_venv", False), others.get("processor", "x86_64")
        self.jetson, self.required = others.get("jetson", False), others.get("required", [])

    def version(self, distribution):
        return self.versions.get(distribution)

    def requirements(self):
        return self.required

    def find(self, module):
        return Path(f"/site/{module}/__init__.py") if module in self.modules else None

    def load(self, module):
        if isinstance(self.modules[module], Exception):
            raise self.modules[module]
        return self.modules[module]

    def read(self, path):
        return self.files.get(str(path), "")

    def glob(self, pattern):
        return [path for path in self.paths if path.match(pattern)]

    def run(self, *command):
        return self.prints.get(command, "")

    def is_jetson(self):
        return self.jetson

    def gpu(self):
        return self.card

    def driver_cuda(self):
        return self.cuda


def only(findings):
    """The single finding, as (level, found, fix)."""
    assert len(findings) == 1, findings
    return findings[0].level, findings[0].found, findings[0].fix


def runtime(available, ran=None, result=(0, 2), error=None):
    """A module `onnxruntime` that offers providers; a session runs on `ran`, or fails."""

    class Session:
        def __init__(self, model, options, providers):
            if error:
                raise error
            print("*** EP Error: falling back ***")
            self.get_providers = lambda: [ran or providers[0], "CPUExecutionProvider"]
            self.run = lambda outputs, inputs: [np.array(result, np.float32)]

    return SimpleNamespace(
        __version__="1.31.0",
        get_available_providers=lambda: available,
        SessionOptions=SimpleNamespace,
        InferenceSession=Session,
    )


def test_this_machine_is_examined_without_a_failed_check():
    findings = examine(Host())
    assert findings[0].found.startswith("jsf ")
    assert Finding("ONNX Runtime", "ok", findings[2].found) in findings
    assert "runs CPUExecutionProvider" in findings[2].found
    assert [finding for finding in findings if "this check failed" in finding.found] == []
    assert all(finding.fix for finding in findings if finding.level != "ok")


def test_a_bare_machine_is_examined_too():
    findings = examine(Machine())
    assert [finding.check for finding in findings if finding.level == "error"] == ["ONNX Runtime"]
    assert [finding for finding in findings if "this check failed" in finding.found] == []


def test_a_check_that_fails_is_a_finding(capsys):
    def broken_check(host):
        raise KeyError("VmSize")

    found = examine(Machine(), (broken_check, machine_checks.processor))
    assert (found[0].check, found[0].level) == ("broken check", "warning")
    assert found[0].found == "this check failed: KeyError: 'VmSize'"
    assert found[1].check == "processor"


def test_every_check_is_listed():
    modules = (package_checks, gpu_checks, machine_checks)
    public = {
        function
        for module in modules
        for name, function in vars(module).items()
        if callable(function) and getattr(function, "__module__", "") == module.__name__ and name[0] != "_"
    }
    assert public == set(CHECKS)
    assert len(public) > 10


# Packages


def test_extras_are_complete_lacking_or_old():
    required = [
        "numpy>=1.24",
        'onnxruntime>=1.18; extra == "cpu"',
        "onnx>=1.17; extra == 'quantize'",
        'torch>=2.6; extra == "train"',
        'h5py>=3.10; extra == "train"',
        'pytest>=8; extra == "dev"',
    ]
    versions = {"onnxruntime": "1.32.0", "onnx": "1.9.1", "torch": "2.13.0+cpu"}
    first, second = package_checks.extras(Machine(versions, required=required))
    assert first.found == "complete: cpu, quantize; train lacks h5py"
    assert (second.level, second.fix) == ("warning", "pip install --upgrade onnx")
    assert second.found == "onnx is 1.9.1, jsf needs 1.17 or newer"


@pytest.mark.parametrize(("gpu", "extra"), [(None, "cpu"), (ORIN, "gpu")])
def test_two_onnxruntimes_are_an_error(gpu, extra):
    versions = {"onnxruntime": "1.32.0", "onnxruntime-gpu": "1.31.0"}
    level, found, fix = only(package_checks.onnxruntimes(Machine(versions, gpu=gpu)))
    assert level == "error"
    assert "onnxruntime and onnxruntime-gpu are both installed" in found
    assert fix == f"pip uninstall -y onnxruntime onnxruntime-gpu && pip install '.[{extra}]'"


def test_without_onnxruntime_engines_and_openvino_score():
    assert only(package_checks.onnxruntimes(Machine()))[0::2] == ("error", "pip install '.[cpu]'")
    assert only(package_checks.onnxruntimes(Machine(modules={"tensorrt": None})))[0] == "ok"
    assert only(package_checks.onnxruntimes(Machine(modules={"openvino": None})))[0:2] == (
        "ok",
        "not installed: --device openvino can score",
    )


@pytest.mark.parametrize(("gpu", "level"), [(None, "warning"), (ORIN, "error")])
def test_a_provider_that_only_stands_in_a_list_is_found_out(gpu, level, capsys):
    ort = runtime(["CUDAExecutionProvider", "AzureExecutionProvider", "CPUExecutionProvider"], "CPUExecutionProvider")
    machine = Machine({"onnxruntime-gpu": "1.31.0"}, {"onnxruntime": ort}, gpu=gpu)
    cuda, cpu = package_checks.onnxruntimes(machine)
    assert cuda.level == level
    assert "lists CUDAExecutionProvider, which does not load here: CPUExecutionProvider took its place" in cuda.found
    assert "cuDNN" in cuda.fix
    assert (cpu.level, cpu.found) == ("ok", "onnxruntime-gpu 1.31.0 runs CPUExecutionProvider")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        ({"error": RuntimeError("no kernel image\nis here")}, "no kernel image"),
        ({"result": (1, 1)}, "it gives [1.0, 1.0]"),
    ],
)
def test_a_provider_that_fails_or_computes_nonsense_is_found_out(behaviour, why):
    ort = runtime(["CPUExecutionProvider"], **behaviour)
    level, found, fix = only(package_checks.onnxruntimes(Machine({"onnxruntime": "1.31.0"}, {"onnxruntime": ort})))
    assert level == "error"
    assert why in found
    assert fix == "pip install --force-reinstall --no-deps onnxruntime"


def test_an_onnxruntime_that_does_not_import_is_an_error():
    machine = Machine({"onnxruntime": "1.31.0"}, {"onnxruntime": ImportError("DLL load failed")})
    level, found, fix = only(package_checks.onnxruntimes(machine))
    assert (level, found) == ("error", "onnxruntime does not import: DLL load failed")
    assert fix.endswith("onnxruntime")


def test_the_graph_that_providers_run_is_made_as_it_says():
    tensor = onnx.helper.make_tensor_value_info
    ends = ([tensor(name, onnx.TensorProto.FLOAT, [2])] for name in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "relu", *ends)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    assert model.SerializeToString() == package_checks.RELU


def test_openvino_is_named_where_it_is():
    assert package_checks.openvino(Machine()) == []
    core = SimpleNamespace(Core=lambda: SimpleNamespace(available_devices=["CPU", "GPU.0"]))
    found = package_checks.openvino(Machine({"openvino": "2026.1"}, {"openvino": core}))
    assert only(found) == ("ok", "2026.1 on CPU, GPU.0", "")
    broken = Machine({"openvino": "2026.1"}, {"openvino": ImportError("libtbb")})
    assert only(package_checks.openvino(broken))[0] == "error"


@pytest.mark.parametrize(
    ("built", "gpu", "driver", "level", "words"),
    [
        ("None", None, None, "ok", "2.13.0, for CPUs"),
        ("None", ORIN, "12.6", "warning", "a build for CPUs, and this machine has a GPU"),
        ("'12.6'", ORIN, "13.0", "ok", "for CUDA 12.6"),
        ("'13.0'", ORIN, "12.6", "warning", "built for CUDA 13.0, and the driver runs CUDA 12.6"),
    ],
)
def test_pytorch_is_read_and_not_imported(built, gpu, driver, level, words):
    version = f"__version__ = '2.13.0'\ncuda: Optional[str] = {built}\nhip: Optional[str] = None\n"
    modules = {"torch": AssertionError("imported")}
    machine = Machine({"torch": "2.13.0"}, modules, {"/site/torch/version.py": version}, gpu=gpu, cuda=driver)
    found = only(package_checks.torch(machine))
    assert found[0] == level
    assert words in found[1]


# The GPU's stack


def test_a_driver_with_a_gpu():
    kernel = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\nGCC version: 12.3.0"
    driver, gpu = gpu_checks.driver(Machine(files={"/proc/driver/nvidia/version": kernel}, gpu=ORIN, cuda="13.0"))
    assert (driver.level, driver.found) == ("ok", "580.65.06, runs CUDA up to 13.0")
    assert (gpu.level, gpu.found) == ("ok", "Orin, compute capability 8.7")


@pytest.mark.parametrize(
    ("machine", "level", "words"),
    [
        (Machine(), "ok", "no NVIDIA hardware"),
        (Machine(cuda="12.6"), "warning", "CUDA up to 12.6), and it offers no GPU"),
        (
            Machine(paths=["/sys/bus/pci/devices/0:1/vendor"], files={"/sys/bus/pci/devices/0:1/vendor": "0x10de"}),
            "warning",
            "NVIDIA hardware, and no driver library",
        ),
        (
            Machine(paths=["/sys/bus/pci/devices/0:1/vendor"], files={"/sys/bus/pci/devices/0:1/vendor": "0x8086"}),
            "ok",
            "no NVIDIA hardware",
        ),
    ],
)
def test_a_driver_that_is_missing_or_offers_nothing(machine, level, words):
    found = only(gpu_checks.driver(machine))
    assert found[0] == level
    assert words in found[1]
    assert bool(found[2]) == (level != "ok")


@pytest.mark.parametrize(
    ("module", "level", "words"),
    [
        (SimpleNamespace(__version__="10.3.0"), "ok", "10.3.0"),
        (SimpleNamespace(__version__="8.5.2.2"), "error", "8.5.2.2 is older than 10.3"),
        (ImportError("libnvinfer.so.10"), "error", "does not import: libnvinfer.so.10"),
    ],
)
def test_tensorrt(module, level, words):
    found = only(gpu_checks.tensorrt(Machine(modules={"tensorrt": module})))
    assert found[0] == level
    assert words in found[1]


def test_no_tensorrt():
    assert only(gpu_checks.tensorrt(Machine()))[0] == "ok"
    assert "pip install '.[tensorrt]'" in only(gpu_checks.tensorrt(Machine(gpu=ORIN)))[2]


def test_a_system_tensorrt_that_a_virtual_environment_hides():
    paths = ["/usr/lib/python3.10/dist-packages/tensorrt"]
    level, found, fix = only(gpu_checks.tensorrt(Machine(paths=paths, gpu=ORIN, in_venv=True)))
    assert level == "warning"
    assert "does not see it" in found
    assert "--system-site-packages" in fix


@pytest.mark.parametrize(
    ("versions", "modules", "level", "words"),
    [
        ({"cuda-bindings": "12.9.10"}, {"cuda.bindings.runtime": None}, "ok", "cuda-python 12.9.10"),
        ({"cuda-bindings": "13.4.4"}, {"cuda.bindings.runtime": None}, "error", "is for CUDA 13, and the driver runs"),
        ({}, {"cuda.bindings.runtime": ImportError("no cuda")}, "error", "does not import, and engines need it"),
        ({"pycuda": "2026.1"}, {"pycuda": None, "pycuda.driver": None}, "ok", "pycuda 2026.1"),
    ],
)
def test_what_reaches_the_memory_of_the_gpu(versions, modules, level, words):
    found = only(gpu_checks.device_memory(Machine(versions, {"tensorrt": None, **modules}, gpu=ORIN, cuda="12.6")))
    assert found[0] == level
    assert words in found[1]
    assert found[2] == ("pip install 'cuda-python>=12.6.1,<13'" if level == "error" else "")


def test_without_a_gpu_or_tensorrt_nothing_reaches_for_its_memory():
    assert gpu_checks.device_memory(Machine(modules={"tensorrt": None})) == []
    assert gpu_checks.device_memory(Machine(gpu=ORIN, cuda="12.6")) == []


def test_the_default_bundle_is_looked_at(tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("JSF_BUNDLE", str(tmp_path / "bundle"))
    assert gpu_checks.engines(Machine()) == []
    shutil.copytree(tiny_bundle, tmp_path / "bundle")
    assert gpu_checks.engines(Machine()) == []
    (tmp_path / "bundle" / "fp32" / "matcher.onnx").write_bytes(b"damaged")
    level, found, fix = only(gpu_checks.engines(Machine()))
    assert level == "error"
    assert found.endswith("matcher.onnx is CHANGED.")
    assert "jsf export" in fix
    (tmp_path / "bundle" / "manifest.json").write_text("{")
    assert only(gpu_checks.engines(Machine()))[0] == "error"


# The machine


@pytest.mark.parametrize(
    ("text", "processor", "level", "words"),
    [
        (
            "model name\t: Xeon\nflags\t\t: fpu avx2 avx512f avx512_vnni\n",
            "x86_64",
            "ok",
            "Xeon: AVX2, AVX-512, AVX-512 VNNI",
        ),
        ("model name\t: Old\nflags\t\t: fpu avx2\n", "x86_64", "warning", "can saturate"),
        ("Features\t: fp asimd asimddp i8mm\n", "aarch64", "ok", "aarch64: 8-bit matrix products, dot products"),
        ("Features\t: fp asimd\n", "aarch64", "warning", "INT8 gains little"),
        ("", "arm64", "ok", "not listed here"),
    ],
)
def test_the_processor(text, processor, level, words):
    machine = Machine(files={"/proc/cpuinfo": text}, processor=processor)
    found = only(machine_checks.processor(machine))
    assert found[0] == level
    assert words in found[1]
    assert ("saturate" in found[1]) == (level == "warning" and processor == "x86_64")


@pytest.mark.parametrize(("free", "level"), [(6_000_000, "ok"), (900_000, "warning")])
def test_memory(free, level):
    text = f"MemTotal:  7800000 kB\nMemAvailable: {free} kB\nSwapTotal: 3900000 kB\n"
    found = only(machine_checks.memory(Machine(files={"/proc/meminfo": text})))
    assert found[:2] == (level, f"{free / 1e6:.1f} of 7.8 GB free, 3.9 GB of swap")
    assert machine_checks.memory(Machine()) == []


@pytest.mark.parametrize(
    ("release", "level", "words"),
    [
        ("# R36 (release), REVISION: 4.3, GCID: 1, BOARD: generic", "ok", "Jetson Linux 36.4.3 (JetPack 6)"),
        ("# R39 (release), REVISION: 2.0, GCID: 1", "ok", "Jetson Linux 39.2.0 (JetPack 7)"),
        ("# R35 (release), REVISION: 4.1, GCID: 1", "error", "older than jsf runs on"),
        ("", "ok", "is not named"),
    ],
)
def test_a_jetson(release, level, words):
    files = {"/proc/device-tree/model": "NVIDIA Jetson Orin Nano", "/etc/nv_tegra_release": release}
    found = only(machine_checks.jetson(Machine(files=files, jetson=True)))
    assert found[0] == level
    assert found[1].startswith("NVIDIA Jetson Orin Nano")
    assert words in found[1]


ORIN_NANO = "< POWER_MODEL ID=0 NAME=15W >\n< POWER_MODEL ID=1 NAME=25W >\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n"
AGX = "< POWER_MODEL ID=0 NAME=MAXN >\nCPU_ONLINE CORE_0 1\n< POWER_MODEL ID=1 NAME=MODE_15W >\n"


@pytest.mark.parametrize(
    ("conf", "mode", "fix"),
    [
        (ORIN_NANO, "MAXN_SUPER\n2", ""),
        (ORIN_NANO, "15W\n0", "sudo nvpmodel -m 2"),
        (AGX, "MAXN\n0", ""),
        (AGX, "MODE_15W\n1", "sudo nvpmodel -m 0"),
        (AGX.replace("MAXN", "MODE_30W"), "MODE_15W\n1", "sudo nvpmodel -m 0"),
        ("", "15W\n2", "sudo nvpmodel -m 0"),
    ],
)
def test_the_power_mode_is_held_against_the_boards_own(conf, mode, fix):
    prints = {("nvpmodel", "-q"): f"NV Power Mode: {mode}\n"}
    found = only(machine_checks.power(Machine(files={"/etc/nvpmodel.conf": conf}, prints=prints, jetson=True)))
    assert (found[0], found[2]) == ("warning" if fix else "ok", fix)


def test_a_power_mode_that_is_not_told():
    assert only(machine_checks.power(Machine(jetson=True)))[0::2] == ("warning", "sudo nvpmodel -q")


@pytest.mark.parametrize(("least", "words"), [("2201600", "held at their highest"), ("729600", "sudo jetson_clocks")])
def test_clocks(least, words):
    folder = "/sys/devices/system/cpu/cpu0/cpufreq"
    files = {f"{folder}/scaling_min_freq": least, f"{folder}/scaling_max_freq": "2201600"}
    level, found, _ = only(machine_checks.clocks(Machine(files=files, jetson=True)))
    assert level == "ok"
    assert words in found


def test_other_machines_have_no_power_mode():
    for check in (machine_checks.jetson, machine_checks.power, machine_checks.clocks):
        assert check(Machine()) == []


# This machine's own seam


def test_the_seam_asks_this_machine(tmp_path):
    host = Host()
    assert host.version("numpy") == np.__version__
    assert host.version("a-package-that-nobody-has") is None
    assert host.find("numpy").name == "__init__.py"
    assert host.find("a_package_that_nobody_has") is None
    assert host.load("json") is json
    assert host.read(tmp_path / "absent") == ""
    (tmp_path / "model").write_bytes(b"NVIDIA Jetson\0")
    assert host.read(tmp_path / "model") == "NVIDIA Jetson"
    assert host.glob(f"{tmp_path}/*"[1:]) == [tmp_path / "model"]
    assert host.run(sys.executable, "-c", "print(7)") == "7\n"
    assert host.run("a-program-that-nobody-has") == ""
    assert host.run(sys.executable, "-c", "raise SystemExit(3)") == ""
    assert any("onnxruntime" in line for line in host.requirements())


# The verb


@pytest.fixture
def found(monkeypatch):
    findings = [
        Finding("memory", "ok", "6 GB free [of 8]"),
        Finding("power mode", "warning", "15W", "sudo nvpmodel -m 0"),
    ]
    monkeypatch.setattr("jsf.verbs.doctor.examine", lambda host: findings)
    return findings


def test_findings_are_shown_with_their_fixes(found, capsys):
    show_findings(json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["ok      memory: 6 GB free [of 8]", "warning power mode: 15W", "        -> sudo nvpmodel -m 0"]


def test_an_error_is_raised_after_all_findings_are_shown(found, capsys):
    found.append(Finding("ONNX Runtime", "error", "both", "pip uninstall"))
    with pytest.raises(JsfError, match="broken on this machine: ONNX Runtime"):
        show_findings(json=True)
    shown = json.loads(capsys.readouterr().out)["findings"]
    assert [finding["check"] for finding in shown] == ["memory", "power mode", "ONNX Runtime"]
    assert shown[1] == {"check": "power mode", "level": "warning", "found": "15W", "fix": "sudo nvpmodel -m 0"}


BARE = """
from importlib.machinery import PathFinder
ABSENT = ("onnxruntime", "onnx", "torch", "tensorrt_rtx", "cuda", "av", "h5py", "openvino")
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *rest: None if name.partition(".")[0] in ABSENT else find(name, *rest)
"""


def test_the_doctor_works_where_nothing_but_the_base_is_installed():
    code = BARE + "from jsf.verbs.doctor import show_findings\nshow_findings(True)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    found = {finding["check"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert found["ONNX Runtime"]["level"] == "error"
    assert not any("this check failed" in finding["found"] for finding in found.values()), found
    assert "broken on this machine: ONNX Runtime" in done.stderr
