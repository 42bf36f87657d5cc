"""`/livez`, `/readyz`, `/metrics`. Outsiders learn which part is amiss, the log says how."""

import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from oms_sync.sdk import Clock

log = structlog.get_logger()

#: an answer older than this is no answer: the thread that asks hangs
STALE_SECONDS_MAX: Final = 4.0
#: intake stops below this
DISK_FLOOR_BYTES: Final = 200_000_000
#: a warning is logged below this share
DISK_LOW_SHARE: Final = 0.2

#: None when all is well, else what is wrong in a sentence
Check = Callable[[], str | None]
#: the body of `/metrics` and its content type
RenderMetrics = Callable[[], tuple[bytes, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    problems: Mapping[str, str]
    at: float


class Readiness:
    """Whether the hub may take work; asked by a thread of the daemon, told to whoever asks."""

    def __init__(self, checks: Mapping[str, Check], *, clock: Clock) -> None:
        self._checks, self._clock = checks, clock
        self._lock = threading.Lock()
        self._answer = _Answer(problems={"start": "not checked yet"}, at=clock.monotonic())
        self._is_open = False
        self._was_ready = False

    def open(self) -> None:
        """From now on the hub is ready whenever its checks are well."""
        self._is_open = True

    def close(self) -> None:
        """The hub drains: never ready again."""
        self._is_open = False

    def refresh(self) -> None:
        """Run the checks and log when the answer turns."""
        problems = {name: problem for name, check in self._checks.items() if (problem := check())}
        with self._lock:
            self._answer = _Answer(problems=problems, at=self._clock.monotonic())
            is_ready = self._is_open and not problems
            turned, self._was_ready = is_ready != self._was_ready, is_ready
        if turned and is_ready:
            log.info("hub.ready")
        elif turned and problems:
            log.error("hub.unready", problems=problems)

    def problems(self) -> dict[str, str]:
        """What is wrong, by name; empty when ready."""
        with self._lock:
            answer = self._answer
        if not self._is_open:
            return {"state": "starting or stopping", **answer.problems}
        if self._clock.monotonic() - answer.at > STALE_SECONDS_MAX:
            return {"checks": "no answer in time", **answer.problems}
        return dict(answer.problems)


class DiskCheck:
    """Watches the disk of the database: warns when it runs low, stops intake at the floor."""

    def __init__(self, folder: Path, *, floor_bytes: int = DISK_FLOOR_BYTES) -> None:
        self._folder, self._floor_bytes = folder, floor_bytes
        self._is_low = False
        self.is_above_floor = True

    def __call__(self) -> str | None:
        usage = shutil.disk_usage(self._folder)
        is_low = usage.free < usage.total * DISK_LOW_SHARE
        if is_low and not self._is_low:
            log.warning("disk.ran_low", free_bytes=usage.free, folder=str(self._folder))
        self._is_low = is_low
        self.is_above_floor = usage.free >= self._floor_bytes
        if self.is_above_floor:
            return None
        return f"{usage.free} bytes free in {self._folder}, {self._floor_bytes} needed: make room"


def health_routes(readiness: Readiness, render_metrics: RenderMetrics) -> APIRouter:
    """The three routes."""
    router = APIRouter()

    async def livez(_: Request) -> Response:
        return JSONResponse({"alive": True})

    async def readyz(_: Request) -> Response:
        failing = sorted(readiness.problems())
        return JSONResponse({"ready": not failing, "failing": failing}, 503 if failing else 200)

    async def metrics(_: Request) -> Response:
        body, content_type = await run_in_threadpool(render_metrics)
        return Response(body, headers={"content-type": content_type})

    for path, endpoint in (("/livez", livez), ("/readyz", readyz), ("/metrics", metrics)):
        router.add_route(path, endpoint, methods=["GET"])
    return router
