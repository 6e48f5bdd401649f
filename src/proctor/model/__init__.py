"""The nouns: frozen values that pass between rooms, and nothing that does anything."""

from proctor.model.key import ABSENT, Absent, Image, Key, Row, Scalar
from proctor.model.run import ChunkRecord, ChunkState, Health, Holder, Run, RunState, Signal, Tuning
from proctor.model.spec import Column, Guard, KeyPart, Shape, Source, Span, Spec, Survey
from proctor.model.work import (
    OUTCOME_FIELDS,
    Applied,
    Bucket,
    Chunk,
    Issue,
    Journalled,
    Lease,
    Outcome,
    Page,
    Settled,
    Undone,
)

__all__ = [
    "ABSENT",
    "OUTCOME_FIELDS",
    "Absent",
    "Applied",
    "Bucket",
    "Chunk",
    "ChunkRecord",
    "ChunkState",
    "Column",
    "Guard",
    "Health",
    "Holder",
    "Image",
    "Issue",
    "Journalled",
    "Key",
    "KeyPart",
    "Lease",
    "Outcome",
    "Page",
    "Row",
    "Run",
    "RunState",
    "Scalar",
    "Settled",
    "Shape",
    "Signal",
    "Source",
    "Span",
    "Spec",
    "Survey",
    "Tuning",
    "Undone",
]
