"""Where and with what a cell was run, and what it cost."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import resource
import sys
import time
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LIBRARIES = ("interpassay", "torch", "transformers", "datasets", "numpy", "scipy")
PACKAGES = ("bench", "conf", "methods", "tasks")
MIB = 2**20


@cache
def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that figures may depend on."""
    found = {"python": platform.python_version(), "code": code()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


@cache
def code() -> str:
    """SHA-256 over the modules and configurations of the project's packages, boards and planted weights aside."""
    home = Path(__file__).parents[2]
    found = [p for name in PACKAGES for kind in ("*.py", "*.yaml") for p in (home / name).rglob(kind)]
    sums = [f"{p.relative_to(home).as_posix()} {hashlib.sha256(p.read_bytes()).hexdigest()}" for p in sorted(found)]
    return hashlib.sha256("\n".join(sums).encode()).hexdigest()


@cache
def hardware(device: str) -> dict[str, Any]:
    """The processor, and the accelerator where one is used; no names of machines or people."""
    found: dict[str, Any] = {"machine": platform.machine(), "system": platform.system(), "processor": _processor()}
    found["cores"] = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if device.startswith("cuda"):
        import torch

        found["accelerator"] = torch.cuda.get_device_name(device)
    return found


class Meter:
    """Seconds and peak memory of a piece of work."""

    def __init__(self, device: str) -> None:
        self.device = device
        self._reset_peak()
        self._start = time.perf_counter()

    def read(self) -> dict[str, float]:
        """Seconds since the start, and the peak of the process's (and the accelerator's) memory in MiB."""
        found = {"seconds": time.perf_counter() - self._start, "peak_memory_mib": _peak()}
        if self.device.startswith("cuda"):
            import torch

            found["peak_device_memory_mib"] = torch.cuda.max_memory_allocated(self.device) / MIB
        return found

    def _reset_peak(self) -> None:
        with contextlib.suppress(OSError):  # the peak is then that of the whole process
            Path("/proc/self/clear_refs").write_text("5")
        if self.device.startswith("cuda"):
            import torch

            torch.cuda.reset_peak_memory_stats(self.device)


def resident(pid: int) -> float:
    """MiB of main memory that a process holds now; 0 where the system does not say."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB


def _peak() -> float:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (MIB if sys.platform == "darwin" else 1024)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
