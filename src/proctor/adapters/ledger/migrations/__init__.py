"""The ledger's schema, one file for each step; run by adapters/ledger/schema when needed."""
