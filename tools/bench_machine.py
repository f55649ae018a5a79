"""What the benchmarks beside peers (bench_peers.py, bench_trl.py) tell of the machine they ran on."""

import json
import os
import platform
import resource
import subprocess
import time


def usable_cores():
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor_name():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def driver_of(binary, device):
    """Driver and version of the device that the benchmark ran on."""
    run = subprocess.run([binary, "devices", "--json"], capture_output=True, text=True)
    if run.returncode != 0:
        return ""
    text = run.stdout.strip()
    try:
        found = json.loads(text)
    except ValueError:
        found = [json.loads(line) for line in text.splitlines()]
    if isinstance(found, dict):
        found = found.get("devices", [found])
    for entry in found:
        if entry.get("name") == device:
            return " ".join(str(entry[key]) for key in ("driver", "driver_info") if key in entry)
    return ""


def busy_seconds():
    """Processor seconds the machine has worked so far, for anyone; None if it does not tell."""
    try:
        with open("/proc/stat", encoding="ascii") as lines:
            user, nice, system, _, _, irq, softirq = map(int, next(lines).split()[1:8])
    except (OSError, ValueError, StopIteration):
        return None
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def own_seconds():
    """Processor seconds of this process and of those that it has waited for."""
    return sum(use.ru_utime + use.ru_stime for use in map(
        resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


class Load:
    """Watches from its making what part of the machine's cores goes to other processes."""

    def __init__(self):
        self.begin, self.busy, self.own = time.perf_counter(), busy_seconds(), own_seconds()

    def others(self):
        """Their part so far, 0 to 1; None if the machine does not tell."""
        if self.busy is None:
            return None
        others = busy_seconds() - self.busy - (own_seconds() - self.own)
        cores = os.cpu_count() or 1
        return max(0.0, others) / ((time.perf_counter() - self.begin) * cores)


def told(others):
    """What Load.others() gave, in words; "" if nothing."""
    return "" if others is None else f"other processes took {others:.0%} of the cores"
