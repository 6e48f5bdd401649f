"""Who gives processor time to slices."""

from proctor.adapters.executors.pool import ProcessPool
from proctor.adapters.executors.threads import InProcess

__all__ = ["InProcess", "ProcessPool"]
