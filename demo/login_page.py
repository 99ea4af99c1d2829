"""The page that asks for a password. It has no script, and nothing on it is fetched."""

from html import escape

from starlette.responses import HTMLResponse

POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'"
STYLE = """
:root { color-scheme: light dark; --ink: #1a1a19; --soft: #5c5b57; --back: #f4f4f1; --card: #fff; --line: #8a8983;
  --main: #0f766e; --on: #fff; --bad: #b42318; }
@media (prefers-color-scheme: dark) { :root { --ink: #f2f1ec; --soft: #b3b1a8; --back: #131316; --card: #1d1d21; --line: #77767f;
  --main: #2dd4bf; --on: #06211e; --bad: #ff9c92; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem; background: var(--back);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
main { width: min(24rem, 100%); background: var(--card); border-radius: 1rem; padding: 2rem; box-shadow: 0 1px 8px #0002; }
h1 { font-size: 1.4rem; margin: 0 0 .25rem; } p { margin: 0 0 1rem; color: var(--soft); } .fault { color: var(--bad); }
label { display: block; font-weight: 600; margin: .75rem 0 .25rem; }
input { width: 100%; font: inherit; color: inherit; background: transparent; border: 1px solid var(--line); border-radius: .5rem;
  padding: .6rem .75rem; }
button { width: 100%; margin-top: 1.25rem; font: inherit; font-weight: 600; border: 0; border-radius: .5rem; padding: .7rem;
  background: var(--main); color: var(--on); cursor: pointer; }
:focus-visible { outline: 3px solid var(--main); outline-offset: 2px; }
"""


def page(said: str, *, form: bool = True, asks_name: bool = True, status: int = 200) -> HTMLResponse:
    """The page.

    Args:
        said: what is wrong, as plain text; "" for nothing.
        form: ask for a password.
        asks_name: ask for a name too.
        status: of the answer.
    """
    name = '<label for="user">Name</label><input id="user" name="user" autocomplete="username" required autofocus>'
    focus = "" if asks_name else " autofocus"
    fields = (
        '<form method="post" action="login">'
        f"{name if asks_name else ''}"
        '<label for="password">Password</label><input id="password" name="password" type="password" '
        f'autocomplete="current-password" required{focus}><button>Log in</button></form>'
    )
    fault = f'<p class="fault" role="alert">{escape(said)}</p>' if said else ""
    body = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<meta name="robots" content="noindex"><title>lpo-tts</title><style>{STYLE}</style></head><body><main>'
        f"<h1>lpo-tts</h1>{'<p>Speech of models, to be heard and judged.</p>' if form else ''}{fault}{fields if form else ''}"
        "</main></body></html>"
    )
    return HTMLResponse(body, status, headers={"Content-Security-Policy": POLICY, "Cache-Control": "no-store"})
