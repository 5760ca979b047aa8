"""Timings and experiments against named peers, in one run each."""
