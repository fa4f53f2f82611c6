"""OpenAI's SDK, Chat Completions, against every provider protocol."""

import asyncio
import json

import openai
import faults
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from common import BLUE, CELLS, GATEWAY, KEY, PICTURE_URL, RED, TIME, WEATHER, Person, check, once, raises, run, strict

client = openai.OpenAI(base_url=f"{GATEWAY}/v1", api_key=KEY, max_retries=0, timeout=30)
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": tool["name"],
            "description": tool["description"],
            "parameters": tool["schema"],
            "strict": True,
        },
    }
    for tool in (WEATHER, TIME)
]


def user(text):
    return [{"role": "user", "content": text}]


def ask(cell, messages, **more):
    messages = user(messages) if isinstance(messages, str) else messages
    return strict(client.chat.completions.create(model=cell.alias, messages=messages, **more), ChatCompletion)


def chunks(cell, messages, **more):
    messages = user(messages) if isinstance(messages, str) else messages
    stream = client.chat.completions.create(model=cell.alias, messages=messages, stream=True, **more)
    return [strict(chunk, ChatCompletionChunk) for chunk in stream]


def said(answer):
    return answer.choices[0].message.content


def joined(pieces):
    return "".join(choice.delta.content or "" for chunk in pieces for choice in chunk.choices)


def finishes(pieces):
    return [choice.finish_reason for chunk in pieces for choice in chunk.choices if choice.finish_reason]


@check()
def plain(cell):
    answer = ask(cell, "Good morning, and how are you today?")
    assert said(answer).startswith(cell.opening), said(answer)
    assert (answer.model, answer.object, len(answer.choices)) == ("m", "chat.completion", 1), answer
    assert answer.choices[0].finish_reason == "stop" and answer.choices[0].message.role == "assistant"
    assert answer.id.startswith("chatcmpl-") and answer.created > 1_600_000_000, answer


@check()
def usage(cell):
    spent = ask(cell, "Good morning, and how are you today?").usage
    assert spent.prompt_tokens > 4 and spent.completion_tokens > 4, spent
    assert spent.total_tokens == spent.prompt_tokens + spent.completion_tokens, spent
    assert 0 < spent.prompt_tokens_details.cached_tokens < spent.prompt_tokens, spent


@check()
def system_prompt(cell):
    for role in ("system", "developer"):
        answer = ask(cell, [{"role": role, "content": "You guard the points."}, *user("system?")])
        assert "system: You guard the points." in said(answer), said(answer)


@check()
def several_turns(cell):
    turns = [*user("first"), {"role": "assistant", "content": "second"}, *user("echo: third")]
    answer = ask(cell, turns)
    assert said(answer) == "third", answer
    assert answer.usage.prompt_tokens > ask(cell, "echo: third").usage.prompt_tokens


@check()
def text_parts(cell):
    parts = [{"type": "text", "text": "echo: one"}, {"type": "text", "text": "two"}]
    assert said(ask(cell, [{"role": "user", "content": parts}])).split() == ["one", "two"]


@check()
def unicode_survives(cell):
    text = 'naïve “quotes” \\ \n\t 日本語 👩‍🚒 \u2028 "json": {}'
    assert said(ask(cell, f"echo: {text}")) == text
    assert joined(chunks(cell, f"echo: {text}")) == text


@check()
def stream(cell):
    pieces = chunks(cell, "Tell me about trains.")
    assert joined(pieces) == said(ask(cell, "Tell me about trains.")), pieces
    assert len(pieces) > 5 and pieces[0].choices[0].delta.role == "assistant", pieces[0]
    assert {chunk.id for chunk in pieces} == {pieces[0].id} and pieces[0].id.startswith("chatcmpl-")
    assert {chunk.model for chunk in pieces} == {"m"}, {chunk.model for chunk in pieces}
    assert finishes(pieces) == ["stop"], finishes(pieces)
    assert all(chunk.usage is None for chunk in pieces), "nobody asked for usage"
    assert all(chunk.choices for chunk in pieces)


@check()
def stream_with_usage(cell):
    pieces = chunks(cell, "Tell me about trains.", stream_options={"include_usage": True})
    last = pieces[-1]
    assert last.choices == [] and [chunk for chunk in pieces if chunk.usage] == [last], pieces
    whole = ask(cell, "Tell me about trains.").usage
    assert last.usage.to_dict() == whole.to_dict(), (last.usage, whole)


@check()
def stream_helper(cell):
    with client.chat.completions.stream(model=cell.alias, messages=user("Tell me about trains.")) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert kinds[0] == "chunk" and "content.delta" in kinds and "content.done" in kinds, kinds
    assert said(final) == said(ask(cell, "Tell me about trains.")) and final.choices[0].finish_reason == "stop"


@check()
def async_stream(cell):
    async def go():
        async with openai.AsyncOpenAI(base_url=f"{GATEWAY}/v1", api_key=KEY, max_retries=0) as client:
            stream = await client.chat.completions.create(
                model=cell.alias, messages=user("echo: one two three"), stream=True
            )
            return [chunk async for chunk in stream]

    assert joined(asyncio.run(go())) == "one two three"


def loop(cell, prompt, turn):
    """The whole loop: the model calls, the results go back, the model answers."""
    messages = user(prompt)
    message = turn(cell, messages)
    calls = message.tool_calls
    assert len({call.id for call in calls}) == len(calls) and all(call.id for call in calls), calls
    messages.append(as_history(message))
    for call in calls:
        arguments = json.loads(call.function.arguments)
        assert arguments and call.type == "function", call
        messages.append({"role": "tool", "tool_call_id": call.id, "content": f"{call.function.name} is fine"})
    answer = ask(cell, messages, tools=TOOLS)
    assert answer.choices[0].finish_reason == "stop" and not answer.choices[0].message.tool_calls, answer
    return [call.function.name for call in calls], said(answer)


def whole_turn(cell, messages):
    answer = ask(cell, messages, tools=TOOLS)
    assert answer.choices[0].finish_reason == "tool_calls", answer
    return answer.choices[0].message


def streamed_turn(cell, messages):
    with client.chat.completions.stream(model=cell.alias, messages=messages, tools=TOOLS) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
        final = stream.get_final_completion()
    assert final.choices[0].finish_reason == "tool_calls", final
    calls = final.choices[0].message.tool_calls
    assert [event.name for event in done] == [call.function.name for call in calls], done
    return final.choices[0].message


def as_history(message):
    """The model's turn as the next request says it, without what the SDK's helpers have added."""
    turn = message.to_dict()
    turn.pop("parsed", None)
    for call in turn.get("tool_calls") or []:
        call["function"].pop("parsed_arguments", None)
    return turn


@check()
def tools(cell):
    names, text = loop(cell, "How is the weather?", whole_turn)
    assert names == ["get_weather"] and "get_weather is fine" in text, (names, text)


@check()
def parallel_tools(cell):
    names, text = loop(cell, "Weather and time in parallel, please.", whole_turn)
    assert names == ["get_weather", "get_time"], names
    assert "get_weather is fine" in text and "get_time is fine" in text, text


@check()
def tools_streamed(cell):
    names, text = loop(cell, "How is the weather?", streamed_turn)
    assert names == ["get_weather"] and "get_weather is fine" in text, (names, text)


@check()
def parallel_tools_streamed(cell):
    names, text = loop(cell, "Weather and time in parallel, please.", streamed_turn)
    assert names == ["get_weather", "get_time"] and "get_time is fine" in text, (names, text)


@check()
def no_parallel_tools(cell):
    answer = ask(cell, "Weather and time in parallel.", tools=TOOLS, parallel_tool_calls=False)
    # Gemini's API has no such switch.
    expected = 2 if cell.protocol == "gemini" else 1
    assert len(answer.choices[0].message.tool_calls) == expected, answer


@check()
def tool_choice(cell):
    def called(choice):
        calls = ask(cell, "echo: hello", tools=TOOLS, tool_choice=choice).choices[0].message.tool_calls or []
        return [call.function.name for call in calls]

    assert called("auto") == []
    assert called("none") == []
    assert called("required") == ["get_weather"]
    assert called({"type": "function", "function": {"name": "get_time"}}) == ["get_time"]


def picture(url):
    return {"type": "image_url", "image_url": {"url": url}}


@check()
def image_inline(cell):
    parts = [{"type": "text", "text": "What is it?"}, *(picture(f"data:image/png;base64,{p}") for p in (RED, BLUE))]
    assert "saw 2 image(s): image/png, image/png" in said(ask(cell, [{"role": "user", "content": parts}]))


@check()
def image_by_url(cell):
    parts = [{"type": "text", "text": "What is it?"}, picture(PICTURE_URL)]
    assert "saw 1 image(s)" in said(ask(cell, [{"role": "user", "content": parts}]))


@check()
def json_schema(cell):
    answer = client.chat.completions.parse(model=cell.alias, messages=user("Who?"), response_format=Person)
    assert isinstance(answer.choices[0].message.parsed, Person), answer
    with client.chat.completions.stream(model=cell.alias, messages=user("Who?"), response_format=Person) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.parsed == answer.choices[0].message.parsed, final


@check()
def json_object(cell):
    def call():
        return ask(cell, "Reply in JSON.", response_format={"type": "json_object"})

    if cell.protocol == "anthropic":
        error = raises(openai.BadRequestError, call)
        assert "json_object" in error.message and error.code == "no_target_fits", error
    else:
        assert said(call())


@check()
def stop_sequences(cell):
    answer = ask(cell, "count to 20", stop="7")
    assert said(answer) == "1 2 3 4 5 6 " and answer.choices[0].finish_reason == "stop", answer
    assert joined(chunks(cell, "count to 20", stop=["13", "9"])) == "1 2 3 4 5 6 7 8 "


@check()
def token_limit(cell):
    for limit in ({"max_tokens": 5}, {"max_completion_tokens": 5}):
        answer = ask(cell, "count to 20", **limit)
        assert said(answer) == "1 2 3 4 5 " and answer.choices[0].finish_reason == "length", answer
        assert answer.usage.completion_tokens == 5, answer.usage
    pieces = chunks(cell, "count to 20", max_tokens=5)
    assert joined(pieces) == "1 2 3 4 5 " and finishes(pieces) == ["length"], pieces


@check()
def sampling(cell):
    hints = {"temperature": 0.5, "top_p": 0.9, "seed": 7, "frequency_penalty": 0.1, "presence_penalty": 0.1}
    assert said(ask(cell, "echo: hints", user="someone", metadata={"a": "b"}, **hints)) == "hints"


@check()
def reasoning(cell):
    answer = ask(cell, "echo: thought", reasoning_effort="high")
    assert said(answer) == "thought", answer
    assert answer.usage.completion_tokens_details.reasoning_tokens > 0, answer.usage
    # OpenAI's own chat API never shows what the model thinks.
    if cell.protocol != "openai":
        thought = answer.choices[0].message.to_dict()["reasoning_content"]
        pieces = chunks(cell, "echo: thought", reasoning_effort="high")
        deltas = [choice.delta.to_dict() for chunk in pieces for choice in chunk.choices]
        assert len(thought) > 10 and "".join(delta.get("reasoning_content") or "" for delta in deltas) == thought
        assert joined(pieces) == "thought", pieces


@once
def a_conversation_moves_between_providers():
    messages = user("How is the weather?")
    for cell in [*reversed(CELLS), *CELLS]:
        answer = ask(cell, messages, tools=TOOLS, reasoning_effort="high")
        message = answer.choices[0].message
        messages.append(as_history(message))
        for call in message.tool_calls or []:
            messages.append({"role": "tool", "tool_call_id": call.id, "content": "sunny"})
        messages += user("And now?")
    assert [message["role"] for message in messages].count("assistant") == 2 * len(CELLS), messages


@check()
def several_choices(cell):
    if cell.protocol == "openai":
        answer = ask(cell, "Hello", n=2)
        assert [choice.index for choice in answer.choices] == [0, 1], answer
    else:
        error = raises(openai.BadRequestError, lambda: ask(cell, "Hello", n=2))
        assert "multiple_choices" in error.message and cell.provider in error.message, error


@check(gateway=True)
def headers(cell):
    raw = client.chat.completions.with_raw_response.create(model=cell.alias, messages=user("Hello"))
    got = raw.headers
    assert got["x-pointsman-alias"] == cell.alias and got["x-pointsman-strategy"] == "priority", got
    assert got["x-pointsman-target"] == f"{cell.provider}/m@{cell.provider}", got
    assert got["x-pointsman-attempts"].startswith(f"{cell.provider}/m@{cell.provider} ok "), got
    assert int(got["x-pointsman-revision"]) >= 0 and raw.request_id == got["x-pointsman-request-id"], got


def with_key(key):
    return openai.OpenAI(base_url=f"{GATEWAY}/v1", api_key=key, max_retries=0, timeout=30)


def first_words(alias, client=client):
    return client.chat.completions.with_raw_response.create(model=alias, messages=user("Tell me about trains."))


def whole_stream(alias):
    stream = client.chat.completions.create(model=alias, messages=user("Tell me about trains."), stream=True)
    return "".join(choice.delta.content or "" for chunk in stream for choice in chunk.choices)


@check()
def bad_request(cell):
    error = raises(openai.BadRequestError, lambda: ask(cell, [{"role": "nobody", "content": "Hello"}]))
    assert error.type == "invalid_request_error" and "messages[0].role" in f"{error.param} {error.message}", error
    error = raises(openai.BadRequestError, lambda: ask(cell, "Hello", max_tokens="many"))
    assert "max_tokens" in error.message, error


faults.register(openai, with_key, first_words, whole_stream)

if __name__ == "__main__":
    run()
