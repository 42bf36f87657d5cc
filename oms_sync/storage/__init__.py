"""Tables, transactions and repositories: implements the ports of the flows."""
