"""The page behind a link: it works without scripts, and before there is any console."""

import base64
import hashlib
from html import escape

from astralytiq.core.security import PASSWORD_BYTES

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:28rem;margin:4rem auto;padding:0 1rem;"
    "color:#1c1c1c;background:#fff}label,input,button{display:block;width:100%;font:inherit;"
    "box-sizing:border-box}input,button{padding:.6rem;margin:.4rem 0 1rem}"
    "[role=alert]{color:#a40000}"
)
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
# Our own style and our own form, and nothing else.
CSP = (
    f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
RULES = f"At least 8 characters, and at most {PASSWORD_BYTES} bytes. A few words in a row do well."

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} - AstralytiQ</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{content}
</main>
</body>
</html>
"""
FORM = """<form method="post" action="reset">
<input type="hidden" name="token" value="{token}">
<label for="new_password">New password</label>
<input type="password" id="new_password" name="new_password" minlength="8" required autofocus
 autocomplete="new-password" aria-describedby="rules">
<p id="rules">{rules}</p>
<button>Set password</button>
</form>"""


def page(title: str, content: str) -> str:
    return PAGE.format(title=escape(title), style=STYLE, content=content)


def ask(token: str, fault: str = "") -> str:
    alert = f'<p role="alert">{escape(fault)}</p>\n' if fault else ""
    form = FORM.format(token=escape(token), rules=escape(RULES))
    return page("Choose a password", alert + form)


def done() -> str:
    words = "Your password is set, and all sessions of your account have ended. Sign in with it."
    return page("Your password is set", f"<p>{words}</p>")


def refused(reason: str) -> str:
    return page("This did not work", f'<p role="alert">{escape(reason)}</p>')
