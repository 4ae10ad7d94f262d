"""The pages on which people read the OpenAPI document: /docs tries operations, /redoc is to read.

Their scripts come in a package of ours: the pages work without the internet, and no foreign host
has a say in a page on which somebody is signed in. FastAPI's own pages have a script inside them,
which the policy would have to let through together with anybody's.
"""

from html import escape

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

ASSETS = "/docs/assets"
START_PATH = "/docs/start.js"
# Styles are made by scripts while these run. Redoc searches in a worker, which it makes of a blob.
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; worker-src blob:; "
    "frame-ancestors 'none'"
)
HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
"""
SWAGGER = (
    HEAD
    + """<link rel="stylesheet" href="{assets}/swagger-ui.css">
</head>
<body>
<div id="swagger-ui" data-document="{document}"></div>
<script src="{assets}/swagger-ui-bundle.js"></script>
<script src="{start}"></script>
</body>
</html>
"""
)
REDOC = (
    HEAD
    + """<style>body {{ margin: 0; }}</style>
</head>
<body>
<redoc spec-url="{document}"></redoc>
<script src="{assets}/redoc.standalone.js"></script>
</body>
</html>
"""
)
# Without a validator: the badge of the usual one asks a server of its publisher's.
START = """SwaggerUIBundle({
  url: document.getElementById("swagger-ui").dataset.document,
  dom_id: "#swagger-ui",
  deepLinking: true,
  showExtensions: true,
  showCommonExtensions: true,
  layout: "BaseLayout",
  validatorUrl: null,
});
"""


def install(app: FastAPI) -> None:
    app.add_route("/docs", swagger, include_in_schema=False)
    app.add_route("/redoc", redoc, include_in_schema=False)
    app.add_route(START_PATH, start, include_in_schema=False)
    app.mount(ASSETS, StaticFiles(packages=[("fastapi_offline", "static")]), name="docs")


def swagger(request: Request) -> Response:
    return page(request, SWAGGER)


def redoc(request: Request) -> Response:
    return page(request, REDOC)


def page(request: Request, form: str) -> Response:
    below = escape(request.scope.get("root_path", ""))
    content = form.format(
        title=escape(f"{request.app.title} {request.app.version}"),
        assets=below + ASSETS,
        start=below + START_PATH,
        document=below + request.app.openapi_url,
    )
    return HTMLResponse(content, headers={"Content-Security-Policy": CSP})


def start(request: Request) -> Response:
    return Response(START, media_type="text/javascript")
