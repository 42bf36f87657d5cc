"""A setting with a form is refused with what it looks like, not with an expression."""

import json
from pathlib import Path

import pytest
from pydantic import BaseModel, Field

from oms_sync.runtime.config_accounts import validate_account_settings
from oms_sync.runtime.config_faults import ConfigError
from oms_sync.runtime.registry import load_registry
from oms_sync.runtime.settings import parse_settings

FILE = Path("/etc/oms/oms-sync.yaml")
CANARY = "canary-5ecret-value"


def test_a_value_that_looks_wrong_is_answered_with_what_it_looks_like():
    class Part(BaseModel):
        name: str = Field(pattern="^[a-z]+$", description="small letters, such as abc")

    class Own(BaseModel):
        seller: str = Field(pattern="^[A-Z]{3}$", description="three letters, such as ABC")
        bare: str = Field(pattern="^[0-9]$")
        parts: tuple[Part, ...] = ()

    text = "version: 1\naccounts:\n  - name: shop-us\n    connector: etsy\n"
    text += f"    settings: {{seller: {CANARY}, bare: {CANARY}, parts: [{{name: {CANARY}}}]}}\n"
    (account,) = parse_settings(text, file=FILE, environment={}).accounts
    with pytest.raises(ConfigError) as caught:
        validate_account_settings(account, Own)
    said = [str(each).split(": ", 1)[1] for each in caught.value.faults]
    assert said == [
        "accounts[0].settings.seller: must be three letters, such as ABC",
        "accounts[0].settings.bare: String should match pattern '^[0-9]$'",
        "accounts[0].settings.parts[0].name: must be small letters, such as abc",
    ]


@pytest.mark.parametrize("connector", ["amazon", "ebay", "shopify"])
def test_every_setting_with_a_form_says_what_it_looks_like(connector):
    schema = json.dumps(load_registry().settings_model(connector).model_json_schema())

    def fields(at):
        for each in at.values() if isinstance(at, dict) else at if isinstance(at, list) else ():
            yield from fields(each)
        for name, one in (at.get("properties", {}) if isinstance(at, dict) else {}).items():
            if '"pattern"' in json.dumps(one):
                yield name, one

    for name, one in fields(json.loads(schema)):
        assert one.get("description"), f"{name}: say in its description what it looks like"
