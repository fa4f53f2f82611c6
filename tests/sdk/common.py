"""What the rows of the matrix share: cells, checks, and how they are run."""

import base64
import os
import struct
import sys
import traceback
import zlib
from dataclasses import dataclass

import pydantic

GATEWAY = os.environ["GATEWAY"]
KEY = os.environ["GATEWAY_KEY"]
LIMITED_KEY = os.environ.get("GATEWAY_LIMITED_KEY", "")
"""May use `via-openai` only."""
DIRECT = os.environ.get("DIRECT")
"""The simulator that is asked in the gateway's place, to see whether it is true to the SDK."""
PROTOCOLS = ["openai", "anthropic", "gemini"]


@dataclass(frozen=True)
class Cell:
    """One provider behind the gateway, reached through an alias of its own."""

    alias: str
    """What goes into `model`."""
    provider: str
    """The simulator's name, which its answers begin with."""
    protocol: str
    """What it speaks."""

    @property
    def opening(self):
        return f"[{self.provider}/m] "


CELLS = [
    Cell("via-openai", "openai", "openai"),
    Cell("via-openai-responses", "openai-responses", "openai"),
    Cell("via-anthropic", "anthropic", "anthropic"),
    Cell("via-gemini", "gemini", "gemini"),
]
if DIRECT:
    CELLS = [Cell("m", DIRECT, DIRECT)]

CHECKS = []


def check(only=None, gateway=False):
    """Registers a check that runs once for each cell.

    `only` picks cells by their simulator; `gateway` is for what a provider alone does not do.
    """
    cells = [cell for cell in CELLS if only is None or cell.provider in only]
    return check_with(cells, lambda cell: cell.alias, gateway)


def check_with(values, name=str, gateway=True):
    """Registers a check that runs once for each value."""

    def register(function):
        for value in [] if gateway and DIRECT else values:
            CHECKS.append((f"{name(value)} {function.__name__}", function, (value,)))
        return function

    return register


def once(function):
    """Registers a check of the gateway that is about no single cell."""
    if not DIRECT:
        CHECKS.append((f"- {function.__name__}", function, ()))
    return function


def run():
    """Runs everything; one line `ok <cell> <check>` each. Ends with 1 if anything failed.

    `ONLY` in the environment picks the checks whose line contains it.
    """
    failed = []
    for name, function, arguments in CHECKS:
        if os.environ.get("ONLY", "") not in name:
            continue
        try:
            function(*arguments)
            print("ok", name, flush=True)
        except Exception:
            failed.append(name)
            print("FAILED", name, traceback.format_exc(), sep="\n", flush=True)
    if failed:
        sys.exit("failed: " + ", ".join(failed))


def strict(value, kind=None):
    """Holds a value to its type. The SDKs themselves take anything that comes."""
    kind = kind or type(value)
    data = value.to_dict() if hasattr(value, "to_dict") else value
    with_no_lies = pydantic.TypeAdapter(kind)
    with_no_lies.validate_python(data)
    return value


def raises(kind, call):
    """The error that the call ends in."""
    try:
        answer = call()
    except kind as error:
        return error
    raise AssertionError(f"expected {kind.__name__}, got {answer!r}")


def png(red, green, blue):
    """A picture of one pixel, as base64."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixel = zlib.compress(bytes([0, red, green, blue]))
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")
    return base64.b64encode(data).decode()


RED, BLUE = png(255, 0, 0), png(0, 0, 255)
PICTURE_URL = "https://example.com/picture.png"

WEATHER = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
TIME = {
    "name": "get_time",
    "description": "The time in a zone.",
    "schema": {
        "type": "object",
        "properties": {"zone": {"type": "string", "enum": ["UTC", "CET"]}},
        "required": ["zone"],
        "additionalProperties": False,
    },
}


class Person(pydantic.BaseModel):
    """What structured answers are parsed into."""

    name: str
    age: int
    tags: list[str]
