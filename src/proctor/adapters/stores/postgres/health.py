"""What the server says of its own load: the throttle's food, in one cheap trip."""

from __future__ import annotations

import time

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from proctor.adapters.stores.postgres import tables
from proctor.adapters.stores.postgres.pool import Pool, Transaction
from proctor.model import Health, Signal

LAG_LIMIT: Final = 10.0
WAITERS_LIMIT: Final = 5.0
LATENCY_LIMIT: Final = 1.0
CONNECTED_SHARE: Final = 0.9
"""Share of max_connections that may be in use."""
FILLS_IN: Final = 30.0
"""Seconds in which WAL may fill max_wal_size: if faster, checkpoints are forced."""
LEAST_WAL: Final = 200.0
"""Megabytes a second of WAL that no server of today minds."""

ASK: Final = """
SELECT pg_catalog.clock_timestamp(),
  pg_catalog.pg_is_in_recovery(),
  (pg_catalog.pg_has_role('pg_monitor', 'MEMBER')
   OR pg_catalog.pg_has_role('pg_read_all_stats', 'MEMBER')),
  (SELECT count(replay_lsn) FROM pg_catalog.pg_stat_replication),
  (SELECT pg_catalog.date_part('epoch', max(replay_lag)) FROM pg_catalog.pg_stat_replication),
  (SELECT sum(numbackends) FROM pg_catalog.pg_stat_database)::float8,
  pg_catalog.current_setting('max_connections')::float8,
  (SELECT count(DISTINCT l.pid) FROM pg_catalog.pg_locks l WHERE NOT l.granted
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.pid = l.pid
       AND a.application_name = pg_catalog.current_setting('application_name')))::float8,
  CASE WHEN NOT pg_catalog.pg_is_in_recovery()
    THEN pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), '0/0') END::float8,
  (SELECT setting::float8 FROM pg_catalog.pg_settings WHERE name = 'max_wal_size'),
  CASE WHEN pg_catalog.to_regnamespace('proctor') IS NULL THEN false
    WHEN NOT pg_catalog.has_schema_privilege('proctor', 'USAGE') THEN false
    ELSE pg_catalog.to_regclass('proctor.runs') IS NOT NULL END"""
RUNS: Final = (
    f"SELECT count(*) FROM proctor.runs WHERE state IN {tables.ACTIVE} "
    f"AND held_until > pg_catalog.clock_timestamp()"
)


@dataclass(slots=True)
class Pulse:
    """Remembers earlier looks, so that WAL becomes a rate; one for each store."""

    wal: float | None = None
    at: float = 0.0
    rate: float = 0.0
    replicated: bool = False
    """A replica was connected at an earlier look."""

    def took(self, wal: float) -> float:
        """Megabytes of WAL a second since the last look; 0 at the first."""
        now = time.monotonic()
        if self.wal is not None and now > self.at:
            self.rate = max(0.0, wal - self.wal) / (now - self.at) / 1e6
        self.wal, self.at = wal, now
        return self.rate


async def health(pool: Pool, pulse: Pulse) -> Health:
    """Ask for all signals at once."""
    async with pool.read(control=True) as work:
        (row,) = await work.fetch(ASK)
        runs = await _runs(work) if row[-1] else 1
        await work.commit()
    at = row[0] if isinstance(row[0], datetime) else datetime.now(UTC)
    signals = (
        _lag(row, pulse),
        Signal(
            name="active_connections",
            value=row[5] / max(1.0, row[6]),
            limit=CONNECTED_SHARE,
            unit="of max_connections",
        ),
        Signal(name="lock_waiters", value=row[7], limit=WAITERS_LIMIT),
        _wal(row, pulse),
        Signal(
            name="commit_latency",
            value=pool.commit_seconds,
            limit=LATENCY_LIMIT,
            unit="s",
            why="of our own latest commits",
        ),
    )
    return Health(at=at, signals=signals, runs=max(1, runs))


async def _runs(work: Transaction) -> int:
    ((count,),) = await work.fetch(RUNS)
    return int(count)


def _lag(row: tuple[Any, ...], pulse: Pulse) -> Signal:
    """The worst replica's replay lag; a replica that has caught up reports none.

    A backup that streams WAL replays nothing and is no replica. A replica that breaks off may
    be behind by any length: from then on nothing is known of it.
    """
    visible, replicas, lag = row[2], row[3], row[4]
    value, why = lag or 0.0, ""
    if not visible:
        value, why = None, "GRANT pg_monitor to the role to watch it"
    elif replicas:
        pulse.replicated = True
    elif pulse.replicated:
        value, why = None, "the replica that was connected is gone"
    else:
        why = "no replica is connected"
    return Signal(name="replication_lag", value=value, limit=LAG_LIMIT, unit="s", why=why)


def _wal(row: tuple[Any, ...], pulse: Pulse) -> Signal:
    if row[8] is None:
        why = "this server is a replica"
        return Signal(name="wal_rate", value=None, limit=LEAST_WAL, unit="MB/s", why=why)
    # max_wal_size is told in megabytes.
    limit = max(LEAST_WAL, (row[9] or 0.0) / FILLS_IN)
    return Signal(name="wal_rate", value=pulse.took(row[8]), limit=limit, unit="MB/s")
