"""Google's SDK against a simulated Gemini provider: is the simulator true to it?"""

import base64
import os

from google import genai
from google.genai import errors, types

from common import BLUE, RED, TIME, WEATHER, Person, check, raises, run

client = genai.Client(
    api_key=os.environ["GATEWAY_KEY"], http_options=types.HttpOptions(base_url=os.environ["GATEWAY"], timeout=30_000)
)
TOOLS = [
    types.Tool(
        function_declarations=[
            types.FunctionDeclaration(
                name=tool["name"], description=tool["description"], parameters_json_schema=tool["schema"]
            )
            for tool in (WEATHER, TIME)
        ]
    )
]


def ask(contents, **config):
    return client.models.generate_content(model="m", contents=contents, config=types.GenerateContentConfig(**config))


def chunks(contents, **config):
    config = types.GenerateContentConfig(**config)
    return list(client.models.generate_content_stream(model="m", contents=contents, config=config))


@check()
def plain(cell):
    answer = ask("Good morning, and how are you today?")
    assert answer.text.startswith(cell.opening) and answer.model_version == "m" and answer.response_id, answer
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP, answer
    spent = answer.usage_metadata
    assert spent.total_token_count == spent.prompt_token_count + spent.candidates_token_count, spent
    assert 0 < spent.cached_content_token_count < spent.prompt_token_count, spent


@check()
def system_prompt(cell):
    assert "system: You guard the points." in ask("system?", system_instruction="You guard the points.").text


@check()
def stream(cell):
    got = chunks("Tell me about trains.")
    assert "".join(chunk.text or "" for chunk in got) == ask("Tell me about trains.").text
    assert got[-1].candidates[0].finish_reason == types.FinishReason.STOP and got[-1].usage_metadata, got[-1]


@check()
def tools(cell):
    config = {
        "tools": TOOLS,
        "automatic_function_calling": types.AutomaticFunctionCallingConfig(disable=True),
        "tool_config": types.ToolConfig(function_calling_config=types.FunctionCallingConfig(mode="ANY")),
    }
    for answer in (ask("Both in parallel.", **config), chunks("Both in parallel.", **config)):
        pieces = answer if isinstance(answer, list) else [answer]
        calls = [call for piece in pieces for call in piece.function_calls or []]
        assert [call.name for call in calls] == ["get_weather", "get_time"] and all(call.args for call in calls), calls
    turn = ask("How is the weather?", **config)
    call = turn.function_calls[0]
    result = types.Part(
        function_response=types.FunctionResponse(id=call.id, name=call.name, response={"output": "sunny"})
    )
    history = [
        types.Content(role="user", parts=[types.Part(text="How is the weather?")]),
        turn.candidates[0].content,
        types.Content(role="user", parts=[result]),
    ]
    assert "sunny" in ask(history, tools=TOOLS).text


@check()
def images(cell):
    pictures = [types.Part.from_bytes(data=base64.b64decode(data), mime_type="image/png") for data in (RED, BLUE)]
    assert "saw 2 image(s): image/png, image/png" in ask([*pictures, "What is it?"]).text


@check()
def json_schema(cell):
    answer = ask("Who?", response_mime_type="application/json", response_schema=Person)
    assert isinstance(answer.parsed, Person), answer
    answer = ask("Who?", response_mime_type="application/json", response_json_schema=Person.model_json_schema())
    assert Person.model_validate_json(answer.text)


@check()
def limits(cell):
    assert ask("count to 20", stop_sequences=["7"]).text == "1 2 3 4 5 6 "
    answer = ask("count to 20", max_output_tokens=5)
    assert answer.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS, answer


@check()
def thoughts(cell):
    answer = ask("echo: thought", thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_budget=1024))
    parts = answer.candidates[0].content.parts
    assert parts[0].thought and len(parts[0].text) > 10 and answer.text == "thought", answer
    assert answer.usage_metadata.thoughts_token_count > 0, answer


@check()
def counts_and_embeddings(cell):
    assert client.models.count_tokens(model="m", contents="How many tokens is this?").total_tokens > 3
    vectors = client.models.embed_content(model="m", contents=["one", "two"]).embeddings
    assert len(vectors) == 2 and len(vectors[0].values) > 1 and vectors[0].values != vectors[1].values


@check()
def candidates(cell):
    whole = ask("Two of them.", candidate_count=2)
    assert [candidate.index for candidate in whole.candidates] == [0, 1], whole
    texts = ["", ""]
    got = chunks("Two of them.", candidate_count=2)
    for candidate in (candidate for chunk in got for candidate in chunk.candidates):
        texts[candidate.index] += "".join(part.text for part in candidate.content.parts)
    assert texts == [candidate.content.parts[0].text for candidate in whole.candidates], texts
    assert got[-1].usage_metadata == whole.usage_metadata, got[-1]


@check()
def refusals(cell):
    error = raises(errors.ClientError, lambda: ask("Hello", temperature=9))
    assert error.code == 400 and error.status == "INVALID_ARGUMENT", error


if __name__ == "__main__":
    run()
