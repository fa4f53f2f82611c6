"""What the official SDKs make of keys that are not let in and of limits that are reached.

The keys and their states are made by the test that runs this (`tests/it/control/sdks.rs`) and
come in the environment.
"""

import os
import time

import anthropic
import openai

from common import GATEWAY, check_with, raises, run

KEYS = {name: os.environ[f"KEY_{name.upper()}"] for name in ("good", "revoked", "scoped", "minute", "budget", "poor", "slow")}


class OpenAi:
    """OpenAI's SDK, chat."""

    sdk = openai

    # Each says how long its answer may be, since that is what money is set aside for.
    def __init__(self, key, retries=0):
        self.client = openai.OpenAI(base_url=f"{GATEWAY}/v1", api_key=key, max_retries=retries, timeout=30)

    def ask(self, alias="a"):
        messages = [{"role": "user", "content": "hello"}]
        return self.client.chat.completions.with_raw_response.create(
            model=alias, max_completion_tokens=30, messages=messages
        )


class Responses(OpenAi):
    """OpenAI's SDK, responses."""

    def ask(self, alias="a"):
        return self.client.responses.with_raw_response.create(model=alias, max_output_tokens=30, input="hello")


class Anthropic:
    """Anthropic's SDK."""

    sdk = anthropic

    def __init__(self, key, retries=0):
        self.client = anthropic.Anthropic(base_url=GATEWAY, api_key=key, max_retries=retries, timeout=30)

    def ask(self, alias="a"):
        messages = [{"role": "user", "content": "hello"}]
        return self.client.messages.with_raw_response.create(model=alias, max_tokens=30, messages=messages)


ALL = [OpenAi, Responses, Anthropic]


def each(function):
    return check_with(ALL, lambda kind: kind.__name__)(function)


@each
def a_good_key_is_let_in(kind):
    assert kind(KEYS["good"]).ask().status_code == 200


@each
def a_revoked_key_is_an_authentication_error(kind):
    error = raises(kind.sdk.AuthenticationError, lambda: kind(KEYS["revoked"], retries=3).ask())
    assert error.status_code == 401 and "revoked" in error.message, error


@each
def an_alias_out_of_scope_is_a_permission_error(kind):
    assert kind(KEYS["scoped"]).ask("a").status_code == 200
    error = raises(kind.sdk.PermissionDeniedError, lambda: kind(KEYS["scoped"], retries=3).ask("b"))
    assert error.status_code == 403 and "`b`" in error.message, error


@each
def a_limit_is_a_rate_limit_error_that_says_how_long(kind):
    """Sixty requests a minute, of which all are gone: the next one comes within a second."""
    client = kind(KEYS["minute"])
    error = None
    for _ in range(200):
        try:
            client.ask()
        except kind.sdk.RateLimitError as limited:
            error = limited
            break
    assert error is not None and error.status_code == 429, error
    headers = error.response.headers
    assert headers["retry-after"] == "1", headers
    assert headers["x-ratelimit-limit-requests"] == "60", headers
    assert headers["x-ratelimit-remaining-requests"] == "0", headers
    assert "x-should-retry" not in headers, headers
    # Whoever waits that long passes, and so does an SDK that repeats it by itself.
    time.sleep(int(headers["retry-after"]))
    assert client.ask().status_code == 200
    assert kind(KEYS["minute"], retries=3).ask().status_code == 200


@each
def a_budget_is_a_rate_limit_error_that_is_not_repeated(kind):
    begun = time.monotonic()
    error = raises(kind.sdk.RateLimitError, lambda: kind(KEYS["budget"], retries=3).ask())
    assert time.monotonic() - begun < 0.4, "an SDK waits half a second at least before it repeats"
    assert error.response.headers["x-should-retry"] == "false", error.response.headers
    assert int(error.response.headers.get("retry-after", 0)) >= 1, (error, error.response.headers)
    assert "the budget of the key is used up" in error.message, error
    if kind.sdk is openai:
        assert error.code == "insufficient_quota", error


@each
def what_costs_more_than_a_whole_budget_is_told_no_time(kind):
    error = raises(kind.sdk.RateLimitError, lambda: kind(KEYS["poor"], retries=3).ask())
    headers = error.response.headers
    assert headers["x-should-retry"] == "false" and "retry-after" not in headers, headers
    assert "more than the whole budget of the key" in error.message, error


@each
def more_tokens_than_a_minute_has_are_not_repeated(kind):
    begun = time.monotonic()
    error = raises(kind.sdk.RateLimitError, lambda: kind(KEYS["slow"], retries=3).ask())
    assert time.monotonic() - begun < 0.4, error
    assert error.response.headers["x-should-retry"] == "false", error.response.headers
    assert "retry-after" not in error.response.headers, error.response.headers
    assert "this request alone" in error.message, error


if __name__ == "__main__":
    run()
