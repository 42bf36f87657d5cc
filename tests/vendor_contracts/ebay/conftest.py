"""The fixtures of the connector's own tests serve here, too."""

from contract_fixtures import borrow

globals().update(borrow("ebay"))
