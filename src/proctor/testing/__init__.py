"""For authors and for us: conformance suites, a fake clock, a kit to test backfills."""
