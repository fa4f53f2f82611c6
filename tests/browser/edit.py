"""An alias made, put in order, weighed and saved; and what requests do then.

The gateway has the models one/m, two/m and three/m, and no alias but `other`.
"""

from common import *

NAMES = ["one/m", "two/m", "three/m"]


def item(page, model, part):
    return page.locator(f"{sel('target-item', model)} {sel(part)}")


def an_alias_is_made_put_in_order_by_mouse_and_keys_and_serves():
    with browser(allow=[NOT_YET]) as page:
        page.goto(f"{ADMIN}/dashboard/")
        page.fill(sel("login-token"), "pma-wrong")
        page.click(sel("login-submit"))
        expect(page.locator(sel("login-error"))).to_be_visible()
        log_in(page)
        page.click(sel("new-alias"))
        page.fill(sel("alias-name"), "shop")
        page.select_option(sel("strategy"), "priority")
        add(page, *NAMES)
        expect(page.locator(sel("target-item"))).to_have_count(3)
        assert names(page, "target-item") == NAMES

        item(page, "three/m", "move-up").focus()
        page.keyboard.press("Enter")
        eventually("a key moves it", lambda: names(page, "target-item") == ["one/m", "three/m", "two/m"])
        item(page, "three/m", "drag-handle").focus()
        page.keyboard.press("Alt+ArrowUp")
        eventually("so does another", lambda: names(page, "target-item") == ["three/m", "one/m", "two/m"])
        said = page.locator(sel("live-announcer"))
        eventually("it is said", lambda: "three/m" in said.inner_text())

        handle, first = item(page, "two/m", "drag-handle"), page.locator(sel("target-item", "three/m"))
        handle.scroll_into_view_if_needed()
        from_, to = handle.bounding_box(), first.bounding_box()
        x = from_["x"] + from_["width"] / 2
        page.mouse.move(x, from_["y"] + from_["height"] / 2)
        page.mouse.down()
        page.mouse.move(x, to["y"] + to["height"] / 2, steps=10)
        page.mouse.move(x, to["y"] + 2, steps=5)
        page.mouse.up()
        eventually("the mouse moves it", lambda: names(page, "target-item") == ["two/m", "three/m", "one/m"])

        preview(page)
        expect(page.locator(sel("preview-diff"))).to_contain_text("two/m")
        shot(page, "preview")
        page.fill(sel("save-note"), "for the shop")
        page.click(sel("save"))
        expect(page.locator(sel("alias-page"))).to_be_visible()
        assert [target["model"] for target in alias("shop")["targets"]] == ["two/m", "three/m", "one/m"]
        latest = api("GET", "/admin/v1/revisions?limit=1")["items"][0]
        assert (latest["note"], latest["via"]) == ("for the shop", "dashboard"), latest
        text, headers = by_sdk("shop")
        assert headers["x-pointsman-target"] == "two/m@two", headers
        assert text.startswith("[two/m] "), text


def weights_and_strategy_are_changed_and_followed():
    document = {"strategy": "priority", "targets": [{"model": name} for name in NAMES]}
    api("PUT", "/admin/v1/aliases/weighed", document, **{"if-none-match": "*"})
    assert chat("weighed") == "one/m@one"
    with browser(allow=[NOT_YET]) as page:
        log_in(page, "/dashboard/aliases/weighed")
        page.click(sel("edit-alias"))
        page.select_option(sel("strategy"), "random-shuffle")
        for name, weight in zip(NAMES, ("0", "1", "3")):
            item(page, name, "weight").fill(weight)
        share = item(page, "three/m", "share")
        expect(share).to_contain_text("75")
        item(page, "two/m", "weight").fill("0")
        expect(share).to_contain_text("100")
        save(page)
        assert {chat("weighed") for _ in range(8)} == {"three/m@three"}
        page.click(sel("edit-alias"))
        page.select_option(sel("strategy"), "priority")
        item(page, "one/m", "remove-target").click()
        save(page)
        assert [target["model"] for target in alias("weighed")["targets"]] == ["two/m", "three/m"]


def what_does_not_fit_is_told_where_it_stands_and_nothing_changes():
    before = api("GET", "/admin/v1/revisions?limit=1")["items"][0]["number"]
    with browser(allow=[NOT_YET, "422"]) as page:
        log_in(page, "/dashboard/new-alias")
        page.fill(sel("alias-name"), "bad name!")
        add(page, "one/m")
        page.click(sel("preview"))
        expect(page.locator(sel("problem")).first).to_be_visible()
    assert api("GET", "/admin/v1/revisions?limit=1")["items"][0]["number"] == before


def two_editors_see_each_others_work():
    document = {"strategy": "priority", "targets": [{"model": "one/m"}, {"model": "two/m"}]}
    api("PUT", "/admin/v1/aliases/both", document, **{"if-none-match": "*"})
    with browser(allow=[NOT_YET, "412"]) as page:
        log_in(page, "/dashboard/aliases/both")
        page.click(sel("edit-alias"))
        item(page, "two/m", "move-up").click()
        preview(page)
        api("PATCH", "/admin/v1/aliases/both", {"max_attempts": 2})
        page.click(sel("save"))
        dialog = page.locator(sel("conflict-dialog"))
        expect(dialog).to_contain_text("max_attempts")
        expect(dialog.locator(sel("conflict-theirs")).filter(has_text="2")).not_to_have_count(0)
        expect(dialog.locator(sel("conflict-mine")).filter(has_text="two/m")).not_to_have_count(0)
        assert alias("both")["targets"][0]["model"] == "one/m", "nothing was overwritten"
        shot(page, "conflict")
        page.click(sel("conflict-reapply"))
        expect(dialog).to_have_count(0)
        # Whoever is faster once more is seen before anything is sent.
        api("PATCH", "/admin/v1/aliases/both", {"max_attempts": 3})
        page.click(sel("preview"))
        expect(dialog).to_be_visible()
        page.click(sel("conflict-reapply"))
        expect(dialog).to_have_count(0)
        save(page)
    both = alias("both")
    assert (both["max_attempts"], both["targets"][0]["model"]) == (3, "two/m"), both


def a_revision_is_gone_back_to():
    document = {"strategy": "priority", "targets": [{"model": "one/m"}]}
    made = api("PUT", "/admin/v1/aliases/back", document, **{"if-none-match": "*"})["revision"]
    api("PATCH", "/admin/v1/aliases/back", {"strategy": "lowest-price"})
    with browser(allow=[NOT_YET]) as page:
        log_in(page, "/dashboard/history")
        expect(page.locator(sel("revision-row", made + 1))).to_be_visible()
        page.goto(f"{ADMIN}/dashboard/history/{made}")
        expect(page.locator(sel("revision-diff"))).to_contain_text("one/m")
        page.click(sel("rollback"))
        page.click(sel("dialog-confirm"))
        eventually("it is as it was", lambda: alias("back")["strategy"] == "priority")


main(
    an_alias_is_made_put_in_order_by_mouse_and_keys_and_serves,
    weights_and_strategy_are_changed_and_followed,
    what_does_not_fit_is_told_where_it_stands_and_nothing_changes,
    two_editors_see_each_others_work,
    a_revision_is_gone_back_to,
)
