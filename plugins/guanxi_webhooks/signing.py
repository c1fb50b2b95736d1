"""Secrets and signatures as Standard Webhooks has them."""

import base64
import datetime as dt
import secrets
from collections.abc import Iterable
from typing import Final

from standardwebhooks import Webhook

_PREFIX: Final = "whsec_"
_BYTES: Final = 32


def new_secret() -> str:
    """A secret that nobody can guess."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_BYTES)).decode()


def signed(keys: Iterable[str], message_id: str, at: dt.datetime, content: str) -> dict[str, str]:
    """The headers by which a receiver knows who sent ``content``, one signature for each key."""
    at = at.astimezone(dt.UTC)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(Webhook(key).sign(message_id, at, content) for key in keys),
    }
