"""The fixtures of the sandbox's own tests serve here, too."""

from contract_fixtures import borrow

globals().update(borrow("ebay/sandbox"))
