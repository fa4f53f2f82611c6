"""Anthropic's SDK, Messages, against every provider protocol."""

import asyncio

import anthropic
import faults
from anthropic.types import Message, RawMessageStreamEvent

from common import BLUE, CELLS, GATEWAY, KEY, PICTURE_URL, RED, TIME, WEATHER, Person, check, once, raises, run, strict

client = anthropic.Anthropic(base_url=GATEWAY, api_key=KEY, max_retries=0, timeout=30)
TOOLS = [
    {"name": tool["name"], "description": tool["description"], "input_schema": tool["schema"]}
    for tool in (WEATHER, TIME)
]
THINK = {"type": "enabled", "budget_tokens": 1024}


def user(text):
    return [{"role": "user", "content": text}]


def request(cell, messages, **more):
    messages = user(messages) if isinstance(messages, str) else messages
    return {"model": cell.alias, "max_tokens": 4096, "messages": messages, **more}


def ask(cell, messages, **more):
    return strict(client.messages.create(**request(cell, messages, **more)), Message)


def events(cell, messages, **more):
    stream = client.messages.create(stream=True, **request(cell, messages, **more))
    return [strict(event, RawMessageStreamEvent) for event in stream]


def said(answer):
    return "".join(block.text for block in answer.content if block.type == "text")


def calls_of(answer):
    return [block for block in answer.content if block.type == "tool_use"]


def joined(stream):
    deltas = (event.delta for event in stream if event.type == "content_block_delta")
    return "".join(delta.text for delta in deltas if delta.type == "text_delta")


@check()
def plain(cell):
    answer = ask(cell, "Good morning, and how are you today?")
    assert said(answer).startswith(cell.opening), said(answer)
    assert (answer.model, answer.type, answer.role) == ("m", "message", "assistant"), answer
    assert answer.stop_reason == "end_turn" and answer.stop_sequence is None and answer.id.startswith("msg_"), answer


@check()
def usage(cell):
    spent = ask(cell, "Good morning, and how are you today?").usage
    assert spent.input_tokens > 0 and spent.output_tokens > 4 and spent.cache_read_input_tokens > 0, spent


@check()
def system_prompt(cell):
    for system in ("You guard the points.", [{"type": "text", "text": "You guard the points."}]):
        assert "system: You guard the points." in said(ask(cell, "system?", system=system))


@check()
def several_turns(cell):
    turns = [*user("first"), {"role": "assistant", "content": "second"}, *user("echo: third")]
    answer = ask(cell, turns)
    assert said(answer) == "third", answer


@check()
def text_parts(cell):
    parts = [{"type": "text", "text": "echo: one", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "two"}]
    assert said(ask(cell, [{"role": "user", "content": parts}])).split() == ["one", "two"]


@check()
def unicode_survives(cell):
    text = 'naïve “quotes” \\ \n\t 日本語 👩‍🚒 \u2028 "json": {}'
    assert said(ask(cell, f"echo: {text}")) == text
    assert joined(events(cell, f"echo: {text}")) == text


@check()
def stream(cell):
    got = events(cell, "Tell me about trains.")
    whole = ask(cell, "Tell me about trains.")
    assert joined(got) == said(whole)
    kinds = [event.type for event in got]
    assert kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"], kinds
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 1, kinds
    start, delta = got[0].message, got[-2]
    assert (start.model, start.content, start.stop_reason) == ("m", [], None), start
    assert delta.delta.stop_reason == "end_turn" and delta.usage.output_tokens == whole.usage.output_tokens, delta


@check()
def stream_helper(cell):
    with client.messages.stream(**request(cell, "Tell me about trains.")) as stream:
        text = "".join(stream.text_stream)
        final = strict(stream.get_final_message(), Message)
    whole = ask(cell, "Tell me about trains.")
    assert text == said(final) == said(whole) and final.stop_reason == "end_turn", final
    spent, expected = final.usage, whole.usage
    assert (spent.input_tokens, spent.output_tokens, spent.cache_read_input_tokens) == (
        expected.input_tokens,
        expected.output_tokens,
        expected.cache_read_input_tokens,
    ), (spent, expected)


@check()
def async_stream(cell):
    async def go():
        async with anthropic.AsyncAnthropic(base_url=GATEWAY, api_key=KEY, max_retries=0) as client:
            async with client.messages.stream(**request(cell, "echo: one two three")) as stream:
                return "".join([text async for text in stream.text_stream])

    assert asyncio.run(go()) == "one two three"


def loop(cell, prompt, turn, **more):
    """The whole loop: the model calls, the results go back, the model answers."""
    messages = user(prompt)
    answer = turn(cell, messages, **more)
    calls = calls_of(answer)
    assert answer.stop_reason == "tool_use" and len({call.id for call in calls}) == len(calls), answer
    assert all(call.id and call.input for call in calls), calls
    messages.append({"role": "assistant", "content": [block.to_dict() for block in answer.content]})
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": f"{call.name} is fine"} for call in calls]
    messages.append({"role": "user", "content": results})
    final = ask(cell, messages, tools=TOOLS, **more)
    assert final.stop_reason == "end_turn" and not calls_of(final), final
    return [call.name for call in calls], said(final)


def whole_turn(cell, messages, **more):
    return ask(cell, messages, tools=TOOLS, **more)


def streamed_turn(cell, messages, **more):
    with client.messages.stream(**request(cell, messages, tools=TOOLS, **more)) as stream:
        for _ in stream:
            pass
        return strict(stream.get_final_message(), Message)


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
def tool_errors_and_pictures(cell):
    call = {"type": "tool_use", "id": "toolu_01A", "name": "get_weather", "input": {"city": "Lisbon"}}
    result = {
        "type": "tool_result",
        "tool_use_id": "toolu_01A",
        "is_error": True,
        "content": [{"type": "text", "text": "no network"}, picture_inline(RED)],
    }
    turns = [*user("How?"), {"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    assert "no network" in said(ask(cell, turns, tools=TOOLS))


@check()
def no_parallel_tools(cell):
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    answer = ask(cell, "Weather and time in parallel.", tools=TOOLS, tool_choice=choice)
    # Gemini's API has no such switch.
    assert len(calls_of(answer)) == (2 if cell.protocol == "gemini" else 1), answer


@check()
def tool_choice(cell):
    def called(choice):
        return [call.name for call in calls_of(ask(cell, "echo: hello", tools=TOOLS, tool_choice=choice))]

    assert called({"type": "auto"}) == []
    assert called({"type": "none"}) == []
    assert called({"type": "any"}) == ["get_weather"]
    assert called({"type": "tool", "name": "get_time"}) == ["get_time"]


def picture_inline(data):
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}


@check()
def image_inline(cell):
    parts = [picture_inline(RED), picture_inline(BLUE), {"type": "text", "text": "What is it?"}]
    assert "saw 2 image(s): image/png, image/png" in said(ask(cell, [{"role": "user", "content": parts}]))


@check()
def image_by_url(cell):
    parts = [{"type": "image", "source": {"type": "url", "url": PICTURE_URL}}, {"type": "text", "text": "What is it?"}]
    assert "saw 1 image(s)" in said(ask(cell, [{"role": "user", "content": parts}]))


@check()
def json_schema(cell):
    answer = client.messages.parse(**request(cell, "Who?"), output_format=Person)
    assert isinstance(answer.parsed_output, Person), answer
    with client.messages.stream(**request(cell, "Who?"), output_format=Person) as stream:
        assert stream.get_final_message().parsed_output == answer.parsed_output


@check()
def stop_sequences(cell):
    answer = ask(cell, "count to 20", stop_sequences=["7"])
    assert said(answer) == "1 2 3 4 5 6 ", answer
    # The other protocols do not tell a stop sequence from the end of the answer.
    if cell.protocol == "anthropic":
        assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", "7"), answer
    else:
        assert answer.stop_reason in ("end_turn", "stop_sequence"), answer
    assert joined(events(cell, "count to 20", stop_sequences=["13", "9"])) == "1 2 3 4 5 6 7 8 "


@check()
def token_limit(cell):
    answer = ask(cell, "count to 20", max_tokens=5)
    assert said(answer) == "1 2 3 4 5 " and answer.stop_reason == "max_tokens", answer
    assert answer.usage.output_tokens == 5, answer.usage
    got = events(cell, "count to 20", max_tokens=5)
    assert joined(got) == "1 2 3 4 5 " and got[-2].delta.stop_reason == "max_tokens", got


@check()
def sampling(cell):
    # Older models take these, and older SDKs have arguments for them.
    for hints in ({"temperature": 0.5, "top_k": 40}, {"top_p": 0.9}):
        assert said(ask(cell, "echo: hints", metadata={"user_id": "someone"}, extra_body=hints)) == "hints"


@check()
def reasoning(cell):
    answer = ask(cell, "echo: thought", thinking=THINK)
    assert said(answer) == "thought", answer
    streamed = streamed_turn(cell, user("echo: thought"), thinking=THINK)
    assert said(streamed) == "thought", streamed
    # OpenAI's chat API never shows what the model thinks.
    if cell.protocol != "openai":
        for kind in (answer, streamed):
            block = kind.content[0]
            assert block.type == "thinking" and len(block.thinking) > 10 and block.signature, kind
        assert answer.content[0].thinking == streamed.content[0].thinking


@check()
def effort(cell):
    answer = ask(cell, "echo: thought", output_config={"effort": "high"}, thinking={"type": "adaptive"})
    assert said(answer) == "thought", answer


@check()
def reasoning_goes_back(cell):
    """Thinking blocks and their signatures return to the provider that wrote them."""
    names, _ = loop(cell, "How is the weather?", whole_turn, thinking=THINK)
    assert names == ["get_weather"], names
    names, _ = loop(cell, "How is the weather?", streamed_turn, thinking=THINK)
    assert names == ["get_weather"], names


@once
def a_conversation_moves_between_providers():
    messages = user("How is the weather?")
    for cell in [*reversed(CELLS), *CELLS]:
        answer = ask(cell, messages, tools=TOOLS, thinking=THINK)
        messages.append({"role": "assistant", "content": [block.to_dict() for block in answer.content]})
        results = [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"} for call in calls_of(answer)]
        messages.append({"role": "user", "content": [*results, {"type": "text", "text": "And now?"}]})
    assert len(messages) == 1 + 4 * len(CELLS), messages


@check(gateway=True)
def headers(cell):
    raw = client.messages.with_raw_response.create(**request(cell, "Hello"))
    got = raw.headers
    assert got["x-pointsman-alias"] == cell.alias and got["x-pointsman-target"].endswith(f"@{cell.provider}"), got
    assert raw.parse()._request_id == got["x-pointsman-request-id"], got


@check(only=("anthropic", "gemini"))
def count_tokens(cell):
    counted = client.messages.count_tokens(
        model=cell.alias, messages=user("How many tokens is this?"), system="Count.", tools=TOOLS
    )
    assert counted.input_tokens > 10, counted


@check(only=("openai",))
def count_tokens_that_nobody_can(cell):
    error = raises(
        anthropic.BadRequestError, lambda: client.messages.count_tokens(model=cell.alias, messages=user("How many?"))
    )
    assert cell.provider in error.message, error


@once
def models():
    listed = client.models.list()
    names = [strict(model).id for model in listed]
    assert all(cell.alias in names for cell in CELLS), names
    assert strict(client.models.retrieve("via-gemini")).id == "via-gemini"
    raises(anthropic.NotFoundError, lambda: client.models.retrieve("nobody"))


def with_key(key):
    return anthropic.Anthropic(base_url=GATEWAY, api_key=key, max_retries=0, timeout=30)


def first_words(alias, client=client):
    return client.messages.with_raw_response.create(
        model=alias, max_tokens=100, messages=user("Tell me about trains.")
    )


def whole_stream(alias):
    with client.messages.stream(model=alias, max_tokens=100, messages=user("Tell me about trains.")) as stream:
        return stream.get_final_text()


@check()
def bad_request(cell):
    error = raises(anthropic.BadRequestError, lambda: ask(cell, [{"role": "nobody", "content": "Hello"}]))
    assert error.type == "invalid_request_error" and "messages" in error.message, error
    error = raises(anthropic.BadRequestError, lambda: ask(cell, "Hello", max_tokens="many"))
    assert "max_tokens" in error.message, error


@once
def bearer_tokens_work_too():
    client = anthropic.Anthropic(base_url=GATEWAY, auth_token=KEY, api_key=None, max_retries=0)
    assert first_words("via-openai", client=client).status_code == 200


faults.register(anthropic, with_key, first_words, whole_stream)

if __name__ == "__main__":
    run()
