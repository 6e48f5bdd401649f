"""Feature flags where they are kept: in tables, files, servers, and behind commands."""

from proctor.adapters.flags.open import open_flag
from proctor.adapters.flags.verified import VerifiedFlag

__all__ = ["VerifiedFlag", "open_flag"]
