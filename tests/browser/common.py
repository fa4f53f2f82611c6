"""A browser at the dashboard of a gateway, and its elements by the names they keep for tests.

Nothing may go wrong unseen: an error in the console, something that the policy forbids, or a
request to another host fails whatever test is under way.
"""

import json
import os
import re
import sys
import time
import traceback
import urllib.error
import urllib.request
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import openai
from playwright.sync_api import expect, sync_playwright

ADMIN = os.environ["POINTSMAN_ADMIN"]
DATA = os.environ["POINTSMAN_DATA"]
TOKEN = os.environ["POINTSMAN_TOKEN"]
CHROMIUM = os.environ["CHROMIUM"]
SHOTS = Path(os.environ["SHOTS"])

# A machine that is busy with other tests is slow.
PATIENCE_MS = 30_000
expect.set_options(timeout=PATIENCE_MS)


def ok(what):
    print("ok", what, flush=True)


def sel(name, of=None):
    """The selector of what is called so, and is about that alias, target, key …"""
    return f'[data-test="{name}"]' + (f'[data-name="{of}"]' if of is not None else "")


@contextmanager
def browser(width=1280, height=900, scheme="light", allow=(), at=ADMIN):
    """A page of a new browser. `allow`: errors in its console that the test is about."""
    with sync_playwright() as playwright:
        # Chromium's own sandbox wants more than a container gives.
        arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
        )
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        wrong = []
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("console", lambda said: said.type == "error" and wrong.append(f"console: {said.text}"))
        page.on("request", lambda asked: outside(asked.url, at) and wrong.append(f"elsewhere: {asked.url}"))
        try:
            yield page
        except BaseException:
            SHOTS.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=SHOTS / f"failed-{Path(sys.argv[0]).stem}.png")
            print("at", page.url, *wrong, sep="\n", file=sys.stderr)
            raise
        finally:
            chromium.close()
        wrong = [one for one in wrong if not any(word in one for word in allow)]
        assert not wrong, "\n".join(wrong)


def outside(url, at):
    return not url.startswith((at + "/", "data:", f"blob:{at}/"))


def log_in(page, path="/dashboard/", token=TOKEN, at=ADMIN):
    page.goto(at + path)
    page.fill(sel("login-token"), token)
    page.click(sel("login-submit"))
    expect(page.locator(sel("logout"))).to_be_visible()


# Whoever is not logged in is told so by the first question.
NOT_YET = "401 (Unauthorized)"


def names(page, name):
    """What the elements called so are about, in order."""
    return page.locator(sel(name)).evaluate_all("all => all.map(one => one.dataset.name)")


def add(page, *models, within=""):
    """Adds targets; `within` is the selector of the category that gets them."""
    page.click(f"{within} {sel('add-target')}")
    for model in models:
        page.fill(sel("model-search"), model)
        page.click(sel("model-option", model))
    page.click(sel("model-done"))
    expect(page.locator(sel("model-search"))).to_have_count(0)


def preview(page):
    page.click(sel("preview"))
    expect(page.locator(sel("preview-dialog"))).to_be_visible()


def save(page, note=None):
    preview(page)
    if note:
        page.fill(sel("save-note"), note)
    page.click(sel("save"))
    expect(page.locator(sel("preview-dialog"))).to_have_count(0)
    expect(page.locator(sel("alias-page"))).to_be_visible()


def eventually(what, holds, seconds=PATIENCE_MS / 1000):
    since = time.monotonic()
    while not holds():
        assert time.monotonic() - since < seconds, f"in vain: {what}"
        time.sleep(0.05)


def shot(page, name):
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


def barriers(page):
    """What axe finds that keeps people out, in lines."""
    if not page.evaluate("typeof axe === 'object'"):
        package = Path(find_spec("axe_playwright_python").origin).parent
        page.evaluate((package / "axe.min.js").read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    return [f"{one['id']}: {one['help']}: {[node['html'][:160] for node in one['nodes'][:3]]}" for one in serious]


def hanging_over(page):
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return [f"{wide} px hang over"] if wide > 0 else []


def tab_to(page, selector, most=150):
    """Presses Tab until the focus is there, as somebody without a mouse does."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("s => document.activeElement?.matches(s) ?? false", selector):
            return
    raise AssertionError(f"Tab never comes to {selector}")


def _send(request):
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, dict(answer.headers), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read().decode()


def api(method, path, body=None, **headers):
    """Asks the admin API, as somebody else would meanwhile."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json", **headers}
    status, _, text = _send(urllib.request.Request(ADMIN + path, data, headers, method=method))
    assert status < 300, f"{method} {path}: {status} {text}"
    return json.loads(text) if text else None


def alias(name):
    return api("GET", f"/admin/v1/aliases/{name}")["document"]


def by_sdk(name, prompt="hello", key="pm-it"):
    """What the official SDK gets for a chat through an alias: the text and the headers."""
    # Chromium is busy beside it.
    client = openai.OpenAI(base_url=f"{DATA}/v1", api_key=key, max_retries=0, timeout=60)
    messages = [{"role": "user", "content": prompt}]
    raw = client.chat.completions.with_raw_response.create(model=name, messages=messages)
    return raw.parse().choices[0].message.content, raw.headers


def chat(name, key="pm-it"):
    """Who serves a chat through an alias; empty if nobody does."""
    body = json.dumps({"model": name, "messages": [{"role": "user", "content": "hello"}]}).encode()
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    _, headers, _ = _send(urllib.request.Request(DATA + "/v1/chat/completions", body, headers))
    return {name.lower(): value for name, value in headers.items()}.get("x-pointsman-target", "")


def behave(simulator, behaviour):
    """Makes a simulated provider behave otherwise; `simulator` is its address."""
    request = urllib.request.Request(simulator + "/_sim/behaviour", json.dumps(behaviour).encode(), method="PUT")
    status, _, text = _send(request)
    assert status == 200, text


def main(*tests):
    """Runs all of them, and ends well if they do."""
    failed = 0
    for test in tests:
        try:
            test()
            ok(test.__name__)
        except Exception:
            failed += 1
            print("failed", test.__name__, flush=True)
            traceback.print_exc()
    sys.exit(1 if failed else 0)


__all__ = [
    "ADMIN", "TOKEN", "NOT_YET", "add", "alias", "api", "barriers", "behave", "browser", "by_sdk", "chat", "eventually",
    "expect", "hanging_over", "log_in", "main", "names", "preview", "re", "save", "sel", "shot", "tab_to", "time",
]
