"""What the domain refuses, in words an operator can act on.

DomainError
├── InvalidValue     a value that cannot mean anything (empty SKU, NaN amount, unknown currency)
├── RuleBroken       an invariant of stock or orders would be broken; nothing was changed
└── ShipmentRefused  a shipment the order or the stock does not allow
"""


class DomainError(Exception):
    """A rule of the domain said no; nothing was changed."""


class InvalidValue(DomainError):
    """The value cannot be used; correct it at its source."""


class RuleBroken(DomainError):
    """The change would break an invariant of stock or orders; it was not made."""


class ShipmentRefused(DomainError):
    """The order cannot ship this; look at its state, its holds, and its open quantities."""
