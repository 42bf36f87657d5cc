"""The daemon around the flows: schedule, sessions, retries, settings, clock, logs."""
