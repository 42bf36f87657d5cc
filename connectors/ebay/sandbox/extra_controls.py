"""Control routes only this channel needs, beside the common ones.

`POST /_sandbox/ebay/combine/{order}/{other}`; `POST /_sandbox/ebay/listings/{sku}/{end|relist}`.
"""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from connectors.ebay.sandbox.sales import SellerSales
from oms_sync.sdk.sandbox import Refusal


def extra_routes(sales: SellerSales) -> list[Route]:
    """The routes, to stand before the common ones."""

    async def combine(request: Request) -> Response:
        order, other = request.path_params["order"], request.path_params["other"]
        return JSONResponse({"channel_order_id": sales.combine(order, other)})

    async def turn(request: Request) -> Response:
        sku, act = request.path_params["channel_sku"], request.path_params["act"]
        if act not in ("end", "relist"):
            raise Refusal(404, "unknown_act", known=["end", "relist"])
        item_id = sales.end_listing(sku) if act == "end" else sales.relist(sku)
        return JSONResponse({"channel_sku": sku, "item_id": item_id})

    path = "/_sandbox/ebay"
    return [
        Route(f"{path}/combine/{{order}}/{{other}}", combine, methods=["POST"]),
        Route(f"{path}/listings/{{channel_sku:path}}/{{act}}", turn, methods=["POST"]),
    ]
