"""Overnight: describe the songs, watch that, and let listeners in when it is good enough."""

import json
import os
import urllib.parse
import urllib.request

from datetime import timedelta

from proctor import metrics, probes, rollout, stages

FLAG = "ABOUTNESS_V2_ENABLED"
HEALTH = "${RADIO_URL}/health"
CYCLE = timedelta(minutes=15)
PROMPTS = ("songs by the low tide", "something golden for the summer", "midnight, on the telephone")
TEXTS = r"""
    SELECT count(*) AS rows,
           coalesce(round(avg(greatest(e, m))), 0) AS mean_length,
           coalesce(max(greatest(e, m)), 0) AS longest,
           count(*) FILTER (WHERE greatest(e, m) > 100) AS too_long,
           count(*) FILTER (WHERE both_texts ~* '\[\s*confidence') AS leaked_tags,
           count(*) FILTER (WHERE greatest(e, m) = 100 OR both_texts ~ '\.\.\.|…') AS truncated
    FROM (
        SELECT length(emotions_text) AS e, length(moments_text) AS m,
               emotions_text || ' ' || moments_text AS both_texts
        FROM song_aboutness WHERE version = 2
        ORDER BY generated_at DESC, song_id DESC LIMIT {latest}
    ) AS latest
"""
GOOD = "result.too_long == 0 and result.leaked_tags == 0"


def ask_the_prompts():
    """What a listener gets for each prompt."""
    answers = {}
    for prompt in PROMPTS:
        asked = urllib.parse.urlencode({"prompt": prompt, "listener": "overnight"})
        with urllib.request.urlopen(f"{os.environ['RADIO_URL']}/songs?{asked}") as reply:  # noqa: S310 - ours
            answers[prompt] = json.load(reply)
    return answers


def by_aboutness(before, after):
    """Each prompt is answered from the new data, and none is left without a song."""
    for prompt, answer in after.items():
        if answer["by"] != "aboutness":
            return f"{prompt!r} is still answered by {answer['by']}"
        if not answer["songs"]:
            return f"{prompt!r} finds nothing, and found {len(before[prompt]['songs'])} before"
    return True


prompts = probes.python("prompts", ask_the_prompts, compare=by_aboutness)
health = metrics.http(
    "health",
    HEALTH,
    pick={"ok": "$.ok"},
    success_condition="result.ok == 1",
    failure_limit=-1,
    interval=CYCLE,
)

overnight = rollout(
    "overnight",
    stages.precheck(
        probes.clean_git(),
        probes.variables("SONGS_URL", "WRITER_KEY", "RADIO_URL"),
        probes.flag(FLAG),
        probes.http("health", HEALTH, expect="$.ok"),
    ),
    # Of 114,336 songs these would be 10,000, 50,000 and 100,000; the example has 1,000.
    stages.apply(
        "aboutness",
        until="result.share >= 0.5",
        milestones=[stages.milestone(rows=rows, sample=100) for rows in (100, 450, 850)],
    ),
    # Without a limit of failures what does not hold yet is waited for; a leaked tag is not.
    stages.gate(
        "good enough",
        within=timedelta(hours=8),
        metrics=[
            metrics.coverage(
                "coverage",
                "aboutness",
                success_condition="result.share >= 0.5",
                failure_limit=-1,
                interval=CYCLE,
            ),
            metrics.sql(
                "texts of the latest 1,000",
                TEXTS.format(latest=1_000),
                success_condition=GOOD,
                min_samples=100,
                critical=True,
                interval=CYCLE,
            ),
            metrics.rows(
                "checks of the latest 1,000",
                "aboutness",
                latest=1_000,
                success_condition="result.failures == 0",
                min_samples=100,
                critical=True,
                interval=CYCLE,
            ),
            metrics.run(
                "429s",
                "aboutness",
                success_condition="result.limited_new <= 10",
                failure_limit=-1,
                interval=CYCLE,
            ),
            health,
        ],
    ),
    stages.activate(
        FLAG, steps=(100,), hold=timedelta(minutes=30), metrics=[health], probes=[prompts]
    ),
    monitor=stages.monitor(
        "overnight-monitor.md",
        every=CYCLE,
        latest=500,
        metrics=[
            metrics.sql("Texts of the latest 500", TEXTS.format(latest=500), success_condition=GOOD)
        ],
    ),
    on_fail="pause",
    within=timedelta(hours=24),
)
