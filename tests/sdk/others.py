"""OpenAI's SDK on the paths that are no chat: embeddings, text completions, models."""

import openai
from openai.types import Completion, CreateEmbeddingResponse

from common import CELLS, GATEWAY, KEY, LIMITED_KEY, check, once, raises, run, strict

client = openai.OpenAI(base_url=f"{GATEWAY}/v1", api_key=KEY, max_retries=0, timeout=30)


@check(only=("openai", "gemini"))
def embeddings(cell):
    # The SDK asks for base64 unless told otherwise, and reads both.
    packed = client.embeddings.create(model=cell.alias, input=["one", "two"])
    plain = strict(
        client.embeddings.create(model=cell.alias, input=["one", "two"], encoding_format="float"),
        CreateEmbeddingResponse,
    )
    assert [item.index for item in plain.data] == [0, 1] and plain.usage.prompt_tokens > 0, plain
    for ours, theirs in zip(packed.data, plain.data):
        assert len(ours.embedding) == len(theirs.embedding) > 1
        assert all(abs(a - b) < 1e-6 for a, b in zip(ours.embedding, theirs.embedding))
    assert packed.data[0].embedding != packed.data[1].embedding
    single = client.embeddings.create(model=cell.alias, input="one")
    assert single.data[0].embedding == packed.data[0].embedding
    short = client.embeddings.create(model=cell.alias, input="one", dimensions=8)
    assert len(short.data[0].embedding) == 8, short


@check(only=("anthropic",))
def embeddings_that_nobody_has(cell):
    error = raises(openai.BadRequestError, lambda: client.embeddings.create(model=cell.alias, input="one"))
    assert "anthropic/m@anthropic" in error.message, error


@check(only=("openai",))
def completions(cell):
    answer = strict(client.completions.create(model=cell.alias, prompt="count to 5"), Completion)
    assert answer.choices[0].text == "1 2 3 4 5" and answer.usage.total_tokens > 0, answer
    stream = client.completions.create(model=cell.alias, prompt="count to 5", stream=True)
    # No strictness here: the API itself leaves `finish_reason` empty until the end.
    pieces = list(stream)
    assert "".join(choice.text for chunk in pieces for choice in chunk.choices) == "1 2 3 4 5", pieces
    assert all(chunk.usage is None for chunk in pieces), "nobody asked for usage"
    stream = client.completions.create(
        model=cell.alias, prompt="count to 5", stream=True, stream_options={"include_usage": True}
    )
    assert [chunk.usage is not None for chunk in stream][-1]


@check(only=("gemini",))
def completions_that_nobody_has(cell):
    error = raises(openai.BadRequestError, lambda: client.completions.create(model=cell.alias, prompt="Hello"))
    assert cell.provider in error.message, error


@once
def models():
    names = [strict(model).id for model in client.models.list()]
    assert all(cell.alias in names for cell in CELLS), names
    assert strict(client.models.retrieve("via-gemini")).id == "via-gemini"
    raises(openai.NotFoundError, lambda: client.models.retrieve("nobody"))


@once
def models_of_a_narrow_key():
    narrow = openai.OpenAI(base_url=f"{GATEWAY}/v1", api_key=LIMITED_KEY, max_retries=0)
    assert [model.id for model in narrow.models.list()] == ["via-openai"]


if __name__ == "__main__":
    run()
