"""Every error a connector may raise, grouped by what to do next. Retries look at the class only.

ChannelError
├── RetryLater            nothing to fix: try again
│   ├── RateLimited       wait `retry_after_seconds`
│   ├── ChannelDown       the channel did not answer, or answered that it is broken
│   └── OutcomeUnknown    sent, but nobody knows whether it was applied: look before acting
├── FixAccount            an operator must act on the account
│   ├── AuthFailed        the credentials are refused or revoked
│   └── PermissionMissing the credentials lack a scope or role
├── FixData               an operator must act on one order, listing, or table
│   ├── UnmappedCode      a code no mapping table knows
│   ├── UnknownListing    the channel does not know the listing
│   └── Rejected          the channel refused this one write
└── Bug                   the channel or the connector broke the contract
    └── BadPayload        an answer that cannot be understood; its bytes are kept
"""


class ChannelError(Exception):
    """Something went wrong between the hub and a channel."""


class RetryLater(ChannelError):
    """The channel cannot serve this now; the hub tries again by itself."""


class RateLimited(RetryLater):
    """The channel asks for fewer calls; the hub waits and tries again by itself."""

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        #: how long the channel asked to wait, None where it did not say
        self.retry_after_seconds = retry_after_seconds


class ChannelDown(RetryLater):
    """The channel did not answer or is broken; the hub tries again by itself."""


class OutcomeUnknown(RetryLater):
    """A write was sent and its answer lost; the hub looks at the channel before it acts again."""


class FixAccount(ChannelError):
    """The account needs an operator: see `oms-sync accounts show`."""


class AuthFailed(FixAccount):
    """The channel refuses the credentials; enter new ones, then `oms-sync accounts resume`."""


class PermissionMissing(FixAccount):
    """The credentials lack a permission; grant it at the channel, then resume the account."""


class FixData(ChannelError):
    """One order, listing or table needs an operator; everything else goes on."""


class UnmappedCode(FixData):
    """A code of the channel is in no mapping table; add it to the operator's overlay."""


class UnknownListing(FixData):
    """The channel does not know the listing; discover listings again or unlink it."""


class Rejected(FixData):
    """The channel refused this write; its reason is in the message."""


class Bug(ChannelError):
    """The contract between hub and channel is broken; please report it with the log."""


class BadPayload(Bug):
    """An answer of the channel cannot be understood; its bytes are kept as a dead letter."""
