"""What docs/guides/ingestion.md reads: a shop's API with pages and a key, and a feed.

    python examples/guide_servers.py

It answers on port 18907 of this machine alone, until it is stopped (Ctrl-C).
"""

import json
import sys
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

ADDRESS = ("127.0.0.1", 18907)
KEY = "for-the-guide-only"
MOST = 2  # orders a page, however many are asked for
ORDERS: list[dict[str, Any]] = [
    {"number": 1, "item": {"name": "kettle"}, "buyer": "Ada", "placed": "2026-03-01T09:00:00Z"},
    {"number": 2, "item": {"name": "lamp"}, "buyer": "Grace", "placed": "2026-03-01T10:30:00Z"},
    {"number": 3, "item": {"name": "chair"}, "buyer": "Edsger", "placed": "2026-03-02T08:15:00Z"},
    {"number": 4, "item": {"name": "desk"}, "buyer": "Barbara", "placed": "2026-03-02T11:45:00Z"},
    {"number": 5, "item": {"name": "clock"}, "buyer": "Donald", "placed": "2026-03-03T07:20:00Z"},
]
FEED = """<?xml version="1.0" encoding="utf-8"?>
<rss version="2.0"><channel><title>Shop news</title><link>http://127.0.0.1/news</link>
<description>What is new in the shop</description>
<item><title>Lamps are back</title><link>http://127.0.0.1/news/2</link><guid>news-2</guid>
<pubDate>Mon, 02 Mar 2026 09:00:00 GMT</pubDate><description>All of them.</description></item>
<item><title>We are open</title><link>http://127.0.0.1/news/1</link><guid>news-1</guid>
<pubDate>Sun, 01 Mar 2026 09:00:00 GMT</pubDate><description>Come in.</description></item>
</channel></rss>
"""


class Shop(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        if asked.path == "/news.xml":
            self.answer(200, "application/rss+xml", FEED)
        elif asked.path != "/orders":
            self.answer_json(404, {"error": "There are /orders and /news.xml."})
        elif self.headers.get("X-Shop-Key") != KEY:
            self.answer_json(401, {"error": "Send the key of the guide in X-Shop-Key."})
        else:
            params = parse_qs(asked.query)
            page, since = int(params.get("page", ["1"])[0]), params.get("since", [""])[0]
            matching = [order for order in ORDERS if str(order["placed"]) >= since]
            found = matching[(page - 1) * MOST : page * MOST]
            self.answer_json(200, {"total": len(matching), "orders": found})

    def do_POST(self) -> None:
        """A new order, as it is sent."""
        if self.path != "/orders" or self.headers.get("X-Shop-Key") != KEY:
            self.answer_json(401, {"error": "Send an order to /orders, with the key of the guide."})
            return
        order = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
        ORDERS.append(order)
        self.answer_json(201, order)

    def answer_json(self, status: int, body: Any) -> None:
        self.answer(status, "application/json", json.dumps(body))

    def answer(self, status: int, media: str, text: str) -> None:
        content = f"{text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", media)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Quiet: the guide's own output is what one wants to see."""


if __name__ == "__main__":
    try:
        server = ThreadingHTTPServer(ADDRESS, Shop)
    except OSError as error:
        sys.exit(f"The shop cannot answer on {ADDRESS[0]}:{ADDRESS[1]}: {error.strerror}.")
    with suppress(KeyboardInterrupt):
        server.serve_forever()
