"""Which process a process id means: ids are given out again, sooner or later, and all of them after a boot."""

from pathlib import Path


def process_start(pid: int) -> str | None:
    """When a process began, in the kernel's ticks since the boot; None for one that is dead or waits to be reaped.

    None for every process where the system has no /proc.
    """
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = status.rpartition(")")[2].split()  # the name before it may hold spaces
    return None if fields[0] in "ZX" else fields[19]


def boot() -> str:
    """The id of the machine's boot; empty where the system tells none."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else ""
