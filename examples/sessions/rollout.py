"""Score 39 sessions on staging, watch for six hours, look for what is left: a halt after each.

proctor rollout sessions --show          what it would do, and whether the soak can prove it
proctor rollout sessions --rehearse      how often the soak would have been wrong before
proctor rollout sessions                 begin, or go on with what people have approved
"""

from datetime import timedelta

from proctor import metrics, probes, rollout, stages

from backfills import PLAN

SESSIONS = [session for sessions in PLAN["groups"].values() for session in sessions]
SOAK = timedelta(hours=PLAN["soak_hours"])
HALF_AN_HOUR = timedelta(minutes=30)
NONE, ALL = "result.events == 0", "result.events == result.total"


def visits(name, counts, **rules):
    """Of the sessions that readers completed between two moments: how many were as they should."""
    return metrics.sql(
        name,
        f"SELECT {counts} AS events, count(*) AS total FROM visits"
        " WHERE completed_at >= :since AND completed_at < :until",
        interval=HALF_AN_HOUR,
        **rules,
    )


ready = stages.precheck(
    probes.variables("APP_URL", "SERVICE_KEY"),
    probes.sql(
        "columns",  # a column that is not there is a no, with its name
        "SELECT count(*) + 1 FROM (SELECT s.version, s.fc_kind, p.results_version"
        " FROM fc_scores AS s LEFT JOIN profiles AS p ON p.score_id = s.id LIMIT 1) AS there",
    ),
    probes.sql(
        "no row security",  # it would hide sessions from the role that we are
        f"SELECT CASE WHEN count(*) = {len(SESSIONS)} THEN 1 ELSE 0 END FROM sessions WHERE id IN "
        f"({', '.join(repr(session) for session in SESSIONS)})",
    ),
)

observed = stages.soak(
    "six hours",
    duration=SOAK,
    most=2 * SOAK,
    metrics=[
        # Completed sessions that got a profile, against the same hours of the last eight weeks.
        visits(
            "conversion",
            "count(profile_at)",
            baseline=metrics.matched_windows(allowed=0.85),
            min_samples=150,
            critical=True,
        ),
        visits(
            "version overrides", "count(version_override)", success_condition="result.events == 0"
        ),
        visits(
            "tokenised access", "count(token)", success_condition="result.events == result.total"
        ),
        metrics.sql(
            "fc_kind",
            "SELECT count(*) FILTER (WHERE fc_kind = 'functions') AS events, count(*) AS total"
            f" FROM fc_scores WHERE version = '{PLAN['version']}'",
            success_condition=ALL,
            interval=HALF_AN_HOUR,
        ),
    ],
    report="staging_observability.md",
)

rollout(
    "sessions",
    # Phase 1: apply.
    ready,
    *(stages.apply(f"score_{group}") for group in PLAN["groups"]),
    stages.files(
        log="logs/{backfill}.json",
        execution="logs/execution.log",
        summary="backfill_summary.md",
        undo="rollback_{date}.sql",
    ),
    stages.halt("review", look=["backfill_summary.md", "rollback_{date}.sql"]),
    # Phase 2: look, and write nothing.
    observed,
    stages.halt("go or no-go", look=["staging_observability.md"]),
    # Phase 3: what came since, and is not scored.
    stages.health(
        "score_new",
        since=f"completed_at={PLAN['health_since']}",
        report="prod_health_check.md",
        plan="mini_plan.json",
    ),
    stages.halt(
        "recommendations",
        look=["prod_health_check.md", "proctor run score_new --plan mini_plan.json"],
    ),
)

# The soak alone, to look again whenever something has changed.
rollout("watch", observed)
