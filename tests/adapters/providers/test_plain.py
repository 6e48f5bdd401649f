"""The shortened way of a chat through OpenAI's SDK sends what the SDK itself would send."""

import json

import httpx2
import openai
import pytest

from pydantic import BaseModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from proctor.adapters.providers import asking
from proctor.adapters.providers.plain import PlainOpenAI

REPLY = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_700_000_000,
    "model": "gpt-5-mini",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": '{"mood": "calm", "parts": []}'},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12},
}


class Part(BaseModel):
    """Something nested, so that the schema has references."""

    name: str


class Song(BaseModel):
    """What is asked for."""

    mood: str
    parts: list[Part]


QUESTIONS = {
    "with everything": {
        "system": "Be brief.",
        "messages": [
            {"role": "user", "content": "What?"},
            {"role": "assistant", "content": "That."},
            {"role": "user", "content": 'Why — "so"?'},
        ],
        "schema": Song.model_json_schema(),
        "schema_name": "Song",
        "max_tokens": 50,
        "temperature": 0.25,
    },
    "with nothing": {"messages": [{"role": "user", "content": "What?"}], "max_tokens": 5},
}


async def sent_by(kind, sent):
    """The request that such a client makes of a question, and what comes of the reply."""
    seen = []

    def answered(request):
        seen.append(request)
        return httpx2.Response(200, json=REPLY)

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answered)) as http:
        client = kind(
            api_key="sk-1", base_url="http://there/v1", max_retries=0, timeout=7, http_client=http
        )
        model = OpenAIChatModel("gpt-4o-mini", provider=OpenAIProvider(openai_client=client))
        response = await model.request(
            asking.messages_of(sent),
            asking.settings_of(sent, 50),
            asking.parameters_of(sent, model),
        )
    (request,) = seen
    return request, response


@pytest.mark.parametrize("question", QUESTIONS)
async def test_a_chat_goes_out_as_the_sdk_would_send_it(question):
    """Address, headers, time-out and every word of the body."""
    theirs, reply = await sent_by(openai.AsyncOpenAI, QUESTIONS[question])
    ours, same = await sent_by(PlainOpenAI, QUESTIONS[question])
    assert json.loads(ours.content) == json.loads(theirs.content)
    assert (ours.method, ours.url) == (theirs.method, theirs.url)
    assert dict(ours.headers) == dict(theirs.headers)
    assert ours.extensions["timeout"] == theirs.extensions["timeout"]
    assert same.parts[0].content == reply.parts[0].content
    assert same.usage == reply.usage


async def test_errors_are_the_sdks_own():
    """They are judged by their kinds."""

    def refused(_request):
        return httpx2.Response(429, json={"error": {"message": "slow down"}})

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(refused)) as http:
        client = PlainOpenAI(api_key="sk-1", max_retries=0, http_client=http)
        with pytest.raises(openai.RateLimitError, match="slow down"):
            await client.chat.completions.create(model="m", messages=[])
