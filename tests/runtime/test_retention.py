"""How long personal data lives is one setting for every account, and reaches each of them."""

import pytest

from oms_sync.flows.manual import MANUAL
from oms_sync.runtime.registry import load_registry
from oms_sync.runtime.settings import load_settings
from oms_sync.runtime.wiring import profiles_of

CONFIG = """version: 1
accounts:
  - name: shop-a
    connector: shopify
    settings: {shop: shop-a, access_token: invented, location_ids: {main: "1"}}
"""


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("", (30, 30)),
        ("retention: {personal_data_days: 7, raw_payload_days: 3}\n", (7, 3)),
    ],
)
def test_every_account_and_manual_orders_keep_as_long_as_the_file_says(tmp_path, text, days):
    path = tmp_path / "oms-sync.yaml"
    path.write_text(CONFIG + text, encoding="utf-8")
    profiles = profiles_of(load_settings(path), load_registry())
    assert set(profiles) == {MANUAL, "shop-a"}
    for profile in profiles.values():
        assert (profile.personal_data_days, profile.raw_payload_days) == days
