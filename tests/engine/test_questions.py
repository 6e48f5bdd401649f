"""What is sent of a question."""

import json

from pydantic import BaseModel

from proctor.engine.desk import Desk
from proctor.engine.questions import chat_ask

DESK = Desk(name="writer", provider=None, model="openai:gpt-5-mini", most_output=100)


class Verdict(BaseModel):
    why: str
    confidence: float
    good: bool


class Same(BaseModel):
    good: bool
    confidence: float
    why: str


def asked(contract):
    body = {"messages": [{"role": "user", "content": "Is it?"}], "max_tokens": None}
    return chat_ask(DESK, {**body, "schema": contract.model_json_schema()})


def test_a_contract_keeps_the_order_of_its_fields():
    """A model gives its reasons before its verdict, where the author wrote them so."""
    schema = json.loads(asked(Verdict).sent)["schema"]
    assert list(schema["properties"]) == ["why", "confidence", "good"]


def test_another_order_of_fields_is_another_question():
    """P5: and the same order is the same one, whenever it is asked."""
    assert asked(Verdict).key == asked(Verdict).key
    assert asked(Verdict).key != asked(Same).key
