"""Checks of everything a user passes in, before any training starts."""
