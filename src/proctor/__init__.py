"""Proctor runs backfills on live databases, safely, and proves it."""
