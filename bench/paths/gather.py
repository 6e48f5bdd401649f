"""What people write first: asyncio.gather over all rows, OpenAI's own SDK and its own retries."""

import asyncio
import json
import os
import resource
import sys
import time

import openai
import openai.resources.chat
import openai.resources.embeddings
import songs

words = json.loads(sys.argv[1])
GROUP = 96


async def chat(client, seats, row):
    """One song; None where all retries were used up."""
    async with seats:
        try:
            reply = await client.chat.completions.parse(
                model=words["model"],
                messages=[{"role": "user", "content": songs.question(row[1])}],
                response_format=songs.Song,
                max_completion_tokens=songs.MOST_OUTPUT,
            )
        except openai.OpenAIError:
            return []
    said = reply.choices[0].message.parsed
    return [(row[0], said.mood, said.about, said.sure)]


async def embed(client, seats, group):
    """The vectors of some songs."""
    async with seats:
        try:
            reply = await client.embeddings.create(
                model=words["model"], input=[lyrics for _, lyrics in group]
            )
        except openai.OpenAIError:
            return []
    return [(row[0], one.embedding) for row, one in zip(group, reply.data, strict=True)]


async def all_of(client, seats, rows):
    """Every row at once, behind a semaphore; how many were answered."""
    if words["kind"] == "chat":
        found = await asyncio.gather(*(chat(client, seats, row) for row in rows))
        write = songs.write
    else:
        groups = [rows[at : at + GROUP] for at in range(0, len(rows), GROUP)]
        found = await asyncio.gather(*(embed(client, seats, group) for group in groups))
        write = songs.write_vectors
    answers = [answer for some in found for answer in some]
    write(words["db"], answers)
    return len(answers)


async def main():
    """The table, and what it took; where the processor is measured, after a few rows."""
    client = openai.AsyncOpenAI(
        base_url=words["url"], api_key=words["key"], max_retries=words["retries"]
    )
    seats = asyncio.Semaphore(words["concurrency"])
    rows = songs.read(words["db"])
    await all_of(client, seats, rows[: words["warm"]])
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    found = await all_of(client, seats, rows[words["warm"] :])
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"rows": found, "seconds": seconds, "cpu": cpu}))


if words.get("core") is not None:
    os.sched_setaffinity(0, {words["core"]})
asyncio.run(main())
