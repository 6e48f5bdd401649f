"""Rollouts: the stages in order, each step written down before the next."""
