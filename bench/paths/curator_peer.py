"""The peer: bespokelabs-curator's own example of structured output, told our limits."""

import importlib.util
import json
import os
import resource
import sys
import tempfile
import time

from pathlib import Path

words = json.loads(sys.argv[1])
CACHE = tempfile.TemporaryDirectory()
# It counts tokens by a file that it loads from the network; a library that it needs has it too.
LITELLM = Path(importlib.util.find_spec("litellm").origin).parent
TOKENIZERS = str(LITELLM / "litellm_core_utils" / "tokenizers")
os.environ |= {
    "CURATOR_CACHE_DIR": CACHE.name,
    "CURATOR_DISABLE_CACHE": "true",
    "TELEMETRY_ENABLED": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "HF_HUB_OFFLINE": "1",
    "TIKTOKEN_CACHE_DIR": TOKENIZERS,
    "OPENAI_API_KEY": words["key"],
}

import songs

from bespokelabs import curator


class Songs(curator.LLM):
    """As its README shows."""

    response_format = songs.Song

    def prompt(self, row):
        """One row's question."""
        return songs.question(row["lyrics"])

    def parse(self, row, said):
        """One row's answer."""
        return {"id": row["id"], "mood": said.mood, "about": said.about, "sure": said.sure}


def main():
    """All rows, and the answers into the table at the end."""
    rows = [{"id": id_, "lyrics": lyrics} for id_, lyrics in songs.read(words["db"])]
    limits = words["limits"]
    model = Songs(
        model_name=words["model"],
        backend="openai",
        generation_params={"max_completion_tokens": songs.MOST_OUTPUT},
        backend_params={
            "base_url": words["url"],
            "max_requests_per_minute": limits["rpm"] or 10_000_000,
            "max_tokens_per_minute": limits["tpm"] or 10_000_000_000,
            "max_concurrent_requests": words["concurrency"],
            "max_retries": 100,
            "require_all_responses": False,
        },
    )
    warm = words["warm"]
    if warm:
        model(rows[:warm])
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    found = model(rows[warm:])
    found = [dict(row) for row in getattr(found, "dataset", found)]
    songs.write(words["db"], [(a["id"], a["mood"], a["about"], a["sure"]) for a in found])
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"rows": len(found), "seconds": seconds, "cpu": cpu}))


if __name__ == "__main__":
    if words.get("core") is not None:
        os.sched_setaffinity(0, {words["core"]})
    main()
