"""Mistakes of operators, told with place and remedy and changing nothing; and a thief."""

import pytest

pytestmark = pytest.mark.slow

#: line by line; the comment says what is wrong
CONFIG = """\
version: 1
databse: {url: "sqlite:///oms-sync.db"}
web: {host: 127.0.0.1, port: 99999, public_url: "http://hub.example.com"}
logging: {level: loud}
locations:
  - {code: main, name: Main warehouse, country: usa}
accounts:
  - name: Shop US
    connector: shopify
    mode: live
    mode: shadow
    poll_seconds: 0.5
    stock: {locations: [attic]}
    settings: {shop: my-shop, access_token: shpat_canary_canary, api_version: 2026-11}
  - name: shop-eu
    connector: shopfy
    drift: ignore
    settings: {}
"""
#: (line, what the complaint names)
MISTAKES = [
    (2, "databse"),
    (3, "web.port"),
    (3, "web.public_url"),
    (4, "logging.level"),
    (6, "locations[0].country"),
    (8, "accounts[0].name"),
    (11, "accounts[0].mode"),
    (12, "accounts[0].poll_seconds"),
    (13, "accounts[0].stock.locations"),
    (14, "accounts[0].settings.api_version"),
    (16, "accounts[1].connector"),
    (17, "accounts[1].drift"),
]


@pytest.fixture
def desk_town(make_town):
    """A configured hub nobody runs, without a shop."""
    town = make_town(shops=())
    town.configure()
    return town


def test_every_planted_mistake_is_reported_with_its_line(desk_town):
    desk_town.config_path.write_text(CONFIG)
    said = desk_town.run("check", status=2).stderr.splitlines()
    found = []
    for line in said:
        place, _, rest = line.partition(": ")
        path, _, remedy = rest.partition(": ")
        assert remedy, line
        number, column = place.rsplit(":", 2)[1:]
        assert int(column) > 0
        found.append((int(number), path))
    for number, path in MISTAKES:
        assert any(line == number and name.startswith(path) for line, name in found), (
            path,
            said,
        )
    assert "canary" not in "\n".join(said)
    assert "canary" not in desk_town.run("run", status=2).stderr


def test_a_bad_file_names_its_rows_and_changes_nothing(desk_town):
    town = desk_town
    town.run("stock", "set", "TEE", "3", "--reason", "count")

    def books():
        reports = town.desk.reports
        return reports.stock(), reports.listings(), reports.orders()

    before = books()
    bad = town.folder / "bad.csv"
    cases = {
        ("stock", "import"): (
            "sku,location,on_hand\nTEE,main,5\nMUG,main,-1\nCUP,attic,2\n",
            ["bad.csv:3", "bad.csv:4"],
        ),
        ("listings", "import"): (
            "account,channel_listing_id,channel_sku,sku\nnobody,1,TEE,TEE\n",
            ["bad.csv:2"],
        ),
        ("shipments", "import"): (
            "order,sku,quantity,carrier,tracking\nshop-a:1,TEE,x,ups,1Z\n",
            ["bad.csv:2"],
        ),
        ("orders", "import"): (
            "order,placed_at,currency,sku,quantity,unit_price\nB-1,yesterday,EUR,TEE,1,2.00\n",
            ["bad.csv:2"],
        ),
    }
    for command, (text, places) in cases.items():
        bad.write_text(text)
        refused = town.run(*command, str(bad), status=1).stderr
        assert all(place in refused for place in places), (command, refused)
    assert books() == before


@pytest.mark.proves("C-02", "A57", "A60")
def test_a_stolen_database_names_no_buyer(make_town, wait_until):
    town = make_town(shops=("shop-a",))
    town.configure(poll_seconds=1)
    town.seed()
    town.start_hub()
    town.wait_level()
    shop = town.shops["shop-a"]
    for _ in range(3):
        town.wait_order("shop-a", shop.buy(town.a_sku(20)))
    orders = town.json("orders", "list")
    revealed = [town.json("orders", "show", order["id"], "--reveal") for order in orders]
    words = set().union(*(_words([one["buyer"], one["recipient"]]) for one in revealed))
    assert len(words) >= 6, revealed[0]
    files = [path for path in town.folder.iterdir() if path.name.startswith("oms-sync.db")]
    assert {path.name for path in files} >= {"oms-sync.db", "oms-sync.db-wal"}
    stolen = b"".join(path.read_bytes() for path in files)
    token_parts = {"shpca_", shop.entry["settings"]["client_secret"]}
    payload_parts = {"shippingAddress", "displayFinancialStatus"}
    for word in words | token_parts | payload_parts:
        assert word.encode() not in stolen, f"{word!r} can be read in the database"
        assert word not in town.log_path.read_text(), f"{word!r} stands in the log"
    assert orders[0]["channel_order_id"].encode() in stolen, "we look in the right place"


def _words(personal) -> set[str]:
    """Every value long enough to be told from chance."""
    found = []
    values = [personal]
    while values:
        value = values.pop()
        if isinstance(value, dict):
            values += value.values()
        elif isinstance(value, list):
            values += value
        elif isinstance(value, str) and len(value) >= 5:
            found.append(value)
    return set(found)
