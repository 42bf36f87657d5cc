"""Assembles the routers into applications; each may be served by a listener of its own."""

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.routing import Route

from oms_sync.web.health import Readiness, RenderMetrics, health_routes
from oms_sync.web.limits import RequestGuard
from oms_sync.web.webhooks import WebhookParts, WebhookRoute


def make_app(
    *,
    webhooks: WebhookParts | None = None,
    readiness: Readiness | None = None,
    render_metrics: RenderMetrics = lambda: (b"", "text/plain"),
) -> FastAPI:
    """An application with the routes whose parts are given, and nothing else."""
    app = FastAPI(
        title="oms-sync",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        middleware=[Middleware(RequestGuard)],
    )
    if webhooks is not None:
        app.router.routes.append(Route("/webhooks/{account}", WebhookRoute(webhooks)))
    if readiness is not None:
        app.include_router(health_routes(readiness, render_metrics))
    return app
