"""A worker that dies, or stops, at one instant of a write whose progress is kept away.

    python away_victim.py STORE LEDGER ACT INSTANT SIGNAL

ACT is apply, sql or undo. INSTANT is: intend (before the intent is kept), commit (after that,
before COMMIT), done (after COMMIT, before it is told), told (after that).
"""

import asyncio
import signal
import sys
import threading

from proctor.adapters.stores.away import open_away
from proctor.adapters.stores.away.settling import AwayBook
from proctor.ports import Manners, UndoTerms
from proctor.testing.conformance.acting import TERMS, claim, items_spec, process


class MortalBook(AwayBook):
    """The real book, with four places at which its process gets a signal."""

    instant = ""
    signal = signal.SIGKILL

    def _reach(self, instant):
        if instant == self.instant:
            # To this very thread: one sent to the process may be taken by another thread, while
            # this one goes on for a moment, even to the ledger's lock.
            signal.pthread_kill(threading.get_ident(), self.signal)

    async def intend(self, lease, intent):
        self._reach("intend")
        await super().intend(lease, intent)
        self._reach("commit")

    async def intend_undo(self, run, kept, intent):
        self._reach("intend")
        await super().intend_undo(run, kept, intent)
        self._reach("commit")

    def intend_now(self, lease, intent, instead):
        self._reach("intend")
        super().intend_now(lease, intent, instead)
        self._reach("commit")

    def intend_undo_now(self, run, kept, intent, instead):
        self._reach("intend")
        super().intend_undo_now(run, kept, intent, instead)
        self._reach("commit")

    async def done(self, run, number, intent):
        self._reach("done")
        lease = await super().done(run, number, intent)
        self._reach("told")
        return lease


async def main(url, ledger, act, instant, number):
    store = await open_away(url, ledger, Manners(), env="test")
    book = MortalBook(store._progress)
    book.instant, book.signal = instant, signal.Signals(int(number))
    store._book = book
    run = await store.run("run-1")
    spec = await store.spec_of("run-1")
    if act == "undo":
        await store.undo(run, 1, UndoTerms())
    else:
        (lease,) = await claim(store, run, spec, rows=5, worker="victim")
        if act == "sql":
            await store.apply_sql(spec, lease, TERMS)
        else:
            await process(store, items_spec(), lease)
    await store.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
