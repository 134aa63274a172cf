"""Commands of every kind, run by an owner or a machine with a fake server."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tests.harness.client.world import EMAIL, PASSWORD
from vaultr.client.crypto.keys import secret_key_text
from vaultr.client.crypto.recovery_key import RecoveryKey

NEW_PASSWORD = "another master password"
VARIABLES = {"variables": {"DB_HOST": "db.example"}}
ITEM = json.dumps({"overview": {"title": "New"}, "detail": {"password": "new"}})
TOTP = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"


@dataclass(frozen=True)
class TypedCommand:
    """One command: its words, other input, and its device."""

    words: tuple[str, ...]
    stdin: str = ""
    also: dict[str, str] = field(default_factory=dict)
    on: str = "laptop"
    password: str | None = PASSWORD
    as_machine: bool = False

    def run(self, proxy):
        """Run it with the secrets of ``proxy``."""
        also = {option: value.format_map(vars(proxy)) for option, value in self.also.items()}
        env = {"VAULTR_TOKEN": proxy.token, "VAULTR_AGENT": None} if self.as_machine else {}
        return proxy.types(
            *(word.replace("{folder}", str(proxy.folder)) for word in self.words),
            on=self.on,
            password=None if self.as_machine else self.password,
            also=also,
            stdin=self.stdin,
            env=env,
        )


def owner(*words, **more):
    return TypedCommand(words, **more)


def machine(*words, **more):
    return TypedCommand(words, as_machine=True, **{"on": "job", **more})


COMMANDS = {
    "sync": owner("sync"),
    "login": owner("login", "--email", EMAIL),
    "add": owner("add", "login", "--json", stdin=ITEM),
    "trash": owner("rm", "Mail"),
    "history": owner("history", "Mail"),
    "new vault": owner("vaults", "add", "Other"),
    "rotate": owner("rotate"),
    "explain": owner("sync", "--explain"),
    "edit": owner("edit", "Mail", "--json", stdin=ITEM),
    "passwd others know": owner(
        "passwd", "--others-know", also={"--new-password-fd": NEW_PASSWORD}
    ),
    "recovery key": owner("recovery-key", "create"),
    "status": owner("status"),
    "list": owner("list"),
    "show": owner("show", "Mail", "--reveal"),
    "read": owner("read", "vaultr://Personal/Mail/password"),
    "inject": owner("inject", stdin="A={{ vaultr://Personal/Mail/password }}\n"),
    "code": owner("code", "Code"),
    "export set": owner("export", "prod"),
    "export all": owner("export", "--all", "--format", "json", "-o", "{folder}/items.json"),
    "import": owner("import", "--title", "dotenv", "{folder}/a.env"),
    "import again": owner("import", "--list"),
    "one version": owner("history", "Mail", "--revision", "1"),
    "restore": owner("restore", "Trashed"),
    "restore version": owner("restore", "Mail", "--revision", "1"),
    "move": owner("move", "Mail", "--to", "Work"),
    "vaults": owner("vaults", "list"),
    "rename": owner("vaults", "rename", "Work", "Play"),
    "delete vault": owner("vaults", "rm", "Work", "--confirm", "Work"),
    "accept": owner("sync", "--accept", "--yes"),
    "passwd": owner("passwd", "--nobody-knows", also={"--new-password-fd": NEW_PASSWORD}),
    "no recovery key": owner("recovery-key", "remove"),
    "recover": owner(
        "recover",
        on="new",
        password=NEW_PASSWORD,
        also={"--recovery-key-fd": "{paper}"},
    ),
    "first login": owner(
        "login", "--email", EMAIL, on="tablet", also={"--secret-key-fd": "{secret_key_text}"}
    ),
    "lock": owner("lock", password=None),
    "logout": owner("logout"),
    "unlock": owner("unlock"),
    "health": owner("health"),
    "kit": owner("kit", "{folder}/kit.html"),
    "machines": owner("machines", "list"),
    "one machine": owner("machines", "show", "ci"),
    "new machine": owner("machines", "add", "cd", "--vault", "Work", "--out", "{folder}/cd"),
    "edit machine": owner("machines", "edit", "ci", "--vault", "Personal:write"),
    "machine token": owner("machines", "token", "ci", "--out", "{folder}/ci2"),
    "delete machine": owner("machines", "rm", "ci"),
    "machine list": machine("list"),
    "machine read": machine("read", "vaultr://Personal/Mail/password"),
    "machine edit": machine("edit", "Mail", "--json", stdin=ITEM),
    "cold machine": machine("export", "prod", on="cold job"),
    "delete account": owner("account", "delete", "--confirm", EMAIL),
}


def fill(proxy):
    """Store the data that the commands need: vaults, versions, a machine, a pending recovery."""
    with proxy.opened() as laptop:
        laptop.step_up(PASSWORD)
        laptop.edit("Mail", detail={"password": "second"})
        laptop.add("login", {"title": "Trashed"}, {"password": "trashed"})
        laptop.trash("Trashed")
        laptop.add("login", {"title": "Code"}, {"password": "code", "totp": TOTP})
        laptop.add("env_set", {"title": "prod"}, VARIABLES)
        laptop.create_vault("Work")
        laptop.rotate("Personal")
        later = datetime.now(UTC) + timedelta(days=90)
        proxy.token = laptop.add_machine("ci", {"Personal": "write"}, expires_at=later)[1]
        proxy.paper = laptop.create_recovery_key().text
    proxy.secret_key_text = secret_key_text(proxy.secret_key)
    with proxy.sdk("new") as new:
        new.ask_recovery(EMAIL)
        token = proxy.server.recovery["token"]
        new.start_recovery(EMAIL, token, RecoveryKey.read(proxy.paper))
    COMMANDS["machine list"].run(proxy)  # so that the job has a copy to continue
    with proxy.opened("phone") as phone:  # so that a sync returns something
        phone.add("login", {"title": "Of the phone"}, {"password": "of the phone"})
    proxy.server.recovery["ready_at"] = datetime.now(UTC) - timedelta(seconds=1)
    (proxy.folder / "a.env").write_text("A=1\n")
    proxy.saved = proxy.saved.with_name("filled")
    proxy.save()
