"""A provider breaks, and the page says so within five seconds; then it comes back.

The alias `steady` has the models one/m and two/m; the address of the provider `one` is given.
"""

import sys
import threading

from common import *

ONE = sys.argv[1]


def a_broken_provider_is_seen_within_five_seconds():
    over = threading.Event()

    def traffic():
        while not over.is_set():
            chat("steady")
            time.sleep(0.05)

    sender = threading.Thread(target=traffic)
    sender.start()
    try:
        with browser(allow=[NOT_YET]) as page:
            log_in(page, "/dashboard/aliases/steady")
            row = page.locator(sel("target-row", "one/m@one"))
            expect(row).to_have_attribute("data-state", "chosen")
            behave(ONE, {"faults": [{"share": 1, "kind": "status", "code": 503}]})
            since = time.monotonic()
            expect(row).to_have_attribute("data-health", re.compile("open|probing|probe_due"))
            expect(row).to_have_attribute("data-state", "skipped")
            took = time.monotonic() - since
            assert took < 5, f"it took {took:.1f} s"
            expect(page.locator(sel("target-row", "two/m@two"))).to_have_attribute("data-state", "chosen")
            shot(page, "broken")
            page.click(sel("nav-overview"))
            attention = f'{sel("attention-item")}[data-subject="one/m@one"]'
            expect(page.locator(attention)).to_be_visible()
            behave(ONE, {})
            expect(page.locator(attention)).to_have_count(0, timeout=90_000)
    finally:
        over.set()
        sender.join()


def a_lost_connection_is_seen_and_found_again():
    with browser(allow=[NOT_YET, "ERR_INTERNET_DISCONNECTED", "ERR_FAILED", "Failed to fetch"]) as page:
        log_in(page)
        connection = page.locator(sel("connection"))
        expect(connection).to_have_attribute("data-state", "live")
        page.context.set_offline(True)
        # The stream that is open stays so; what is asked anew fails.
        page.click(sel("nav-providers"))
        expect(connection).to_have_attribute("data-state", re.compile("reconnecting|offline"))
        page.context.set_offline(False)
        expect(connection).to_have_attribute("data-state", "live")


main(a_broken_provider_is_seen_within_five_seconds, a_lost_connection_is_seen_and_found_again)
