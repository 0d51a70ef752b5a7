"""What Linux says of this machine's memory."""

from pathlib import Path

MEMINFO = Path("/proc/meminfo")


def meminfo(name: str) -> int | None:
    """Bytes of an entry, such as "MemAvailable"; None where the system does not say."""
    lines = MEMINFO.read_text(encoding="ascii").splitlines() if MEMINFO.is_file() else []
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith(f"{name}:")), None)
