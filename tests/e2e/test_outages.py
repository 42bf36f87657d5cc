"""The database goes away under a running hub, and comes back."""

import base64
import hashlib
import hmac
import json
import time

import pytest

pytestmark = pytest.mark.slow

#: the promise is five seconds; other tests run on the same cores
TURN_SECONDS_MAX = 10


def _deliver(town, shop) -> tuple[int, dict[str, str]]:
    secret = shop.entry["settings"]["webhook_secret"]
    body = json.dumps({"id": 1, "admin_graphql_api_id": "gid://shopify/Order/1"}).encode()
    mark = base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()
    headers = {"X-Shopify-Hmac-Sha256": mark, "X-Shopify-Topic": "orders/updated"}
    status, found, _ = town.ask(f"/webhooks/{shop.name}", body, headers)
    return status, found


@pytest.mark.proves("I-03", "I-34", "F45", "O-01", "O-11")
def test_without_its_database_the_hub_refuses_and_then_recovers_alone(
    make_town, start_postgres, wait_until
):
    server = start_postgres()
    town = make_town(database_url=server.url(server.create_database()))
    town.configure(poll_seconds=1, reconcile_seconds=5)
    town.seed()
    town.start_hub()
    town.wait_level()
    here, there = town.shops.values()
    sku = town.a_sku()
    assert _deliver(town, here)[0] == 200

    server.stop(immediately=True)
    wait_until(lambda: town.ask("/readyz")[0] == 503, TURN_SECONDS_MAX)
    assert town.ask("/livez")[0] == 200
    status, headers = _deliver(town, here)
    assert status == 503
    assert int(headers["retry-after"]) > 0
    missed = here.buy(sku, 2)
    time.sleep(3)  # polls and deliveries meanwhile fail
    assert town.hub.poll() is None
    assert _deliver(town, here)[0] == 503

    assert server._start_once()  # on its old port
    wait_until(lambda: town.ask("/readyz")[0] == 200, TURN_SECONDS_MAX)
    wait_until(lambda: _deliver(town, here)[0] == 200)
    town.wait_order("shop-a", missed)
    wait_until(lambda: there.shows(sku) == town.initial[sku] - 2, 60)
    wait_until(lambda: town.compare().is_clean, 60, "hub and shops agree")
    wait_until(lambda: {one["state"] for one in town.json("accounts", "list")} == {"ok"})
    assert town.stop_hub() == 0
