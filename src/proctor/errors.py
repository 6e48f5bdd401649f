"""Every error that Proctor raises, grouped by who must act.

ProctorError
├── AuthorError              the author of the backfill must change code          exit 2
│   ├── DefinitionError      a decorator, parameter or import is wrong
│   └── AnswerError          a function returned something that cannot be written
├── OperatorError            whoever runs it must change a setting or a command   exit 2
│   ├── ConfigError          proctor.toml, environment variables
│   ├── UsageError           a command's words; an unknown run, plan or backfill
│   ├── TargetError          table, column, key or row data do not fit
│   ├── Unreachable          the database does not answer, or refuses the login
│   ├── Denied               the role may not do what is needed; says the GRANT
│   ├── ProviderRefused      wrong key, unknown model or price, a request nobody can answer
│   ├── FlagFault            a flag's tool failed, or does not do what it says
│   └── Unmeasured           a metric's question had no usable answer
├── HeldError                a person must decide                                 exit 3
│   ├── RunActive            somebody else holds a run on this target and fills
│   ├── PlanVoid             what was approved is not what would run
│   ├── NotConfirmed         a protected environment, and no YES and no plan
│   ├── IllegalMove          the run's state does not allow the command
│   ├── FlagMoved            somebody else has written the flag meanwhile
│   ├── NotApproved          an approval is missing, void, or may not be given
│   ├── TooLittleData        a soak could not prove what is asked of it
│   └── OutOfQuota           money or a daily quota is used up
└── EngineError              the engine acts: retry, split, leave quietly
    ├── Fenced               a newer claim owns the chunk, or the run is closed
    ├── Busy                 deadlock, serialisation, lock time-out: try again
    ├── TooSlow              a statement time-out: cut the chunk
    ├── ConnectionLost       the connection broke; nothing of it was committed
    ├── InDoubt              the connection broke after COMMIT was sent
    ├── Limited              a provider says that it was asked too often
    └── Overloaded           a provider does not answer now: try again
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


class ProctorError(Exception):
    """Something that a person or the engine must act on.

    what: what was wrong, one sentence without a full stop.
    found: what was there instead, or empty.
    fix: what to do about it, or empty. Secrets never go into any of the three.
    """

    exit_code = 1

    def __init__(self, what: str, *, found: str = "", fix: str = "") -> None:
        """Keep the three parts apart, so that every face can set them as it likes."""
        super().__init__(what, found, fix)
        self.what = what
        self.found = found
        self.fix = fix

    def __str__(self) -> str:
        """All three parts as plain sentences."""
        parts = [self.what]
        if self.found:
            parts.append(f"found: {self.found}")
        if self.fix:
            parts.append(f"to mend: {self.fix}")
        return "; ".join(parts)

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the trip between processes with all three parts, and whatever stands besides."""
        return (_rebuild, (type(self), self.what, self.found, self.fix), self.__dict__)


def _rebuild(kind: type[ProctorError], what: str, found: str, fix: str) -> ProctorError:
    return kind(what, found=found, fix=fix)


class AuthorError(ProctorError):
    """The author of the backfill must change code."""

    exit_code = 2


class DefinitionError(AuthorError):
    """A backfill's definition is wrong; raised at import, shows the right code."""


class AnswerError(AuthorError):
    """An author's function returned something that cannot be written."""


class OperatorError(ProctorError):
    """Whoever runs the command must change a setting or the command."""

    exit_code = 2


class ConfigError(OperatorError):
    """proctor.toml or the environment is wrong; names the line and the key."""


class UsageError(OperatorError):
    """A command's words are wrong, or name something that does not exist."""


class TargetError(OperatorError):
    """The table, a column, the key or the data in it do not fit the backfill."""

    for_good = False
    """Whether a statement is refused whatever rows there are: asked again it is refused again."""
    missing = False
    """Whether it names what is not there, and what somebody may make."""


class Unreachable(OperatorError):
    """The database does not answer, or refuses the login."""


class Denied(OperatorError):
    """The role lacks a privilege; says which and how to grant it."""


class ProviderRefused(OperatorError):
    """A provider will never answer this: key, model, price or request are wrong."""

    may_be_paid = False
    """Whether the provider may have counted the call: it did the work, and its reply was no use."""
    of_question = False
    """Whether the fault lies in this one question, and others may be answered."""
    elsewhere = False
    """Whether a fallback provider is asked instead: this one is down, or does not take the key."""


class FlagFault(OperatorError):
    """A feature flag's tool failed, or what it says afterwards is not what was written."""


class Unmeasured(OperatorError):
    """A metric's question failed or its answer is no use: nothing is known of the number."""

    for_good = False
    """Whether it is the question that is wrong: asked again there is no answer either."""
    missing = False
    """Whether it asks for what is not there, and what somebody may make."""


class HeldError(ProctorError):
    """Nothing is broken, but a person must decide."""

    exit_code = 3


class RunActive(HeldError):
    """Another run holds this target and these fills; says who and since when."""


class PlanVoid(HeldError):
    """What was approved is not what would run; names the part that differs."""


class NotConfirmed(HeldError):
    """A protected environment asks for a typed YES or an approved plan."""


class IllegalMove(HeldError):
    """The run's state does not allow this command."""


class FlagMoved(HeldError):
    """A feature flag is not as it was when it was read: somebody else has written it."""


class NotApproved(HeldError):
    """An approval is missing or void, or this person or this verdict does not allow one."""


class TooLittleData(HeldError):
    """A soak cannot count enough to prove what is asked of it: it need not begin."""


class OutOfQuota(HeldError):
    """Money or a daily quota is used up; says until when."""

    provider = ""
    """Whose."""
    until: datetime | None = None
    """When it begins anew; None where only a person can change it."""
    of_today = False
    """Whether it is the quota of a day, in the vendor's own words."""
    retry_after: float | None = None
    """Seconds after which the vendor wants to be asked again, where it said so."""
    elsewhere = True
    """Whether a fallback provider is asked instead."""


class EngineError(ProctorError):
    """The engine itself acts on these; a user meets one only when retries ran out."""


class Fenced(EngineError):
    """A newer claim owns the chunk, or the run no longer grants claims."""


class Busy(EngineError):
    """Deadlock, serialisation failure, lock time-out or a busy file: try again."""


class TooSlow(EngineError):
    """A statement ran into its time-out: the chunk must be cut."""


class ConnectionLost(EngineError):
    """The connection broke before COMMIT was sent: nothing was written."""


class InDoubt(EngineError):
    """The connection broke after COMMIT was sent: only a new claim can tell."""


class Limited(EngineError):
    """A provider was asked too often; `retry_after` seconds, where it says so."""

    retry_after: float | None = None
    requests_left: int | None = None
    """What its headers say is left of its limits; None where they say nothing."""
    tokens_left: int | None = None


class Overloaded(EngineError):
    """A provider does not answer now, or the connection to it broke: try again."""

    retry_after: float | None = None
    """Seconds to wait, where it says so."""
    may_be_paid = True
    """False where nothing was done: no connection was made, or it said itself that it cannot."""
