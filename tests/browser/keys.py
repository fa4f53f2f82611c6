"""Everything by the keyboard alone: nothing here touches the mouse."""

from common import *


def an_alias_is_made_without_a_mouse():
    with browser(allow=[NOT_YET]) as page:
        page.goto(f"{ADMIN}/dashboard/")
        expect(page.locator(sel("login-token"))).to_be_visible()
        if not page.evaluate("s => document.activeElement.matches(s)", sel("login-token")):
            tab_to(page, sel("login-token"))
        page.keyboard.type(TOKEN)
        page.keyboard.press("Enter")
        expect(page.locator(sel("new-alias"))).to_be_visible()
        tab_to(page, sel("new-alias"))
        page.keyboard.press("Enter")
        expect(page.locator(sel("alias-name"))).to_be_visible()
        if not page.evaluate("s => document.activeElement.matches(s)", sel("alias-name")):
            tab_to(page, sel("alias-name"))
        page.keyboard.type("by-keys")
        for model in ("one/m", "two/m"):
            tab_to(page, sel("add-target"))
            page.keyboard.press("Enter")
            expect(page.locator(sel("model-search"))).to_be_focused()
            page.keyboard.type(model)
            expect(page.locator(sel("model-option", model))).to_be_visible()
            tab_to(page, sel("model-option", model))
            page.keyboard.press("Enter")
            tab_to(page, sel("model-done"))
            page.keyboard.press("Enter")
            expect(page.locator(sel("model-search"))).to_have_count(0)
            expect(page.locator(sel("target-item", model))).to_be_visible()
        tab_to(page, f"{sel('target-item', 'two/m')} {sel('move-up')}")
        page.keyboard.press("Enter")
        eventually("it moves", lambda: names(page, "target-item") == ["two/m", "one/m"])
        focused = "document.activeElement.closest('[data-test=target-item]')?.dataset.name"
        assert page.evaluate(focused) == "two/m", "the focus goes with it"
        tab_to(page, sel("preview"))
        page.keyboard.press("Enter")
        expect(page.locator(sel("preview-dialog"))).to_be_visible()
        tab_to(page, sel("save"))
        page.keyboard.press("Enter")
        expect(page.locator(sel("alias-page"))).to_be_visible()
        assert chat("by-keys") == "two/m@two"


def a_dialog_keeps_the_focus_and_gives_it_back():
    with browser(allow=[NOT_YET]) as page:
        log_in(page, "/dashboard/new-alias")
        page.locator(sel("add-target")).focus()
        page.keyboard.press("Enter")
        expect(page.locator(sel("model-search"))).to_be_focused()
        for _ in range(40):
            page.keyboard.press("Tab")
            outside = page.evaluate("!document.activeElement.closest('dialog') && document.activeElement !== document.body")
            assert not outside, "Tab leaves the dialog"
        page.keyboard.press("Escape")
        expect(page.locator(sel("model-search"))).to_have_count(0)
        expect(page.locator(sel("add-target"))).to_be_focused()


main(an_alias_is_made_without_a_mouse, a_dialog_keeps_the_focus_and_gives_it_back)
