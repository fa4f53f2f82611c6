"""What the SDKs make of the gateway's errors: the same checks for every client dialect."""

import json

from common import LIMITED_KEY, PROTOCOLS, check_with, once, raises


def register(sdk, with_key, first_words, whole_stream):
    """`first_words(alias, client=…)` asks and gives the raw answer; `whole_stream(alias)` reads
    a stream to its end; `with_key(key)` makes a client."""

    @once
    def unknown_key():
        error = raises(sdk.AuthenticationError, lambda: first_words("via-openai", client=with_key("pm-nobody")))
        assert error.status_code == 401 and error.request_id, error

    @once
    def unknown_model():
        error = raises(sdk.NotFoundError, lambda: first_words("via-opnai"))
        assert "via-opnai" in error.message and "`via-openai`" in error.message, error

    @once
    def forbidden_alias():
        client = with_key(LIMITED_KEY)
        assert first_words("via-openai", client=client).status_code == 200
        raises(sdk.PermissionDeniedError, lambda: first_words("via-gemini", client=client))
        # What a key may not use it is not told of either.
        error = raises(sdk.NotFoundError, lambda: first_words("via-gemin", client=client))
        assert "via-gemini" not in error.message, error

    @once
    def all_limited():
        for _ in range(2):
            # The second time nobody is asked: the gateway remembers.
            error = raises(sdk.RateLimitError, lambda: first_words("all-limited"))
            assert 1 <= int(error.response.headers["retry-after"]) <= 30, error.response.headers
            assert "limited-a" in error.message and "limited-b" in error.message, error

    @once
    def all_broken():
        error = raises(sdk.APIStatusError, lambda: first_words("all-broken"))
        assert error.status_code == 502 and isinstance(error, sdk.InternalServerError), (type(error), error)
        attempts = error.response.headers["x-pointsman-attempts"]
        for name in ("broken-a/m@broken-a", "broken-b/m@broken-b"):
            assert name in error.message and f"{name} server_error 503" in attempts, (error, attempts)

    @once
    def the_next_target_steps_in():
        answer = first_words("saved")
        attempts = answer.headers["x-pointsman-attempts"].split(", ")
        assert [attempt.split()[:2] for attempt in attempts] == [
            ["lame/m@lame", "server_error"],
            ["openai/m@openai", "ok"],
        ], attempts
        assert whole_stream("saved").startswith("[openai/m] ")

    @check_with(PROTOCOLS)
    def context_too_long(protocol):
        error = raises(sdk.BadRequestError, lambda: first_words(f"small-{protocol}"))
        assert "context" in json.dumps(error.body).lower() or "tokens" in error.message, error

    @check_with(PROTOCOLS)
    def a_stream_that_breaks_is_an_error(protocol):
        error = raises(Exception, lambda: whole_stream(f"cut-{protocol}"))
        assert isinstance(error, sdk.APIError) or "broken" in str(error), (type(error), error)
