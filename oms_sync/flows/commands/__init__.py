"""What an operator asks for, one transaction each; prints nothing and never calls a channel."""
