"""Every page in light and dark, on a wide screen and on a phone: nobody is kept out, nothing
hangs over, and there is a picture of each. `demo` as an argument: the gateway is the demo.
"""

from common import *

PAGES = {
    "overview": "/dashboard/",
    "alias": "/dashboard/aliases/chat",
    "edit": "/dashboard/aliases/chat/edit",
    "new-alias": "/dashboard/new-alias",
    "providers": "/dashboard/providers",
    "models": "/dashboard/models",
    "projects": "/dashboard/projects",
    "keys": "/dashboard/keys",
    "usage": "/dashboard/usage",
    "history": "/dashboard/history",
    "playground": "/dashboard/playground",
    "demo": "/dashboard/demo",
    "replicas": "/dashboard/replicas",
}


def settled(page):
    """What a page asks first has been answered."""
    expect(page.locator(sel("page-title"))).to_be_visible()
    expect(page.locator('[aria-busy="true"]')).to_have_count(0)
    page.wait_for_timeout(300)


def every_page(width, height, scheme, look):
    wrong = []
    with browser(width, height, scheme, allow=[NOT_YET]) as page:
        page.goto(f"{ADMIN}/dashboard/")
        expect(page.locator(sel("login-token"))).to_be_visible()
        wrong += [f"login: {one}" for one in look(page)]
        log_in(page)
        for name, path in PAGES.items():
            page.goto(ADMIN + path)
            settled(page)
            wrong += [f"{name}: {one}" for one in look(page)]
            shot(page, f"{name}-{scheme}-{width}")
    assert not wrong, "\n".join(wrong)


def nobody_is_kept_out_by_light_pages():
    every_page(1280, 900, "light", barriers)


def nobody_is_kept_out_by_dark_pages():
    every_page(1280, 900, "dark", barriers)


def everything_fits_on_a_phone():
    every_page(375, 740, "light", hanging_over)


def the_first_view_is_there_within_a_second():
    with browser(allow=[NOT_YET]) as page:
        log_in(page)
        timed = "performance.getEntriesByType('resource').reduce((sum, one) => sum + one.encodedBodySize, 0)"
        page.goto(f"{ADMIN}/dashboard/")
        expect(page.locator(sel("alias-row")).first).to_be_visible()
        loaded = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
        assert page.evaluate(timed) < 150_000
        print(f"the page is there after {loaded:.0f} ms")


def a_provider_is_broken_on_the_page_and_mended_again():
    with browser(allow=[NOT_YET]) as page:
        log_in(page, "/dashboard/demo")
        north = sel("sim-card", "north")
        expect(page.locator(north)).to_be_visible()
        behaviour = lambda: next(one for one in api("GET", "/admin/v1/simulated")["items"] if one["name"] == "north")["behaviour"]
        page.click(f"{north} {sel('sim-break')}")
        eventually("it breaks", lambda: bool(behaviour().get("faults")))
        page.click(f"{north} {sel('sim-reset')}")
        eventually("it is mended", lambda: not behaviour().get("faults"))


def a_chat_in_the_playground_shows_who_answered():
    with browser(allow=[NOT_YET]) as page:
        log_in(page, "/dashboard/playground?alias=chat")
        page.fill(sel("playground-prompt"), "Hello!")
        page.click(sel("playground-send"))
        expect(page.locator(sel("playground-answer")).last).not_to_be_empty()
        expect(page.locator(sel("playground-decision")).last).to_contain_text("aurora")


main(
    nobody_is_kept_out_by_light_pages,
    nobody_is_kept_out_by_dark_pages,
    everything_fits_on_a_phone,
    the_first_view_is_there_within_a_second,
    a_provider_is_broken_on_the_page_and_mended_again,
    a_chat_in_the_playground_shows_who_answered,
)
