"""The pure heart: values and decisions, standard library only, no clock, no network, no log."""
