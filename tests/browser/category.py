"""An alias of categories made on the page: prompts are tried before it is saved, and then
served as was promised.

The gateway has the models one/m, two/m and three/m, and no alias but `other`.
"""

from common import *

TARGETS = {"writing": ["one/m", "two/m"], "refunds": ["two/m"], "default": ["three/m"]}
EXAMPLES = ["I'd like to return my order", "when do I get my refund?", "the money for my returned shoes has not come"]

STORY = "Write a short story about a lighthouse keeper"
REFUND = "when do I get my money back?"
FACT = "What is the capital of France?"

PROMPTS = {STORY: "writing", REFUND: "refunds", FACT: "default"}


def within(category):
    return sel("category-item", category)


def part(page, category, name):
    return page.locator(f"{within(category)} {sel(name)}")


def add_category(page, name):
    """A new one is called `coding` until it is called otherwise."""
    page.click(sel("add-category"))
    part(page, "coding", "category-name").fill(name)
    expect(page.locator(within(name))).to_be_visible()


def fill_in(page):
    page.fill(sel("alias-name"), "desk")
    page.select_option(sel("strategy"), "category")
    assert names(page, "category-item") == ["default"]
    add_category(page, "writing")
    expect(part(page, "writing", "category-description")).to_have_count(0)
    add_category(page, "refunds")
    part(page, "refunds", "category-description").fill("customers who want their money back")
    for at, example in enumerate(EXAMPLES):
        part(page, "refunds", "add-example").click()
        part(page, "refunds", "category-example").nth(at).fill(example)
    for category, targets in TARGETS.items():
        add(page, *targets, within=within(category))
    assert names(page, "category-item") == ["writing", "refunds", "default"]


def try_out(page, prompt):
    """Tries a prompt and returns what the page takes it for."""
    page.fill(sel("try-prompt"), prompt)
    with page.expect_response("**/admin/v1/explain") as answer:
        page.click(sel("try-run"))
    assert answer.value.ok, answer.value.text()
    found = answer.value.json()["category"]
    expect(page.locator(sel("try-category"))).to_have_text(found["name"])
    expect(page.locator(sel("try-run"))).to_be_enabled()
    return found


def order(page):
    return page.locator(f"{sel('try-result')} {sel('order-row')}").evaluate_all("all => all.map(one => one.dataset.name)")


def look(page, name, whole=True):
    """Nobody is kept out and nothing hangs over, on a wide screen and on a phone. `whole`: the
    picture is of the whole page, without what sticks to the edge of the screen in front of it.
    """
    wrong = []
    for width, height in ((1280, 900), (375, 740)):
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(300)
        wrong += [f"{name} at {width}: {one}" for one in barriers(page) + hanging_over(page)]
        if whole:
            height = page.evaluate("document.documentElement.scrollHeight")
            page.set_viewport_size({"width": width, "height": height})
        shot(page, f"category-{name}-{width}")
    page.set_viewport_size({"width": 1280, "height": 900})
    assert not wrong, "\n".join(wrong)


def prompts_are_tried_before_categories_are_saved_and_go_where_it_was_said():
    with browser(allow=[NOT_YET]) as page:
        log_in(page, "/dashboard/new-alias")
        fill_in(page)
        for prompt, category in PROMPTS.items():
            found = try_out(page, prompt)
            assert found["name"] == category, found
            targets = [f"{model}@{model.removesuffix('/m')}" for model in TARGETS[category]]
            eventually("its targets, in their order", lambda: order(page) == targets)
            told = re.search(r"([\d.]+) ?%", page.locator(sel("try-confidence")).inner_text())
            assert abs(float(told[1]) - 100 * found["confidence"]) <= 1, (told, found)
            expect(page.locator(sel("try-reason"))).to_have_count(1 if category == "default" else 0)
            look(page, f"try-{category}")
        expect(page.locator(sel("try-reason"))).to_contain_text("question answering")

        preview(page)
        expect(page.locator(sel("preview-diff"))).to_contain_text("refunds")
        look(page, "preview", whole=False)
        page.click(sel("save"))
        expect(page.locator(sel("alias-page"))).to_be_visible()
        saved = {one["name"]: one for one in alias("desk")["categories"]}
        assert {name: [target["model"] for target in one["targets"]] for name, one in saved.items()} == TARGETS, saved
        assert saved["refunds"]["examples"] == EXAMPLES, saved

        for prompt, category in PROMPTS.items():
            text, headers = by_sdk("desk", prompt)
            assert headers["x-pointsman-category"] == category, headers
            assert ("x-pointsman-category-reason" in headers) == (category == "default"), headers
            assert text.startswith(f"[{TARGETS[category][0]}] "), text
        for category in TARGETS:
            expect(page.locator(f"{sel('decision-row')} summary").filter(has_text=category)).to_have_count(1)
        page.locator(sel("decision-row")).first.locator("summary").click()
        look(page, "alias")


def what_does_not_fit_a_category_is_told_before_it_is_saved():
    with browser(allow=[NOT_YET, "422"]) as page:
        log_in(page, "/dashboard/new-alias")
        page.fill(sel("alias-name"), "bare")
        page.select_option(sel("strategy"), "category")
        add_category(page, "refunds")
        add(page, "two/m", within=within("refunds"))
        add(page, "three/m", within=within("default"))
        page.fill(sel("try-prompt"), REFUND)
        page.click(sel("try-run"))
        # Of its own category nothing is known yet.
        expect(page.locator(sel("try-result"))).to_contain_text("description")
        look(page, "problem")
        part(page, "refunds", "category-description").fill("customers who want their money back")
        assert try_out(page, REFUND)["name"] == "refunds"
        expect(page.locator(sel("try-stale"))).to_have_count(0)
        # What was decided by another form than the one to be seen is not taken for its decision.
        part(page, "refunds", "category-description").fill("customers who want to know where their parcel is")
        expect(page.locator(sel("try-stale"))).to_be_visible()


main(
    prompts_are_tried_before_categories_are_saved_and_go_where_it_was_said,
    what_does_not_fit_a_category_is_told_before_it_is_saved,
)
