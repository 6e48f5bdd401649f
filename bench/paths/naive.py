"""What people write: a loop, one UPDATE a row, a commit now and then. And two ORMs in bulk."""

import json
import sys
import time

import data

CHUNK = 500
words = json.loads(sys.argv[1])


def naive(limit):
    """psycopg, one execute a row, commit every 500."""
    import psycopg

    done, after = 0, 0
    with psycopg.connect(words["url"]) as connection:
        while done < limit:
            rows = connection.execute(
                "SELECT id, style, occasion FROM items WHERE id > %s ORDER BY id LIMIT %s",
                (after, CHUNK),
            ).fetchall()
            if not rows:
                break
            for id_, style, occasion in rows:
                value = json.dumps(data.transform(style, occasion))
                connection.execute("UPDATE items SET normalized = %s WHERE id = %s", (value, id_))
            connection.commit()
            done, after = done + len(rows), rows[-1][0]
    return done


def sqlalchemy_bulk(limit):
    """SQLAlchemy's ORM bulk update by primary key."""
    from sqlalchemy import BigInteger, Text, create_engine, select, update
    from sqlalchemy.dialects.postgresql import ARRAY, JSONB
    from sqlalchemy.orm import DeclarativeBase, Session, mapped_column

    class Base(DeclarativeBase):
        pass

    class Item(Base):
        __tablename__ = "items"
        id = mapped_column(BigInteger, primary_key=True)
        style = mapped_column(ARRAY(Text))
        occasion = mapped_column(Text)
        normalized = mapped_column(JSONB)

    engine = create_engine(words["url"].replace("postgresql://", "postgresql+psycopg://"))
    done, after = 0, 0
    with Session(engine) as session:
        while done < limit:
            rows = session.execute(
                select(Item.id, Item.style, Item.occasion)
                .where(Item.id > after)
                .order_by(Item.id)
                .limit(CHUNK)
            ).all()
            if not rows:
                break
            values = [{"id": r.id, "normalized": data.transform(r.style, r.occasion)} for r in rows]
            session.execute(update(Item), values)
            session.commit()
            done, after = done + len(rows), rows[-1].id
    engine.dispose()
    return done


def django_bulk(limit):
    """Django's bulk_update, 500 objects at a time."""
    import django

    from django.conf import settings
    from psycopg.conninfo import conninfo_to_dict

    told = conninfo_to_dict(words["url"])
    database = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": told["dbname"],
        "USER": told["user"],
        "HOST": told["host"],
        "PORT": told["port"],
    }
    settings.configure(
        DEBUG=False,
        DATABASES={"default": database},
        INSTALLED_APPS=["django.contrib.postgres"],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    )
    django.setup()
    from django.contrib.postgres.fields import ArrayField
    from django.db import models, transaction

    class Item(models.Model):  # noqa: DJ008 - never shown
        id = models.BigIntegerField(primary_key=True)
        name = models.TextField()
        style = ArrayField(models.TextField())
        occasion = models.TextField()
        payload = models.JSONField()
        updated_at = models.DateTimeField()
        normalized = models.JSONField(null=True)

        class Meta:
            app_label = "bench"
            db_table = "items"
            managed = False

    done, after = 0, 0
    while done < limit:
        with transaction.atomic():
            rows = list(Item.objects.filter(pk__gt=after).order_by("pk")[:CHUNK])
            for row in rows:
                row.normalized = data.transform(row.style, row.occasion)
            Item.objects.bulk_update(rows, ["normalized"], batch_size=CHUNK)
        if not rows:
            break
        done, after = done + len(rows), rows[-1].pk
    return done


PATHS = {"naive": naive, "sqlalchemy": sqlalchemy_bulk, "django": django_bulk}
began = time.perf_counter()
rows_done = PATHS[words["path"]](words["limit"])
print(json.dumps({"rows": rows_done, "seconds": time.perf_counter() - began}))
