"""How values look in JSON: RFC 3339 times with Z, money as decimal strings."""

from datetime import UTC, datetime

from oms_sync.domain.values import Address, Money, Person

Json = dict[str, object]


def when(instant: datetime | None) -> str | None:
    """The instant in RFC 3339 with Z, to the microsecond where it has any."""
    if instant is None:
        return None
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def amount(money: Money | None) -> str | None:
    """The amount as a decimal string at the currency's exponent; finer ones in full."""
    if money is None:
        return None
    shown = money.text()
    return shown if Money.parse(shown, money.currency) == money else str(money.amount)


def person(one: Person | None) -> Json | None:
    """A person, for revealing."""
    if one is None:
        return None
    return {
        "name": one.name,
        "company": one.company,
        "email": one.email,
        "phone": one.phone,
        "address": _address(one.address),
    }


def _address(one: Address | None) -> Json | None:
    if one is None:
        return None
    return {
        "lines": list(one.lines),
        "city": one.city,
        "region": one.region,
        "postal_code": one.postal_code,
        "country": one.country,
    }
