"""Who can reach `fpplm up`: whoever can start runs on Prefect's API can also run commands as its worker's user.

So the server listens to this machine alone, unless its API asks for a password; and web pages that a browser on this
machine shows cannot use it.
"""

from __future__ import annotations

import os

from fpplm_core.errors import FpplmError

AUTH = "PREFECT_SERVER_API_AUTH_STRING"


def secure(host: str, here_only: bool, origin: str) -> None:
    """Sets in the environment what Prefect's server needs, and lets its clients here log in.

    Raises FpplmError if other machines reach the server and its API would ask for no password. PREFECT_HOME is set.
    """
    os.environ.setdefault("PREFECT_SERVER_CSRF_PROTECTION_ENABLED", "true")
    local = origin.replace("127.0.0.1", "localhost")
    os.environ.setdefault("PREFECT_SERVER_CORS_ALLOWED_ORIGINS", ",".join(dict.fromkeys((origin, local))))
    has_password = log_in()
    if not here_only and not has_password:
        raise FpplmError(
            "other machines could start runs here without a password",
            where="--host",
            got=host,
            do=f"set {AUTH}=USER:PASSWORD for fpplm up; or omit --host and use ssh -L (docs/security.md)",
        )


def log_in() -> bool:
    """Lets Prefect's clients in this process and its children use the server's password; whether there is one.

    Prefect reads it from the environment, its profiles or a file of settings.
    """
    from prefect.context import refresh_global_settings_context
    from prefect.settings import get_current_settings

    secret = get_current_settings().server.api.auth_string
    auth = secret.get_secret_value() if secret else ""
    if not auth.partition(":")[2]:
        return False
    os.environ.setdefault("PREFECT_API_AUTH_STRING", auth)
    refresh_global_settings_context()
    return True
