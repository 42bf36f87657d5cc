"""What an operator enters for one Amazon seller in one region."""

import hashlib
import os
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


class QueueSettings(BaseModel):
    """The SQS queue Amazon writes ORDER_CHANGE to, one queue per account."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    queue_url: str = Field(min_length=1)
    #: the queue's name for Amazon; made of `queue_url` and `aws_region` where that is AWS's own
    queue_arn: str | None = Field(
        default=None,
        pattern=r"^arn:aws[a-z-]*:sqs:\S+:\S+:\S+$",
        description="the queue's ARN, such as arn:aws:sqs:us-east-1:123456789012:NAME",
    )
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
    seller_id: str = Field(
        pattern="^[A-Z0-9]{5,30}$",
        description="the merchant token, 5 to 30 capital letters and digits, such as A1EXAMPLE2345",
    )
    lwa_client_id: str = Field(min_length=1)
    lwa_client_secret: SecretStr
    #: what the seller's authorisation gave, one per seller and region; without one the account
    #: waits for `oms-sync accounts authorize`
    refresh_token: SecretStr | None = None
    #: the application's own id at Amazon, for authorising by command
    application_id: str | None = Field(
        default=None,
        pattern=r"^amzn1\.",
        description="the application's id, which begins with amzn1.sp.solution.",
    )
    #: where Amazon sends the owner's browser afterwards; the application's first where unsaid
    redirect_uri: str | None = None
    #: the application is a draft: Amazon wants to be told so
    is_draft_application: bool = False
    #: "v0" reads orders by the API Amazon removes in March 2027, where the newer one fails
    orders_api: Literal["2026-01-01", "v0"] = "2026-01-01"
    #: how late an order may become visible; Amazon's own is two minutes: less is for sandboxes
    visibility_lag_seconds: float = Field(default=120, ge=0, le=3600)
    #: more changed quantities than this go as one feed
    bulk_threshold: int = Field(default=100, ge=0)
    notifications: QueueSettings | None = None

    @property
    def budget_owner(self) -> str:
        """Amazon counts calls by seller, region and application, however many entries there are."""
        application = hashlib.sha256(self.lwa_client_id.encode()).hexdigest()[:8]
        return f"{self.seller_id}-{self.region}-{application}"

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
