"""Does every dashboard fit what Grafana publishes of its dashboards?

Each is read into the classes that Grafana generates from its schema and written again. What the schema does not know
is lost on the way, or comes back otherwise; either is told.
"""

import json
import sys

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard


def lost(ours, theirs, path=""):
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name, value in ours.items():
            if name in theirs:
                yield from lost(value, theirs[name], f"{path}.{name}")
            elif value is not None:
                yield f"{path}.{name}"
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for at, pair in enumerate(zip(ours, theirs)):
            yield from lost(*pair, f"{path}[{at}]")
    elif ours != theirs:
        yield f"{path}: {ours!r} becomes {theirs!r}"


register_default_plugins()
for file in sys.argv[1:]:
    with open(file, encoding="utf-8") as opened:
        ours = json.load(opened)
    theirs = json.loads(JSONEncoder().encode(Dashboard.from_json(ours)))
    wrong = list(lost(ours, theirs))
    assert not wrong, f"{file}: {wrong}"
    print("ok", file)
