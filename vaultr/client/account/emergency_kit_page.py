"""The emergency kit as an HTML page to print, without scripts or external resources."""

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
<tr><td>Master password</td><td>If you write it down, keep it apart from this page.</td></tr>
</table>
$code
<p>On a new device, run <code>vaultr login</code> and enter the text below when it asks for the
secret key. Type or paste the lines as they are; they are not shown while you type.</p>
<pre>
$text
</pre>
<p>$about</p>
<p>Print this page, keep it where only you can reach it, and delete this file. After you change your
master password, print a new one: <code>vaultr kit</code>.</p>
</body>
</html>
""")
_WITH_KEY: Final = (
    "This page contains the secret key, which is useless without the master password. If you lose "
    "the master password and have no recovery key, nobody can open your vaults."
)
_WITHOUT_KEY: Final = (
    "This account has no secret key. This page only shows which server is the right one, and with "
    "which parameters the master password is used."
)


def page(kit: Kit, email: str) -> str:
    """Return the page of a kit."""
    return _PAGE.substitute(
        email=escape(email),
        origin=escape(kit.pins.origin),
        code=qr.svg(kit.text),
        text="\n".join(map(escape, kit.parts())),
        about=_WITHOUT_KEY if kit.secret_key is None else _WITH_KEY,
    )
