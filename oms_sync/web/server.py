"""The ASGI server the listeners run, with its bounds: small headers, no proxies, no access log."""

from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from oms_sync.sdk import Clock
from oms_sync.web.limits import HEADER_BYTES_MAX, KEEP_ALIVE_SECONDS, bounded_protocol
from oms_sync.web.listeners import GRACE_SECONDS, Listener

BACKLOG: Final = 1_024


def listen(
    app: Any, *, bound: Any, clock: Clock, has_lifespan: bool, tells_date: bool = True
) -> Listener:
    """A listener for the application on a socket already taken; `start()` it."""
    config = uvicorn.Config(
        app,
        http=bounded_protocol(H11Protocol),
        ws="none",
        lifespan="on" if has_lifespan else "off",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        date_header=tells_date,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        h11_max_incomplete_event_size=HEADER_BYTES_MAX,
    )
    return Listener(uvicorn.Server(config), bound=bound, clock=clock)
