"""Checks of `jsf doctor` on the machine itself: processor, memory, and what is a Jetson's own."""

import re

from jsf.runtime.host import Finding, Host

JETPACKS = {"35": "5", "36": "6", "38": "7", "39": "7"}
"""Jetson Linux's release -> JetPack."""

LEAST_MEMORY = 2.0
"""GB that should be free before a full-size model is built or scored."""

INT8 = {"avx512_vnni": "AVX-512 VNNI", "avx_vnni": "AVX VNNI", "amx_int8": "AMX INT8", "asimddp": "dot products"}
"""What /proc/cpuinfo calls the instructions that sum products of 8-bit integers in 32 bits."""

OTHER = {"avx2": "AVX2", "avx512f": "AVX-512", "i8mm": "8-bit matrix products"}


def processor(host: Host) -> list[Finding]:
    """The instructions that INT8 on the CPU lives from."""
    text = host.read("/proc/cpuinfo")
    line = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    if not line:
        return [Finding("processor", "ok", f"{host.processor}: its instructions are not listed here")]
    flags = set(line[1].split())
    name = re.search(r"^model name\s*:\s*(.*)$", text, re.MULTILINE)
    known = [words for flag, words in {**OTHER, **INT8}.items() if flag in flags]
    found = f"{name[1] if name else host.processor}: {', '.join(known) or 'no vector instructions that INT8 uses'}"
    if flags & set(INT8):
        return [Finding("processor", "ok", found)]
    sums = " Sums of uint8 x int8 can saturate at 16 bits." if host.processor == "x86_64" else ""
    fix = "Measure INT8 on this machine before it is used: jsf evaluate --device cpu --precision int8"
    return [Finding("processor", "warning", f"{found}. INT8 gains little without VNNI or dot products.{sums}", fix)]


def memory(host: Host) -> list[Finding]:
    """Free memory and swap."""
    lines = re.findall(r"^(\w+):\s+(\d+) kB", host.read("/proc/meminfo"), re.MULTILINE)
    kilobytes = {name: int(number) for name, number in lines}
    if "MemAvailable" not in kilobytes:
        return []
    total, free, swap = (kilobytes.get(name, 0) / 1e6 for name in ("MemTotal", "MemAvailable", "SwapTotal"))
    found = f"{free:.1f} of {total:.1f} GB free, {swap:.1f} GB of swap"
    if free >= LEAST_MEMORY:
        return [Finding("memory", "ok", found)]
    fix = "Close programs, or add swap: sudo fallocate -l 8G /swap && sudo chmod 600 /swap && sudo mkswap /swap && "
    return [Finding("memory", "warning", found, fix + "sudo swapon /swap")]


def jetson(host: Host) -> list[Finding]:
    """Which Jetson this is, and its JetPack; nothing on other machines."""
    if not host.is_jetson():
        return []
    model = host.read("/proc/device-tree/model") or "a Jetson"
    release = re.search(r"R(\d+) \(release\), REVISION: ([\d.]+)", host.read("/etc/nv_tegra_release"))
    if not release:
        return [Finding("Jetson", "ok", f"{model}; its Jetson Linux is not named in /etc/nv_tegra_release")]
    jetpack = JETPACKS.get(release[1])
    found = f"{model}, Jetson Linux {release[1]}.{release[2]}" + (f" (JetPack {jetpack})" if jetpack else "")
    if int(release[1]) < 36:
        why = "its Python and its TensorRT are older than jsf runs on"
        return [Finding("Jetson", "error", f"{found}: {why}", "Flash JetPack 6.1 or newer: docs/jetson.md")]
    return [Finding("Jetson", "ok", found)]


def power(host: Host) -> list[Finding]:
    """A Jetson's power mode, against the largest that its /etc/nvpmodel.conf defines."""
    if not host.is_jetson():
        return []
    mode = re.search(r"Power Mode: (\S+)\s+(\d+)", host.run("nvpmodel", "-q"))
    if not mode:
        return [Finding("power mode", "warning", "nvpmodel does not tell it", "sudo nvpmodel -q")]
    conf = host.read("/etc/nvpmodel.conf")
    modes = dict(re.findall(r"^<\s*POWER_MODEL ID=(\d+) NAME=(\S+)\s*>", conf, re.MULTILINE)) or {"0": "MAXN"}
    most = max(modes, key=lambda number: _watts(modes[number]))
    if _watts(mode[1]) >= _watts(modes[most]):
        return [Finding("power mode", "ok", mode[1])]
    found = f"{mode[1]} (mode {mode[2]}), and {modes[most]} is the fastest that this board defines"
    return [Finding("power mode", "warning", found, f"sudo nvpmodel -m {most}")]


def clocks(host: Host) -> list[Finding]:
    """Whether a Jetson's clocks are held at their highest; `jetson_clocks --show` needs root, the files do not."""
    if not host.is_jetson():
        return []
    folder = "/sys/devices/system/cpu/cpu0/cpufreq"
    least, most = (host.read(f"{folder}/scaling_{end}_freq") for end in ("min", "max"))
    if not least or not most:
        return []
    if least == most:
        return [Finding("clocks", "ok", "held at their highest (jetson_clocks)")]
    return [Finding("clocks", "ok", "they follow the load; for timings that repeat: sudo jetson_clocks")]


def _watts(mode: str) -> tuple[float, int]:
    """To compare power modes by name: MAXN_SUPER over MAXN over "40W" over "15W"; then by the name's length."""
    watts = re.search(r"(\d+)W", mode)
    return float("inf") if mode.startswith("MAXN") else float(watts[1]) if watts else 0.0, len(mode)
