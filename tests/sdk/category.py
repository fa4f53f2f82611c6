"""What the official SDKs get from an alias of categories: the answer of whoever has the prompt's
category, in every dialect, streamed and whole.

The alias `by-task` and who serves what are made by the test that runs this
(`tests/it/category.rs`).
"""

import anthropic
import openai

from common import GATEWAY, KEY, check_with, raises, run

OPENAI = openai.OpenAI(base_url=f"{GATEWAY}/v1", api_key=KEY, max_retries=0, timeout=30)
ANTHROPIC = anthropic.Anthropic(base_url=GATEWAY, api_key=KEY, max_retries=0, timeout=30)

PROMPTS = {
    "coding": "Write a Python function that reverses a linked list.",
    "translation": "Translate 'good morning, how are you?' into German.",
}


def chat(prompt, **more):
    messages = [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": prompt}]
    raw = OPENAI.chat.completions.with_raw_response.create(model="by-task", messages=messages, **more)
    return raw, raw.parse().choices[0].message.content


def responses(prompt, **more):
    raw = OPENAI.responses.with_raw_response.create(model="by-task", input=prompt, **more)
    return raw, raw.parse().output_text


def messages(prompt, **more):
    said = [{"role": "user", "content": [{"type": "text", "text": prompt}]}]
    raw = ANTHROPIC.messages.with_raw_response.create(model="by-task", max_tokens=30, messages=said, **more)
    return raw, raw.parse().content[0].text


DIALECTS = [chat, responses, messages]


@check_with([(ask, category) for ask in DIALECTS for category in PROMPTS], lambda of: f"{of[0].__name__} {of[1]}")
def goes_where_its_category_is(of):
    ask, category = of
    raw, text = ask(PROMPTS[category])
    assert raw.headers["x-pointsman-category"] == category, raw.headers
    assert "x-pointsman-category-reason" not in raw.headers, raw.headers
    assert raw.headers["x-pointsman-alias"] == "by-task", raw.headers
    assert text.startswith(f"[{category}/m] "), text


@check_with(DIALECTS, lambda ask: ask.__name__)
def a_hint_is_believed(ask):
    raw, text = ask(PROMPTS["coding"], extra_headers={"x-pointsman-category": "translation"})
    assert raw.headers["x-pointsman-category"] == "translation", raw.headers
    assert raw.headers["x-pointsman-category-reason"] == "hint", raw.headers
    assert text.startswith("[translation/m] "), text


@check_with(DIALECTS, lambda ask: ask.__name__)
def a_wrong_hint_is_a_bad_request(ask):
    sdk = anthropic if ask is messages else openai
    error = raises(sdk.BadRequestError, lambda: ask("hello", extra_headers={"x-pointsman-category": "poetry"}))
    assert "coding, translation, refunds, default" in str(error), error


@check_with(["chat", "messages"])
def streams_go_there_too(kind):
    prompt = [{"role": "user", "content": PROMPTS["coding"]}]
    if kind == "chat":
        stream = OPENAI.chat.completions.create(model="by-task", messages=prompt, stream=True)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    else:
        with ANTHROPIC.messages.stream(model="by-task", max_tokens=30, messages=prompt) as stream:
            text = "".join(stream.text_stream)
    assert text.startswith("[coding/m] "), text


run()
