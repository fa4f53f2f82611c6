"""Does every object of the Prometheus operator fit the schema that the operator publishes?

Each is read into the classes that are generated from that schema and written again. A value that does not fit is
refused; a field that the schema does not know is lost on the way.
"""

import sys

import yaml
from cloudcoil.models.prometheus_operator import v1

for file in sys.argv[1:]:
    with open(file, encoding="utf-8") as opened:
        ours = yaml.safe_load(opened)
    theirs = getattr(v1, ours["kind"]).model_validate(ours)
    assert theirs.model_dump(mode="json", by_alias=True, exclude_unset=True) == ours, f"{file} has unknown fields"
    print("ok", file)
