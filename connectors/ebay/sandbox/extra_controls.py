"""Control routes only this channel needs, beside the common ones.

`POST /_sandbox/ebay/combine/{order}/{other}`; `POST /_sandbox/ebay/listings/{sku}/{end|relist}`;
`POST /_sandbox/ebay/gather` with `{"skus": […]}`; `POST /_sandbox/ebay/cancellation/{order}/{ask|
reject}`; `POST /_sandbox/ebay/closed/{order}`: its buyer closes the account at the channel;
`GET /_sandbox/ebay/consented`, where a browser ends after the consent.
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from connectors.ebay.sandbox.post_order import PostOrderDoors
from connectors.ebay.sandbox.pushes import Pushes
from connectors.ebay.sandbox.sales import SellerSales
from oms_sync.sdk.sandbox import Refusal


def extra_routes(sales: SellerSales, post_order: PostOrderDoors, pushes: Pushes) -> list[Route]:
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

    async def close(request: Request) -> Response:
        return JSONResponse(pushes.close_account(request.path_params["order"]))

    path = "/_sandbox/ebay"
    return [
        *_cancellation_routes(post_order),
        Route(f"{path}/combine/{{order}}/{{other}}", combine, methods=["POST"]),
        Route(f"{path}/listings/{{channel_sku:path}}/{{act}}", turn, methods=["POST"]),
        Route(f"{path}/closed/{{order}}", close, methods=["POST"]),
        Route(f"{path}/gather", _gather(sales), methods=["POST"]),
        Route(f"{path}/consented", _consented, methods=["GET"]),
    ]


def _gather(sales: SellerSales) -> Any:
    async def gather(request: Request) -> Response:
        skus = (await request.json()).get("skus")
        if not isinstance(skus, list) or not skus:
            raise Refusal(400, "bad_skus", allowed="a list of SKUs")
        return JSONResponse({"item_id": sales.gather([str(sku) for sku in skus])})

    return gather


async def _consented(_: Request) -> Response:
    return PlainTextResponse("Thank you. Give the hub this page's whole address.")


def _cancellation_routes(post_order: PostOrderDoors) -> list[Route]:
    async def wish(request: Request) -> Response:
        order, act = request.path_params["order"], request.path_params["act"]
        if act not in ("ask", "reject"):
            raise Refusal(404, "unknown_act", known=["ask", "reject"])
        if act == "ask":
            return JSONResponse({"cancel_id": post_order.request(order)})
        post_order.reject(order)
        return JSONResponse({})

    path = "/_sandbox/ebay/cancellation/{order}/{act}"
    return [Route(path, wish, methods=["POST"])]
