"""A provider breaks, and the page says so within five seconds; then it comes back.

The alias `steady` has the models one/m and two/m; the address of the provider `one` is given.
"""

import socket
import sys
import threading
from urllib.parse import urlsplit

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


class Line:
    """What a browser goes through to the gateway, until it is cut."""

    def __init__(self, to):
        self.to = (urlsplit(to).hostname, urlsplit(to).port)
        self.whole, self.open = True, set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            near, _ = self.listener.accept()
            if not self.whole:
                near.close()
                continue
            far = socket.create_connection(self.to)
            self.open |= {near, far}
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one, other):
        try:
            while data := one.recv(65536):
                other.sendall(data)
        except OSError:
            pass
        for end in (one, other):
            self.open.discard(end)
            end.close()

    def cut(self):
        self.whole = False
        for end in list(self.open):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def mend(self):
        self.whole = True


def a_lost_connection_is_seen_and_found_again():
    line = Line(ADMIN)
    with browser(at=line.url, allow=[NOT_YET, "ERR_", "MIME type"]) as page:
        log_in(page, at=line.url)
        connection = page.locator(sel("connection"))
        expect(connection).to_have_attribute("data-state", "live")
        line.cut()
        expect(connection).to_have_attribute("data-state", re.compile("reconnecting|offline"))
        shot(page, "disconnected")
        line.mend()
        expect(connection).to_have_attribute("data-state", "live")
        expect(page.locator(sel("alias-row")).first).to_be_visible()


main(a_broken_provider_is_seen_within_five_seconds, a_lost_connection_is_seen_and_found_again)
