"""What an operator enters for one eBay seller."""

import re
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

#: below it totals leave out the taxes eBay collects, and every sum would come out wrong
OLDEST_LEVEL: Final = 1307
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{32,80}")


class EbaySettings(BaseModel):
    """The application's keys, the seller's consent, and how eBay is spoken to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: the application's key set: App ID, Dev ID, Cert ID
    app_id: str = Field(min_length=1)
    dev_id: str = ""
    cert_id: SecretStr
    #: the name of the application's redirect address; only the consent needs it
    ru_name: str | None = Field(default=None, min_length=1)
    #: what the seller's consent gave, good for 18 months; None where `accounts authorize` gets it
    refresh_token: SecretStr | None = None
    #: the site errors and carriers are understood by: 0 is the US, 3 the UK, 77 Germany
    site_id: int = Field(default=0, ge=0, le=999)
    #: the version of the contract every answer is in; pinned, so that no field changes its meaning
    compatibility_level: int = Field(default=1423, ge=OLDEST_LEVEL, le=9999)
    marketplace_id: str = Field(
        default="EBAY_US", pattern=r"^EBAY_[A-Z_]{2,20}$", description="a name such as EBAY_GB"
    )
    #: orders are read up to that long ago: earlier, eBay may still be putting their lines together
    visibility_lag_seconds: float = Field(default=120, ge=0, le=3600)
    #: proves to eBay that the webhook address is ours
    verification_token: SecretStr | None = None
    #: signs refunds and cancellations, which eBay demands of sellers in the EU and the UK: the
    #: private key in PEM, or its base64 alone, as eBay's Key Management API gave it
    signing_key: SecretStr | None = None
    #: the public half as eBay gave it with the key: a JWE
    signing_jwe: SecretStr | None = None

    @property
    def budget_owner(self) -> str:
        """The day's calls are the application's: all its sellers share them."""
        return self.app_id

    @field_validator("verification_token")
    @classmethod
    def _be_a_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _TOKEN.fullmatch(value.get_secret_value()):
            raise ValueError("must be 32 to 80 letters, digits, underscores or hyphens")
        return value

    @model_validator(mode="after")
    def _hold_both_halves(self) -> Self:
        if (self.signing_key is None) != (self.signing_jwe is None):
            raise ValueError("signing_key and signing_jwe belong together: enter both, or none")
        return self
