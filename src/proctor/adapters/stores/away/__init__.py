"""Progress kept away from the data: in the ledger's database, where the target takes no table."""

from proctor.adapters.stores.away.store import AwayStore, open_away

__all__ = ["AwayStore", "open_away"]
