"""Are the golden files what the SDKs' own request types allow? Usage: golden.py FOLDER"""

import collections.abc
import json
import pathlib
import sys
import types
import typing

import pydantic
import typing_extensions
from anthropic.types import message_create_params as messages
from google.genai import types as genai
from openai.types.chat import completion_create_params as chat
from anthropic.types import Message
from openai.types.chat import ChatCompletion
from openai.types.responses import Response
from openai.types.responses import response_create_params as responses


# The API still takes them for the models that do; the SDK has stopped to offer them.
OF_OLDER_SDKS = {"temperature", "top_p", "top_k"}


class GeminiBody(pydantic.BaseModel):
    """The body of `generateContent`. The SDK has types for its parts only."""

    model_config = pydantic.ConfigDict(extra="forbid")
    contents: list[genai.Content]
    systemInstruction: genai.Content | None = None
    tools: list[genai.Tool] | None = None
    toolConfig: genai.ToolConfig | None = None
    generationConfig: genai.GenerationConfig | None = None


def problems(value, kind, path=""):
    """What of a value its type does not allow; nothing if it is all right.

    The SDKs say what a request is with `TypedDict`s, and check nothing themselves.
    """
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if kind is typing.Any or kind is object:
        return []
    if origin in (typing.Annotated, typing_extensions.Required, typing_extensions.NotRequired):
        return problems(value, parts[0], path)
    if origin in (typing.Union, types.UnionType):
        tried = [problems(value, part, path) for part in parts]
        return min(tried, key=depth)
    if origin is typing.Literal:
        return [] if value in parts else [f"{path}: {value!r} is none of {parts}"]
    if typing_extensions.is_typeddict(kind):
        return object_problems(value, kind, path)
    if origin in (dict, collections.abc.Mapping):
        if not isinstance(value, dict):
            return [f"{path}: {value!r} is no object"]
        return [found for key, item in value.items() for found in problems(item, parts[1], f"{path}.{key}")]
    if parts:
        # A list of some kind; the SDKs have several names for it.
        if not isinstance(value, list):
            return [f"{path}: {value!r} is no list"]
        return [found for i, item in enumerate(value) for found in problems(item, parts[0], f"{path}[{i}]")]
    if kind is float:
        kind = (int, float)
    fits = isinstance(value, kind or type(None)) and not (isinstance(value, bool) and kind is not bool)
    return [] if fits else [f"{path}: {value!r} is no {kind}"]


def depth(found):
    """Of several alternatives the one that fits deepest is the one that was meant."""
    return (len(found), -max((len(problem.split(":")[0]) for problem in found), default=0))


def object_problems(value, kind, path):
    if not isinstance(value, dict):
        return [f"{path}: {value!r} is no object"]
    fields = typing_extensions.get_type_hints(kind, include_extras=False)
    found = [f"{path}: {name} is missing" for name in kind.__required_keys__ if name not in value]
    for name, item in value.items():
        if name in fields:
            found += problems(item, fields[name], f"{path}.{name}")
        else:
            found.append(f"{path}.{name}: there is no such field")
    return found


REQUESTS = {
    "chat": (chat.CompletionCreateParamsNonStreaming, chat.CompletionCreateParamsStreaming),
    "openai": (chat.CompletionCreateParamsNonStreaming, chat.CompletionCreateParamsStreaming),
    "messages": (messages.MessageCreateParamsNonStreaming, messages.MessageCreateParamsStreaming),
    "anthropic": (messages.MessageCreateParamsNonStreaming, messages.MessageCreateParamsStreaming),
    "responses": (responses.ResponseCreateParamsNonStreaming, responses.ResponseCreateParamsStreaming),
}


REPLIES = {
    "chat": ChatCompletion,
    "openai": ChatCompletion,
    "messages": Message,
    "anthropic": Message,
    "responses": Response,
    "gemini": genai.GenerateContentResponse,
}


def invalid(value, model):
    """What pydantic finds wrong."""
    try:
        model.model_validate(value)
        return []
    except pydantic.ValidationError as error:
        return [str(error)]


def wrong_with(body, kind, is_answer):
    if is_answer:
        return invalid(body, REPLIES[kind])
    if kind == "gemini":
        return invalid(body, GeminiBody)
    if kind in ("messages", "anthropic"):
        body = {field: value for field, value in body.items() if field not in OF_OLDER_SDKS}
    return problems(body, REQUESTS[kind][bool(body.get("stream"))])


def main(folder):
    failed = False
    for file in sorted(pathlib.Path(folder).glob("*/**/*.json")):
        body, name = json.loads(file.read_text()), file.relative_to(folder)
        if "unsupported" in body:
            continue
        found = wrong_with(body, file.name.split(".")[0], "answer" in name.parts)
        failed |= bool(found)
        print("FAILED" if found else "ok", name, *found, flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main(sys.argv[1])
