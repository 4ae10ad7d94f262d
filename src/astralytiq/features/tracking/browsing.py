"""MLflow's interface in a browser: its page, with our proof against forged requests added.

A cookie alone changes nothing here, and MLflow's own script knows nothing of our token. So a
script of ours goes before it, sends the token along, and renews a sign-in that has run out.
"""

from functools import cache

from astralytiq.core.errors import Unavailable

from . import hosting

SCRIPT_PATH = "/astralytiq.js"
SCRIPT = """\
(() => {
  "use strict";
  // A first visit begins with models: assistants and the like are closed here.
  const first = {
    "mlflow.workflowType_v1": "machine_learning",
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": true,
    "mlflow.detectIssues.guidanceShown_v1": true,
  };
  for (const [key, value] of Object.entries(first)) {
    if (localStorage.getItem(key) === null) localStorage.setItem(key, JSON.stringify(value));
  }
  const plain = window.fetch.bind(window);
  const safe = new Set(["GET", "HEAD", "OPTIONS"]);
  const api = new URL("../api/v1/auth/", document.baseURI);
  let asked;
  const token = () =>
    (asked ??= plain(new URL("csrf-token", api), { credentials: "same-origin" })
      .then((answer) => answer.json())
      .then((found) => found.csrf_token));
  const sent = async (request) => {
    if (safe.has(request.method)) return plain(request);
    const headers = new Headers(request.headers);
    headers.set("X-CSRF-Token", await token());
    return plain(new Request(request, { headers }));
  };
  window.fetch = async (target, options) => {
    const request = new Request(target, options);
    if (new URL(request.url).origin !== location.origin) return plain(target, options);
    const again = request.clone();
    const answer = await sent(request);
    if (answer.status !== 401) return answer;
    // An access token lasts half an hour, and MLflow's script knows no way to a new one.
    const renewed = await plain(new URL("refresh", api), { method: "POST" });
    if (!renewed.ok) return answer;
    asked = undefined;
    return sent(again);
  };
  const { open, send } = XMLHttpRequest.prototype;
  XMLHttpRequest.prototype.open = function (method, url, ...more) {
    const ours = new URL(url, document.baseURI).origin === location.origin;
    this.needsToken = ours && !safe.has(method.toUpperCase());
    return open.call(this, method, url, ...more);
  };
  XMLHttpRequest.prototype.send = function (body) {
    if (!this.needsToken) return send.call(this, body);
    token().then((found) => {
      this.setRequestHeader("X-CSRF-Token", found);
      send.call(this, body);
    });
  };
})();
"""
TAG = b'<script src="astralytiq.js"></script>'
FIRST = b"<script "

# MLflow's interface makes styles and workers as it goes; scripts are files of ours alone.
CSP = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; "
    "frame-src 'self' blob:; connect-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
# What clients have logged may be a page with scripts: it is never one of ours.
FILES_CSP = "default-src 'none'; sandbox; frame-ancestors 'none'"


@cache
def page() -> bytes:
    """Our script before MLflow's."""
    before, found, after = hosting.page().partition(FIRST)
    if not found:
        raise Unavailable("MLflow's page is another than this release knows: update the platform.")
    return before + TAG + found + after
