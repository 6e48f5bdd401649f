"""One flag in each kind of tool, at 0, seen by adapters and by somebody else."""

import contextlib
import json
import sys
import textwrap
import threading

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import sqlalchemy as sa

from proctor.adapters.flags import open_flag
from proctor.model import (
    EnvFileFlag,
    FlagdFlag,
    FlagRequest,
    HttpFlag,
    ShellFlag,
    SqlFlag,
)

KEY = "ABOUTNESS_V2"
TABLE = """CREATE TABLE flags ("key" TEXT PRIMARY KEY, percent INTEGER NOT NULL,
 version INTEGER NOT NULL)"""
AUDIT = """CREATE TABLE flag_audit (flag TEXT, percent_before INTEGER, percent_after INTEGER,
 reason TEXT, once TEXT, "at" TEXT)"""
COHORT = "CREATE TABLE cohort (flag TEXT, subject TEXT, PRIMARY KEY (flag, subject))"


class World:
    """Opens flags and closes them."""

    settings = None

    def __init__(self):
        self.stack = contextlib.AsyncExitStack()

    async def flag(self, **how):
        flag = open_flag(self.settings, **how)
        self.stack.push_async_callback(flag.aclose)
        return flag

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        await self.stack.aclose()


class SqlWorld(World):
    def __init__(self, at, **more):
        super().__init__()
        driver = at.replace("postgresql:", "postgresql+psycopg:")
        self.engine = sa.create_engine(driver, poolclass=sa.NullPool)
        self.sql(TABLE, AUDIT, COHORT, f"INSERT INTO flags VALUES ('{KEY}', 0, 1)")
        self.sql("INSERT INTO flags VALUES ('OTHER', 7, 3)")
        self.settings = SqlFlag(
            **{"name": "aboutness", "flag": KEY, "verify_s": 0.0, "url": at, **more}
        )

    def sql(self, *statements):
        with self.engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def fetch(self, query):
        with self.engine.begin() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(query)]

    async def meddle(self, percent):
        self.sql(f"UPDATE flags SET percent = {percent}, version = version + 1 WHERE key = '{KEY}'")

    async def lie(self):
        if self.engine.dialect.name == "sqlite":
            self.sql(
                "CREATE TRIGGER lie AFTER UPDATE ON flags WHEN NEW.percent <> OLD.percent BEGIN"
                " UPDATE flags SET percent = OLD.percent WHERE key = OLD.key; END"
            )
            return
        self.sql(
            "CREATE FUNCTION lie() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN NEW.percent := OLD.percent; RETURN NEW; END $$",
            "CREATE TRIGGER lie BEFORE UPDATE ON flags FOR EACH ROW EXECUTE FUNCTION lie()",
        )


class EnvFileWorld(World):
    def __init__(self, folder, text=f"# ours\nPORT=80\n{KEY}=false\nLAST='x'\n", **more):
        super().__init__()
        self.path = folder / "app.env"
        self.path.write_text(text)
        self.settings = EnvFileFlag(
            **{"name": "aboutness", "flag": KEY, "verify_s": 0.0, "path": self.path, **more}
        )

    async def meddle(self, percent):
        was, now = ("false", "true") if percent else ("true", "false")
        self.path.write_text(self.path.read_text().replace(f"{KEY}={was}", f"{KEY}={now}"))


class FlagdWorld(World):
    def __init__(self, folder, entry=None, **more):
        super().__init__()
        self.path = folder / "flags.json"
        entry = entry or {
            "state": "ENABLED",
            "variants": {"off": False, "on": True},
            "defaultVariant": "off",
            "metadata": {"owner": "search"},
        }
        self.other = {"state": "ENABLED", "variants": {"a": "é", "b": "2"}, "defaultVariant": "a"}
        self.write({KEY: entry, "other": self.other})
        self.settings = FlagdFlag(
            **{"name": "aboutness", "flag": KEY, "verify_s": 0.0, "path": self.path, **more}
        )

    def write(self, flags):
        document = {"$schema": "https://flagd.dev/schema/v0/flags.json", "flags": flags}
        self.path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")

    def flags(self):
        return json.loads(self.path.read_text())["flags"]

    async def meddle(self, percent):
        flags = self.flags()
        flags[KEY]["targeting"] = {"fractional": [["on", percent], ["off", 100 - percent]]}
        self.write(flags)


TOOL = """
import hashlib, json, os, pathlib, sys
kept = pathlib.Path(sys.argv[2])
state = json.loads(kept.read_text())
flag = os.environ["FLAG"]
if sys.argv[1] == "write":
    state["heard"] = {k: os.environ.get(k) for k in
                      ("FLAG", "PERCENT", "REASON", "ROLLOUT_ID", "IDEMPOTENCY_KEY")}
    if not state.get("lies"):
        state["percent"] = int(os.environ["PERCENT"])
        state["version"] += 1
    kept.write_text(json.dumps(state))
elif sys.argv[1] == "read":
    print(json.dumps({"percent": state["percent"], "version": state["version"]}))
else:
    for line in sys.stdin:
        place = int(hashlib.sha256(f"{flag}/{line.strip()}".encode()).hexdigest()[:8], 16) % 100
        print("on" if place < state["percent"] else "off")
"""


class ShellWorld(World):
    def __init__(self, folder, **more):
        super().__init__()
        self.tool, self.kept = folder / "tool.py", folder / "kept.json"
        self.tool.write_text(textwrap.dedent(TOOL))
        self.kept.write_text(json.dumps({"percent": 0, "version": 1}))

        def words(verb):
            return (sys.executable, str(self.tool), verb, str(self.kept))

        told = {"write": words("write"), "read": words("read"), "observe": words("observe")}
        own = {"name": "aboutness", "flag": KEY, "verify_s": 0.0, "cwd": folder}
        self.settings = ShellFlag(**{**own, **told, **more})

    def change(self, **what):
        self.kept.write_text(json.dumps({**self.state(), **what}))

    def state(self):
        return json.loads(self.kept.read_text())

    async def meddle(self, percent):
        self.change(percent=percent, version=self.state()["version"] + 1)

    async def lie(self):
        self.change(lies=True)


class Recorder:
    """A web server of this machine: keeps what it was asked, and answers as `answer` says."""

    def __init__(self, answer):
        self.asked, self.answer = [], answer
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do(self):
                size = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(size).decode()
                headers = {name.lower(): text for name, text in self.headers.items()}
                recorder.asked.append((self.command, self.path, headers, body))
                told = recorder.answer(self.command, self.path, headers, body)
                status, reply, more = (*told, {})[:3]
                sent = (reply if isinstance(reply, str) else json.dumps(reply)).encode()
                self.send_response(status)
                for name, text in more.items():
                    self.send_header(name, text)
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            def log_message(self, *words):
                pass

        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            setattr(Handler, f"do_{method}", Handler.do)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class HttpWorld(World):
    """An application of ours with a flag behind two requests; it does a key's write once."""

    def __init__(self, **more):
        super().__init__()
        self.percent, self.lies, self.done = 0, False, {}
        self.recorder = Recorder(self.answer)
        self.stack.callback(self.recorder.close)
        at = f"{self.recorder.url}/flags/{{flag}}"
        told = {
            "write": FlagRequest(
                method="PUT",
                url=at,
                headers={"Authorization": "Bearer k3y"},
                body={"rollout": {"percent": "{percent}", "why": "{reason}: {percent} %"}},
            ),
            "read": FlagRequest(
                method="GET",
                url=at,
                headers={"Authorization": "Bearer k3y"},
                pick="$.rollout.percent",
            ),
        }
        own = {"name": "aboutness", "flag": KEY, "verify_s": 0.0}
        self.settings = HttpFlag(**{**own, **told, **more})

    def answer(self, method, path, headers, body):
        if headers.get("authorization") != "Bearer k3y":
            return 401, {"error": f"no: {headers.get('authorization')}"}
        if path != f"/flags/{KEY}":
            return 404, {"error": "nothing there"}
        key = headers.get("idempotency-key")
        if method == "PUT" and not self.lies and key not in self.done:
            self.done[key] = self.percent = json.loads(body)["rollout"]["percent"]
        return 200, {"rollout": {"percent": self.percent}}

    async def meddle(self, percent):
        self.percent = percent

    async def lie(self):
        self.lies = True
