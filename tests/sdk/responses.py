"""OpenAI's SDK, Responses, against every provider protocol."""

import asyncio
import json

import openai
import faults
from openai.types.responses import Response, ResponseStreamEvent

from common import BLUE, CELLS, DIRECT, GATEWAY, KEY, PICTURE_URL, RED, TIME, WEATHER, Person, check, once, raises, run, strict

client = openai.OpenAI(base_url=f"{GATEWAY}/v1", api_key=KEY, max_retries=0, timeout=30)
TOOLS = [
    {
        "type": "function",
        "name": tool["name"],
        "description": tool["description"],
        "parameters": tool["schema"],
        "strict": True,
    }
    for tool in (WEATHER, TIME)
]
# Nothing is kept at the provider: what a turn was comes back with the next one.
STATELESS = {"store": False, "include": ["reasoning.encrypted_content"]}


def ask(cell, prompt, **more):
    return strict(client.responses.create(model=cell.alias, input=prompt, **{**STATELESS, **more}), Response)


def events(cell, prompt, **more):
    stream = client.responses.create(model=cell.alias, input=prompt, stream=True, **{**STATELESS, **more})
    return [strict(event, ResponseStreamEvent) for event in stream]


def calls_of(answer):
    return [item for item in answer.output if item.type == "function_call"]


def joined(stream):
    return "".join(event.delta for event in stream if event.type == "response.output_text.delta")


def user(*parts):
    return [{"role": "user", "content": list(parts)}]


@check()
def plain(cell):
    answer = ask(cell, "Good morning, and how are you today?")
    assert answer.output_text.startswith(cell.opening), answer
    assert (answer.model, answer.object, answer.status) == ("m", "response", "completed"), answer
    assert answer.id.startswith("resp_") and answer.error is None and answer.incomplete_details is None, answer
    message = answer.output[0]
    assert (message.type, message.role, message.status) == ("message", "assistant", "completed"), message


@check()
def usage(cell):
    spent = ask(cell, "Good morning, and how are you today?").usage
    assert spent.input_tokens > 4 and spent.output_tokens > 4, spent
    assert spent.total_tokens == spent.input_tokens + spent.output_tokens, spent
    assert 0 < spent.input_tokens_details.cached_tokens < spent.input_tokens, spent


@check()
def instructions(cell):
    answer = ask(cell, "system?", instructions="You guard the points.")
    assert "system: You guard the points." in answer.output_text, answer
    turns = [{"role": "developer", "content": "You guard the points."}, {"role": "user", "content": "system?"}]
    assert "system: You guard the points." in ask(cell, turns).output_text


@check()
def several_turns(cell):
    first = ask(cell, "first")
    turns = [{"role": "user", "content": "first"}, *back(first), {"role": "user", "content": "echo: third"}]
    answer = ask(cell, turns)
    assert answer.output_text == "third" and answer.usage.input_tokens > first.usage.input_tokens, answer
    easy = [{"role": "user", "content": "first"}, {"role": "assistant", "content": "second"}, turns[-1]]
    assert ask(cell, easy).output_text == "third"


@check()
def text_parts(cell):
    parts = user({"type": "input_text", "text": "echo: one"}, {"type": "input_text", "text": "two"})
    assert ask(cell, parts).output_text.split() == ["one", "two"]


@check()
def unicode_survives(cell):
    text = 'naïve “quotes” \\ \n\t 日本語 👩‍🚒 \u2028 "json": {}'
    assert ask(cell, f"echo: {text}").output_text == text
    assert joined(events(cell, f"echo: {text}")) == text


@check()
def stream(cell):
    got = events(cell, "Tell me about trains.")
    whole = ask(cell, "Tell me about trains.")
    assert joined(got) == whole.output_text
    kinds = [event.type for event in got if event.type != "response.output_text.delta"]
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ], kinds
    assert [event.sequence_number for event in got] == list(range(len(got)))
    final = got[-1].response
    assert final.output_text == whole.output_text and final.usage.to_dict() == whole.usage.to_dict(), final
    assert {event.response.id for event in got if hasattr(event, "response")} == {final.id}


@check()
def stream_helper(cell):
    with client.responses.stream(model=cell.alias, input="Tell me about trains.") as stream:
        deltas = [event.snapshot for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert deltas[-1] == final.output_text == ask(cell, "Tell me about trains.").output_text
    assert final.status == "completed" and final.usage.output_tokens > 0, final


@check()
def async_stream(cell):
    async def go():
        async with openai.AsyncOpenAI(base_url=f"{GATEWAY}/v1", api_key=KEY, max_retries=0) as client:
            async with client.responses.stream(model=cell.alias, input="echo: one two three") as stream:
                return (await stream.get_final_response()).output_text

    assert asyncio.run(go()) == "one two three"


def back(answer):
    """The model's turn as the next request says it, without what the SDK's helpers have added."""
    turn = [item.to_dict() for item in answer.output]
    for item in turn:
        item.pop("parsed_arguments", None)
        for part in item.get("content") or []:
            part.pop("parsed", None)
    return turn


def loop(cell, prompt, turn, **more):
    """The whole loop: the model calls, the results go back, the model answers."""
    turns = [{"role": "user", "content": prompt}]
    answer = turn(cell, turns, **more)
    calls = calls_of(answer)
    assert calls and answer.status == "completed" and len({call.call_id for call in calls}) == len(calls), answer
    turns += back(answer)
    for call in calls:
        assert json.loads(call.arguments) and call.id and call.status == "completed", call
        turns.append({"type": "function_call_output", "call_id": call.call_id, "output": f"{call.name} is fine"})
    final = ask(cell, turns, tools=TOOLS, **more)
    assert final.status == "completed" and not calls_of(final), final
    return [call.name for call in calls], final.output_text


def whole_turn(cell, turns, **more):
    return ask(cell, turns, tools=TOOLS, **more)


def streamed_turn(cell, turns, **more):
    with client.responses.stream(model=cell.alias, input=turns, tools=TOOLS, **{**STATELESS, **more}) as stream:
        got = list(stream)
        final = stream.get_final_response()
    deltas, done = {}, {}
    for event in got:
        if event.type == "response.function_call_arguments.delta":
            deltas[event.item_id] = deltas.get(event.item_id, "") + event.delta
        elif event.type == "response.function_call_arguments.done":
            done[event.item_id] = event.arguments
    assert deltas == done == {call.id: call.arguments for call in calls_of(final)}, (deltas, done)
    return final


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
    assert len(calls_of(answer)) == (2 if cell.protocol == "gemini" else 1), answer
    assert answer.parallel_tool_calls is False, answer


@check()
def tool_choice(cell):
    def called(choice):
        return [call.name for call in calls_of(ask(cell, "echo: hello", tools=TOOLS, tool_choice=choice))]

    assert called("auto") == []
    assert called("none") == []
    assert called("required") == ["get_weather"]
    assert called({"type": "function", "name": "get_time"}) == ["get_time"]


def picture(url):
    return {"type": "input_image", "detail": "auto", "image_url": url}


@check()
def image_inline(cell):
    pictures = (picture(f"data:image/png;base64,{data}") for data in (RED, BLUE))
    answer = ask(cell, user({"type": "input_text", "text": "What is it?"}, *pictures))
    assert "saw 2 image(s): image/png, image/png" in answer.output_text, answer


@check()
def image_by_url(cell):
    answer = ask(cell, user({"type": "input_text", "text": "What is it?"}, picture(PICTURE_URL)))
    assert "saw 1 image(s)" in answer.output_text, answer


@check()
def json_schema(cell):
    answer = client.responses.parse(model=cell.alias, input="Who?", text_format=Person)
    assert isinstance(answer.output_parsed, Person), answer
    with client.responses.stream(model=cell.alias, input="Who?", text_format=Person) as stream:
        assert stream.get_final_response().output_parsed == answer.output_parsed


@check()
def json_object(cell):
    def call():
        return ask(cell, "Reply in JSON.", text={"format": {"type": "json_object"}})

    if cell.protocol == "anthropic":
        error = raises(openai.BadRequestError, call)
        assert "json_object" in error.message, error
    else:
        assert call().output_text


@check()
def token_limit(cell):
    answer = ask(cell, "count to 40", max_output_tokens=16)
    assert answer.output_text == "".join(f"{n} " for n in range(1, 17)), answer
    assert answer.status == "incomplete" and answer.incomplete_details.reason == "max_output_tokens", answer
    got = events(cell, "count to 40", max_output_tokens=16)
    assert joined(got) == answer.output_text and got[-1].type == "response.incomplete", got[-1]
    assert got[-1].response.incomplete_details.reason == "max_output_tokens", got[-1]


@check()
def sampling(cell):
    hints = {"temperature": 0.5, "top_p": 0.9, "user": "someone", "metadata": {"a": "b"}, "truncation": "disabled"}
    answer = ask(cell, "echo: hints", **hints)
    assert answer.output_text == "hints" and (answer.temperature, answer.top_p) == (0.5, 0.9), answer
    assert answer.metadata == {"a": "b"}, answer


def reasoning_of(answer):
    return [item for item in answer.output if item.type == "reasoning"]


@check()
def reasoning(cell):
    effort = {"reasoning": {"effort": "high", "summary": "auto"}}
    answer = ask(cell, "echo: thought", **effort)
    assert answer.output_text == "thought" and answer.usage.output_tokens_details.reasoning_tokens > 0, answer
    got = events(cell, "echo: thought", **effort)
    assert joined(got) == "thought", got
    # OpenAI's chat API never shows what the model thinks.
    if cell.provider != "openai" or DIRECT:
        final = got[-1].response
        for kind in (answer, final):
            item = reasoning_of(kind)[0]
            assert item.id and item.summary and len(item.summary[0].text) > 10, kind
            # What follows, if anything, is a seal that came after the text.
            assert all(more.encrypted_content and not more.summary for more in reasoning_of(kind)[1:]), kind
        assert reasoning_of(answer)[0].summary[0].text == reasoning_of(final)[0].summary[0].text
        deltas = "".join(event.delta for event in got if event.type == "response.reasoning_summary_text.delta")
        assert deltas == reasoning_of(final)[0].summary[0].text, deltas


@check()
def reasoning_goes_back(cell):
    """Reasoning items return to the provider that wrote them."""
    effort = {"reasoning": {"effort": "high", "summary": "auto"}}
    names, _ = loop(cell, "How is the weather?", whole_turn, **effort)
    assert names == ["get_weather"], names
    names, _ = loop(cell, "How is the weather?", streamed_turn, **effort)
    assert names == ["get_weather"], names


@once
def a_conversation_moves_between_providers():
    turns = [{"role": "user", "content": "How is the weather?"}]
    for cell in [*reversed(CELLS), *CELLS]:
        answer = ask(cell, turns, tools=TOOLS, reasoning={"effort": "high", "summary": "auto"})
        turns += back(answer)
        for call in calls_of(answer):
            turns.append({"type": "function_call_output", "call_id": call.call_id, "output": "sunny"})
        turns.append({"role": "user", "content": "And now?"})


@check()
def provider_state(cell):
    def call():
        return client.responses.create(model=cell.alias, input="Hello", previous_response_id="resp_123")

    if cell.provider == "openai-responses" or DIRECT:
        # It is the provider's to know whether there is such an answer.
        assert isinstance(raises((openai.APIStatusError, AssertionError), call), Exception)
    else:
        error = raises(openai.BadRequestError, call)
        assert "provider_state" in error.message, error


@check(gateway=True)
def headers(cell):
    raw = client.responses.with_raw_response.create(model=cell.alias, input="Hello")
    got = raw.headers
    assert got["x-pointsman-alias"] == cell.alias and got["x-pointsman-target"].endswith(f"@{cell.provider}"), got
    assert raw.request_id == got["x-pointsman-request-id"], got


def with_key(key):
    return openai.OpenAI(base_url=f"{GATEWAY}/v1", api_key=key, max_retries=0, timeout=30)


def first_words(alias, client=client):
    return client.responses.with_raw_response.create(model=alias, input="Tell me about trains.")


def whole_stream(alias):
    text = []
    for event in client.responses.create(model=alias, input="Tell me about trains.", stream=True):
        if event.type == "response.output_text.delta":
            text.append(event.delta)
        elif event.type in ("error", "response.failed"):
            strict(event, ResponseStreamEvent)
            raise RuntimeError(f"broken: {event}")
    return "".join(text)


@check()
def bad_request(cell):
    error = raises(openai.BadRequestError, lambda: ask(cell, [{"role": "nobody", "content": "Hello"}]))
    assert error.type == "invalid_request_error" and "input[0]" in f"{error.param} {error.message}", error
    error = raises(openai.BadRequestError, lambda: ask(cell, "Hello", max_output_tokens="many"))
    assert "max_output_tokens" in error.message, error


faults.register(openai, with_key, first_words, whole_stream)

if __name__ == "__main__":
    run()
