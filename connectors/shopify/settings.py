"""What an operator enters for one Shopify shop."""

import re
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

_SHOP: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,98}(\.myshopify\.com)?")
_VERSION: Final = re.compile(r"20\d\d-(01|04|07|10)")
_GID: Final = "gid://shopify/Location/"
_LOCATION: Final = re.compile(rf"({_GID})?\d{{1,19}}")
OLDEST_VERSION: Final = "2026-04"


class ShopifySettings(BaseModel):
    """Credentials and options; either `access_token`, or `client_id` with `client_secret`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: the shop's own name at Shopify, such as my-shop.myshopify.com
    shop: str
    access_token: SecretStr | None = None
    client_id: str | None = None
    client_secret: SecretStr | None = None
    webhook_secret: SecretStr | None = None
    #: still accepted while a rotation of the secret takes effect
    webhook_secret_previous: SecretStr | None = None
    api_version: str = "2026-10"
    #: our location code → the shop's location; the first of the account takes every change
    location_ids: dict[str, str] = Field(default_factory=dict)
    #: how late an order may become visible in the shop's lists and in its search
    visibility_lag_seconds: float = Field(default=30, ge=0, le=3600)
    #: whether Shopify e-mails the buyer when tracking is sent
    notify_buyer: bool = False
    #: whether the money of units cancelled from here goes back to the buyer at once
    refund_cancelled: bool = True

    @field_validator("shop")
    @classmethod
    def _name_a_shop(cls, value: str) -> str:
        name = value.strip().lower()
        if not _SHOP.fullmatch(name):
            raise ValueError("must be the shop's own name, such as my-shop.myshopify.com")
        return name if "." in name else f"{name}.myshopify.com"

    @field_validator("api_version")
    @classmethod
    def _know_the_version(cls, value: str) -> str:
        if not _VERSION.fullmatch(value) or value < OLDEST_VERSION:
            raise ValueError(f"must be a quarter such as 2026-10, not before {OLDEST_VERSION}")
        return value

    @field_validator("location_ids")
    @classmethod
    def _name_locations(cls, value: dict[str, str]) -> dict[str, str]:
        wrong = [code for code, text in value.items() if not _LOCATION.fullmatch(text)]
        if wrong:
            raise ValueError(f"{', '.join(wrong)}: must be gid://shopify/Location/ and a number")
        return {code: f"{_GID}{text.removeprefix(_GID)}" for code, text in value.items()}

    @model_validator(mode="after")
    def _have_one_credential(self) -> Self:
        if (self.access_token is not None) == bool(self.client_id and self.client_secret):
            raise ValueError("give either access_token, or client_id and client_secret")
        return self
