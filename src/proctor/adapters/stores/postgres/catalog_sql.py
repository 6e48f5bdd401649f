"""The queries behind the catalogue: each answers with one JSON document a row."""

from __future__ import annotations

from typing import Final

VISIBLE: Final = """
SELECT CASE WHEN pg_catalog.pg_table_is_visible(c.oid) THEN c.relname
            ELSE n.nspname || '.' || c.relname END
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'proctor')
  AND n.nspname !~ '^pg_toast' ORDER BY 1 LIMIT 5000"""


def find(name: str, qualified: str) -> str:
    """Tables of this name in the search path, or as schema.table; the visible one first."""
    return f"""
SELECT c.oid::int8, c.relkind::text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND ((c.relname = {name} AND pg_catalog.pg_table_is_visible(c.oid)) OR {qualified})
ORDER BY c.relname = {name} DESC LIMIT 1"""


def _type(oid: str) -> str:
    """A base type and its element type, domains taken off, as JSON; `oid` of the outer type."""
    return f"""(
WITH RECURSIVE base AS (
  SELECT t.*, 0 AS depth FROM pg_catalog.pg_type t WHERE t.oid = {oid}
  UNION ALL
  SELECT t.*, b.depth + 1 FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.typbasetype
  WHERE b.typtype = 'd'),
element AS (
  SELECT t.*, 0 AS depth FROM pg_catalog.pg_type t JOIN base b ON b.typtype <> 'd'
    AND b.typcategory = 'A' AND t.oid = b.typelem
  UNION ALL
  SELECT t.*, e.depth + 1 FROM element e JOIN pg_catalog.pg_type t ON t.oid = e.typbasetype
  WHERE e.typtype = 'd')
SELECT pg_catalog.json_build_object('schema', n.nspname, 'name', b.typname,
  'category', b.typcategory, 'kind', b.typtype, 'delimiter', b.typdelim,
  'element', (SELECT pg_catalog.json_build_object('schema', en.nspname, 'name', e.typname,
      'category', e.typcategory, 'kind', e.typtype, 'delimiter', e.typdelim)
    FROM element e JOIN pg_catalog.pg_namespace en ON en.oid = e.typnamespace
    WHERE e.typtype <> 'd'))
FROM base b JOIN pg_catalog.pg_namespace n ON n.oid = b.typnamespace WHERE b.typtype <> 'd')"""


_COLLATION: Final = (
    "pg_catalog.quote_ident(kn.nspname) || '.' || pg_catalog.quote_ident(k.collname)"
)

_COLLATIONS: Final = (
    "pg_catalog.pg_collation k JOIN pg_catalog.pg_namespace kn ON kn.oid = k.collnamespace"
)


def collation_of(sql: str) -> str:
    """The collation of an expression by its full name; the server itself leaves out the schema."""
    told = _told(sql)
    visible = f"SELECT {_COLLATION} FROM {_COLLATIONS} WHERE {_named_as(told)} LIMIT 1"
    return f"coalesce(({visible}), {told})"


def loose(sql: str) -> str:
    """Whether texts that differ may be equal under the collation of an expression."""
    told = _told(sql)
    return (
        f"EXISTS (SELECT FROM {_COLLATIONS} WHERE NOT k.collisdeterministic "
        f"AND ({_named_as(told)} OR {_COLLATION} = {told}))"
    )


def _told(sql: str) -> str:
    return f'pg_catalog.pg_collation_for({sql}) COLLATE pg_catalog."C"'


def _named_as(told: str) -> str:
    """Whether a collation is the visible one that goes by this name alone."""
    return (
        f"pg_catalog.pg_collation_is_visible(k.oid) AND pg_catalog.quote_ident(k.collname) = {told}"
    )


def types_of(values: str) -> str:
    """Columns of a query as fields, from (number, name, type, modifier)."""
    return f"""
SELECT pg_catalog.json_build_object('number', v.number, 'name', v.name,
  'declared', pg_catalog.format_type(v.type, v.mod), 'typmod', v.mod,
  'domain', false, 'writable', false, 'type', {_type("v.type")}, 'collation', {_COLLATION})
FROM (VALUES {values}) AS v(number, name, type, mod)
JOIN pg_catalog.pg_type t ON t.oid = v.type
LEFT JOIN pg_catalog.pg_collation k ON k.oid = t.typcollation
LEFT JOIN pg_catalog.pg_namespace kn ON kn.oid = k.collnamespace ORDER BY v.number"""


def describe(oid: int) -> str:
    """Everything about one table."""
    return f"""
SELECT pg_catalog.json_build_object(
  'oid', c.oid::int8, 'schema', n.nspname, 'name', c.relname, 'kind', c.relkind,
  'secured', pg_catalog.row_security_active(c.oid),
  'readable', pg_catalog.has_table_privilege(c.oid, 'SELECT'),
  'insertable', pg_catalog.has_table_privilege(c.oid, 'INSERT')
    OR pg_catalog.has_any_column_privilege(c.oid, 'INSERT'),
  'rows', (SELECT sum(greatest(l.reltuples, 0)) FROM pg_catalog.pg_class l
           WHERE l.relkind = 'r' AND (l.oid = c.oid
             OR l.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(c.oid)))),
  'pages', (SELECT sum(l.relpages) FROM pg_catalog.pg_class l
            WHERE l.relkind = 'r' AND (l.oid = c.oid
              OR l.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(c.oid)))),
  'fields', ({_FIELDS}),
  'indexes', ({_INDEXES}),
  'triggers', ({_TRIGGERS}),
  'references', ({_REFERENCES}),
  'heirs', (SELECT pg_catalog.json_agg(h.inhrelid::pg_catalog.regclass::text)
            FROM pg_catalog.pg_inherits h WHERE h.inhparent = c.oid AND c.relkind = 'r'),
  'rules', (SELECT pg_catalog.json_agg(r.rulename) FROM pg_catalog.pg_rewrite r
            WHERE r.ev_class = c.oid),
  'constraints', (SELECT pg_catalog.json_agg(k.conname || ' '
                    || pg_catalog.pg_get_constraintdef(k.oid) ORDER BY k.conname)
                  FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid),
  'publications', (SELECT pg_catalog.json_agg(p.pubname ORDER BY p.pubname)
                   FROM pg_catalog.pg_publication_tables p
                   WHERE p.schemaname = n.nspname AND p.tablename = c.relname))
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = {oid}"""


_FIELDS: Final = f"""
SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
  'name', a.attname, 'declared', pg_catalog.format_type(a.atttypid, a.atttypmod),
  'typmod', CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END,
  'domain', t.typtype = 'd',
  'not_null', a.attnotnull OR t.typnotnull,
  'generated', a.attgenerated <> '',
  'identity', a.attidentity,
  'default', pg_catalog.pg_get_expr(d.adbin, d.adrelid),
  'collation', {_COLLATION},
  'deterministic', coalesce(k.collisdeterministic, true),
  'readable', pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT'),
  'writable', pg_catalog.has_column_privilege(c.oid, a.attnum, 'UPDATE'),
  'type', {_type("a.atttypid")}) ORDER BY a.attnum)
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_catalog.pg_collation k ON k.oid = a.attcollation
LEFT JOIN pg_catalog.pg_namespace kn ON kn.oid = k.collnamespace
WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"""

_INDEXES: Final = """
SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
  'name', ic.relname, 'unique', i.indisunique, 'immediate', i.indimmediate,
  'method', am.amname,
  'usable', i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL,
  'columns', (SELECT pg_catalog.json_agg(a.attname ORDER BY k.place)
    FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS k(number, place)
    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number
      AND k.number > 0
    WHERE k.place <= i.indnkeyatts),
  'descending', (SELECT pg_catalog.json_agg((o.bits & 1) = 1 ORDER BY o.place)
    FROM pg_catalog.unnest(i.indoption::int2[]) WITH ORDINALITY AS o(bits, place)),
  'touches', (SELECT pg_catalog.json_agg(DISTINCT a.attname)
    FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = c.oid AND (a.attnum = ANY (i.indkey::int2[]) AND a.attnum > 0
      OR EXISTS (SELECT FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = i.indexrelid
          AND d.refobjid = c.oid AND d.refobjsubid = a.attnum))))
  ORDER BY i.indisprimary DESC, ic.relname)
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
JOIN pg_catalog.pg_am am ON am.oid = ic.relam
WHERE i.indrelid = c.oid"""

_TRIGGERS: Final = """
SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
  'name', g.tgname, 'bits', g.tgtype, 'function', p.proname,
  'definition', pg_catalog.pg_get_triggerdef(g.oid) || ' ' || pg_catalog.md5(p.prosrc),
  'columns', (SELECT pg_catalog.json_agg(a.attname) FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = c.oid AND a.attnum = ANY (g.tgattr::int2[]))) ORDER BY g.tgname)
FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid
WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgenabled IN ('O', 'A')"""

_REFERENCES: Final = """
SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
  'name', k.conname, 'table', k.conrelid::pg_catalog.regclass::text, 'on_update', k.confupdtype,
  'columns', (SELECT pg_catalog.json_agg(a.attname ORDER BY x.place)
    FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY AS x(number, place)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = x.number),
  'targets', (SELECT pg_catalog.json_agg(a.attname ORDER BY x.place)
    FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY AS x(number, place)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = x.number))
  ORDER BY k.conname)
FROM pg_catalog.pg_constraint k
WHERE k.confrelid = c.oid AND k.contype = 'f' AND k.conparentid = 0"""


def fields(oid: int) -> str:
    """The columns of one table, as they are now."""
    return f"SELECT ({_FIELDS}) FROM pg_catalog.pg_class c WHERE c.oid = {oid}"


def given_when_added(oid: int, column: str) -> str:
    """What ADD COLUMN gave to the rows that were there, as text; null where it is not known."""
    return (
        f"(SELECT (proctor_a.attmissingval::text::text[])[1] "
        f"FROM pg_catalog.pg_attribute AS proctor_a "
        f"WHERE proctor_a.attrelid = {oid} AND proctor_a.attname = {column} "
        f"AND proctor_a.atthasmissing)"
    )


def references(oid: int) -> str:
    """The foreign keys of other tables onto one table, as they are now."""
    return f"SELECT ({_REFERENCES}) FROM pg_catalog.pg_class c WHERE c.oid = {oid}"
