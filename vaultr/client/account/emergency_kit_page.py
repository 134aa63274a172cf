"""The emergency kit as a page to print: no script, and nothing that is fetched from elsewhere."""

from html import escape
from string import Template
from typing import Final

from vaultr.client.account import qr
from vaultr.client.account.emergency_kit import Kit

_PAGE: Final = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="referrer" content="no-referrer">
<title>Vaultr emergency kit</title>
<style>
body { font: 12pt/1.5 sans-serif; max-width: 42rem; margin: 2rem auto; color: #000 }
svg { width: 14rem; height: 14rem }
pre { font: 11pt/1.6 monospace; white-space: pre-wrap; word-break: break-all }
td { padding: .2rem 1rem .2rem 0; vertical-align: top }
</style>
</head>
<body>
<h1>Vaultr emergency kit</h1>
<table>
<tr><td>Account</td><td>$email</td></tr>
<tr><td>Server</td><td>$origin</td></tr>
<tr><td>Master password</td><td>Write it down only where this sheet is not.</td></tr>
</table>
$code
<p>On a new device run <code>vaultr login</code> and give the text below in place of the secret key.
The lines can be typed or pasted as they are; nothing is shown of them.</p>
<pre>
$text
</pre>
<p>$about</p>
<p>Print it, keep it where only you can reach it, and delete this file. A new master password makes
another sheet necessary: <code>vaultr kit</code>.</p>
</body>
</html>
""")
_WITH_KEY: Final = (
    "It holds the secret key. Whoever has it still needs the master password; whoever has lost "
    "both, and the recovery key, has lost what is in the vault."
)
_WITHOUT_KEY: Final = (
    "This account has no secret key: the sheet only says which server is the right one, and with "
    "which parameters the password is used."
)


def page(kit: Kit, email: str) -> str:
    """Write the page of a kit."""
    return _PAGE.substitute(
        email=escape(email),
        origin=escape(kit.pins.origin),
        code=qr.svg(kit.text),
        text="\n".join(map(escape, kit.parts())),
        about=_WITHOUT_KEY if kit.secret_key is None else _WITH_KEY,
    )
