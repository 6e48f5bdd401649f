"""django-maintenance-tasks through its own worker: as its README shows, and at its best."""

import json
import os
import subprocess
import sys
import tempfile
import time

from pathlib import Path

words = json.loads(sys.argv[1])

SETTINGS = """
from psycopg.conninfo import conninfo_to_dict
_told = conninfo_to_dict({url!r})
SECRET_KEY = "bench"
DATABASES = {{"default": {{"ENGINE": "django.db.backends.postgresql", "NAME": _told["dbname"],
    "USER": _told["user"], "HOST": _told["host"], "PORT": _told["port"]}}}}
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth",
    "django.contrib.postgres", "django_tasks_db", "maintenance_tasks", "shop"]
TASKS = {{"default": {{"BACKEND": "django_tasks_db.DatabaseBackend"}}}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
"""
MODELS = """
from django.contrib.postgres.fields import ArrayField
from django.db import models

class Item(models.Model):
    id = models.BigIntegerField(primary_key=True)
    name = models.TextField()
    style = ArrayField(models.TextField())
    occasion = models.TextField()
    payload = models.JSONField()
    updated_at = models.DateTimeField()
    normalized = models.JSONField(null=True)

    class Meta:
        db_table = "items"
        managed = False
"""
TASKS = """
import sys
sys.path.insert(0, {bench!r})
from data import transform
from maintenance_tasks import MaintenanceTask
from shop.models import Item

LAST = {last}

class PerRow(MaintenanceTask):
    batch_size = 500

    def collection(self):
        return Item.objects.filter(pk__lte=LAST)

    def process(self, item):
        item.normalized = transform(item.style, item.occasion)
        item.save(update_fields=["normalized"])

class PerBatch(MaintenanceTask):
    batch_size = 1

    def collection(self):
        keys = list(Item.objects.filter(pk__lte=LAST).order_by("pk").values_list("pk", flat=True))
        return [(part[0], part[-1]) for part in
                (keys[at:at + 500] for at in range(0, len(keys), 500))]

    def process(self, edges):
        rows = list(Item.objects.filter(pk__gte=edges[0], pk__lte=edges[1]))
        for row in rows:
            row.normalized = transform(row.style, row.occasion)
        Item.objects.bulk_update(rows, ["normalized"], batch_size=500)
"""


def main():
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "shop").mkdir()
        (folder / "shop" / "__init__.py").touch()
        (folder / "shop" / "models.py").write_text(MODELS)
        last = words["limit"] * 3
        bench = str(Path(__file__).parents[1])
        tasks = TASKS.format(bench=bench, last=last)
        (folder / "shop" / "maintenance_tasks.py").write_text(tasks)
        (folder / "settings.py").write_text(SETTINGS.format(url=words["url"]))
        env = {**os.environ, "DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(folder)}

        def django(*told):
            done = subprocess.run(
                [sys.executable, "-m", "django", *told],
                check=False,
                cwd=folder,
                env=env,
                capture_output=True,
                text=True,
            )
            if done.returncode:
                raise SystemExit(f"{told}: {done.stdout[-1500:]}{done.stderr[-1500:]}")

        django("migrate")
        django("maintenance_tasks", "run", f"shop.maintenance_tasks.{words['path']}")
        began = time.perf_counter()
        seconds, rows = worked(django, began)
        print(json.dumps({"rows": rows, "seconds": seconds}))


def worked(django, began):
    """Let the worker run until the run has ended; (seconds by its own record, rows)."""
    import psycopg

    with psycopg.connect(words["url"], autocommit=True) as connection:
        while time.perf_counter() - began < 1200:
            django("db_worker", "--batch", "--interval", "0.1")
            status, seconds = connection.execute(
                "SELECT status, extract(epoch FROM ended_at - started_at) "
                "FROM maintenance_tasks_run"
            ).fetchone()
            if status not in ("enqueued", "running"):
                break
        if status != "succeeded":
            raise SystemExit(f"the run ended {status}")
        return float(seconds), words["limit"]


main()
