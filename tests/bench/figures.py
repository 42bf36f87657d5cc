"""What a figure is, and the document they make together."""

import os
import platform
import sqlite3
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number. `aim` is what it should be, at most or at least."""

    name: str
    value: float
    unit: str
    aim: float | None = None
    is_ceiling: bool = True
    #: what else was seen while it was measured
    detail: dict[str, Any] | None = None

    @property
    def ratio(self) -> float | None:
        """How much of the aim is reached, as a factor: 1 and above is met, 2 is twice as good."""
        if self.aim is None:
            return None
        if self.aim == 0 or self.value == 0:
            return 1.0 if self.value <= self.aim else 0.0
        return self.aim / self.value if self.is_ceiling else self.value / self.aim

    def document(self) -> dict[str, Any]:
        """As it stands in the printed document."""
        shown: dict[str, Any] = {"value": tidy(self.value), "unit": self.unit}
        if self.aim is not None and self.ratio is not None:
            shown["aim"] = f"{'at most' if self.is_ceiling else 'at least'} {self.aim:g}"
            shown["times_the_aim"] = tidy(self.ratio)
            shown["is_met"] = self.ratio >= 1
        return shown | (self.detail or {})


def at_most(name: str, value: float, unit: str, aim: float, **detail: Any) -> Figure:
    """A figure that should not be above `aim`."""
    return Figure(name=name, value=value, unit=unit, aim=aim, detail=detail)


def at_least(name: str, value: float, unit: str, aim: float, **detail: Any) -> Figure:
    """A figure that should not be below `aim`."""
    return Figure(name=name, value=value, unit=unit, aim=aim, is_ceiling=False, detail=detail)


def observed(name: str, value: float, unit: str, **detail: Any) -> Figure:
    """A figure without an aim."""
    return Figure(name=name, value=value, unit=unit, detail=detail)


def tidy(value: float) -> float:
    """Four significant digits."""
    return float(f"{value:.4g}")


def percentile(values: Sequence[float], share: int) -> float:
    """The value that `share` of 100 do not exceed."""
    ordered = sorted(values)
    return ordered[ceil(len(ordered) * share / 100) - 1]


def spread(values: Sequence[float]) -> dict[str, Any]:
    """p50, p95 and the largest of what was measured."""
    return {
        "p50": tidy(percentile(values, 50)),
        "p95": tidy(percentile(values, 95)),
        "max": tidy(max(values)),
        "tries": len(values),
    }


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    cpu = Path("/proc/cpuinfo")
    names = [
        line.partition(":")[2].strip()
        for line in (cpu.read_text(encoding="utf-8") if cpu.is_file() else "").splitlines()
        if line.startswith("model name")
    ]
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": names[0] if names else platform.processor() or "unknown",
        "cores": os.cpu_count(),
        "load": [round(load, 2) for load in os.getloadavg()],
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }


def say(text: str) -> None:
    """Progress, for whoever waits."""
    sys.stderr.write(f"bench: {text}\n")
    sys.stderr.flush()
