"""Choosing how much to adapt: candidates, evidence, the rule and its outcome."""
