"""A real Prometheus: a metric is asked of it, for a moment of the past as well as for now."""

import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import servers

from proctor.adapters.metrics import OutsideMeter
from proctor.errors import Unmeasured
from proctor.model import PrometheusQuery

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
WITHIN = timedelta(seconds=20)


def samples():
    """An error counter of two instances, a gauge that is not a number, minute by minute."""
    lines = ["# HELP errors Errors.", "# TYPE errors counter"]
    minutes = [NOON + timedelta(minutes=n) for n in range(-20, 21)]
    for instance, step in (("a", 6), ("b", 12)):
        lines += [
            f'errors_total{{instance="{instance}"}} {n * step} {int(at.timestamp())}'
            for n, at in enumerate(minutes)
        ]
    lines += ["# HELP broken Nobody knows.", "# TYPE broken gauge"]
    lines += [f"broken NaN {int(at.timestamp())}" for at in minutes]
    return "\n".join([*lines, "# EOF", ""])


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory):
    """Debian's Prometheus on samples of January."""
    program = shutil.which("prometheus")
    if program is None:
        raise servers.NoServer("no Prometheus found: install Debian's prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "samples").write_text(samples())
    (folder / "prometheus.yml").write_text("scrape_configs: []\n")
    tool = Path(program).with_name("promtool")
    told = ["tsdb", "create-blocks-from", "openmetrics", folder / "samples", folder / "data"]
    subprocess.run([tool, *told], check=True, capture_output=True)
    port = servers.free_port()
    url = f"http://127.0.0.1:{port}"
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                "--storage.tsdb.retention.time=100y",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
            env={**os.environ, "GOMAXPROCS": "1"},
        )
    until = time.monotonic() + servers.START_WITHIN
    try:
        while True:
            try:
                with urllib.request.urlopen(f"{url}/-/ready", timeout=5):
                    break
            except (urllib.error.URLError, OSError):
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < until
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


async def value(url, query, at=NOON):
    source = PrometheusQuery(url=url, query=query)
    found = await OutsideMeter().measure(source, since=at, until=at, within=WITHIN)
    return found["value"]


async def test_a_query_gives_the_number_of_that_moment(prometheus):
    """A rate over both series, and a scalar; ten minutes earlier a counter stood lower."""
    assert await value(prometheus, "sum(rate(errors_total[5m]))") == pytest.approx(0.3)
    assert await value(prometheus, "scalar(sum(errors_total))") == 360
    earlier = NOON - timedelta(minutes=10)
    assert await value(prometheus, "sum(errors_total)", earlier) == 180


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("errors_total", "2 series"),
        ("nowhere_total", "no series"),
        ("broken", "NaN"),
        ("sum(errors_total) / 0", "infinity"),
        ("errors_total[5m]", "a matrix"),
        ('"text"', "a string"),
        ("sum(errors_total", "bad_data"),
    ],
)
async def test_what_it_does_not_know_is_no_figure(prometheus, query, told):
    with pytest.raises(Unmeasured, match=told):
        await value(prometheus, query)


async def test_a_series_that_has_ended_is_no_figure(prometheus):
    """Nothing is known of an hour in which nobody was asked."""
    with pytest.raises(Unmeasured, match="no series"):
        await value(prometheus, "sum(errors_total)", NOON + timedelta(hours=3))
