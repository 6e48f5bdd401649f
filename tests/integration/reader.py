"""An application with a feature flag: answers on stdout what each reader that it is told sees."""

import json
import os
import sys
import tempfile

from UnleashClient import UnleashClient

with tempfile.TemporaryDirectory() as cache:
    client = UnleashClient(
        url=f"{sys.argv[1]}/api",
        app_name="reader",
        environment="development",
        custom_headers={"Authorization": os.environ["CLIENT_TOKEN"]},
        refresh_interval=1,
        disable_metrics=True,
        disable_registration=True,
        cache_directory=cache,
    )
    client.initialize_client()
    for line in sys.stdin:
        asked = json.loads(line)
        seen = [
            client.is_enabled(asked["flag"], {"userId": reader, "properties": asked["properties"]})
            for reader in asked["readers"]
        ]
        sys.stdout.write(json.dumps(seen) + "\n")
        sys.stdout.flush()
    client.destroy()
