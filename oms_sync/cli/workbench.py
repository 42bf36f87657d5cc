"""What the hub lends a connector's driver for the contract suite: its tables, and a server.

For `connectors check`, and for the tests of connectors; nothing here reaches beyond loopback.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from oms_sync.runtime.clock import SystemClock
from oms_sync.runtime.mapping_files import load_tables
from oms_sync.sdk import Connector
from oms_sync.sdk.contract import StartChannel, Workbench, no_channel
from oms_sync.web.listeners import Listener, bind

_HOST = "127.0.0.1"
_GRACE_SECONDS = 1


def workbench(connector: Connector, *, recordings: Iterable[bytes] = ()) -> Workbench:
    """A workbench with the connector's own tables."""
    return Workbench(
        tables=load_tables(connector.manifest), serve=serve, recordings=tuple(recordings)
    )


def start_contract(connector: Connector, *, recordings: Iterable[bytes] = ()) -> StartChannel:
    """What `connector_contract` and `run_contract` start a channel with.

    It is the connector's own driver; where the connector names none, checks that ask the channel
    for something say so.
    """
    start = connector.load_contract()
    if start is None:
        return no_channel
    bench = workbench(connector, recordings=recordings)
    return lambda: start(bench)


@contextmanager
def serve(app: Any) -> Iterator[str]:
    """Serve an ASGI application on a free port of loopback; gives its base URL."""
    config = uvicorn.Config(
        app,
        interface="asgi3",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        date_header=False,  # the channel's time is the driver's, not this machine's
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    listener = Listener(uvicorn.Server(config), bound=bind(_HOST, 0), clock=SystemClock())
    listener.start()
    try:
        yield listener.url
    finally:
        listener.stop()
