"""What an operator enters for one Amazon seller in one region."""

import os
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


class QueueSettings(BaseModel):
    """The SQS queue Amazon writes ORDER_CHANGE to, one queue per account."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    queue_url: str = Field(min_length=1)
    #: another address for SQS than Amazon's own
    endpoint_url: str | None = None
    aws_region: str = Field(min_length=1)
    access_key_id: str = Field(min_length=1)
    secret_access_key: SecretStr


class AmazonSettings(BaseModel):
    """The application's keys, the seller's authorisation, and where the seller sells."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    region: Literal["na", "eu", "fe"]
    #: where the seller sells, the main marketplace first; quantities are one per region
    marketplace_ids: tuple[str, ...] = Field(min_length=1, max_length=50)
    #: the merchant token
    seller_id: str = Field(pattern="^[A-Z0-9]{5,30}$")
    lwa_client_id: str = Field(min_length=1)
    lwa_client_secret: SecretStr
    #: what the seller's authorisation gave, one per seller and region
    refresh_token: SecretStr
    #: how late an order may become visible; Amazon's own is two minutes: less is for sandboxes
    visibility_lag_seconds: float = Field(default=120, ge=0, le=3600)
    #: more changed quantities than this go as one feed
    bulk_threshold: int = Field(default=100, ge=0)
    notifications: QueueSettings | None = None

    @model_validator(mode="after")
    def _be_what_counts(self) -> Self:
        # The SDK obeys these over whatever it is told, and would quietly sell somewhere else.
        is_moved = os.environ.get("AWS_ENV", "PRODUCTION") != "PRODUCTION"
        names = ["AWS_ENV"] if is_moved else []
        if os.environ.get("SP_API_DEFAULT_MARKETPLACE"):
            names.append("SP_API_DEFAULT_MARKETPLACE")
        if names:
            raise ValueError(
                f"the environment sets {' and '.join(names)}, which overrides these settings: "
                "unset it and start the hub again"
            )
        return self
