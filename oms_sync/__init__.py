"""The hub: knows orders and stock, knows no channel."""
