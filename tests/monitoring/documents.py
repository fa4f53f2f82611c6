"""Prints the documents of YAML files as one JSON array."""

import json
import sys

import yaml

documents = []
for file in sys.argv[1:]:
    with open(file, encoding="utf-8") as opened:
        documents += list(yaml.safe_load_all(opened))
print(json.dumps(documents))
