"""The last line of defence: what looks like a secret does not leave by a log or a trace."""

import re
from collections.abc import Mapping
from typing import Any, Final

HIDDEN: Final = "[hidden]"

_SECRETS: Final = re.compile(
    r"\bgx_[\w-]{8,}"  # API tokens
    r"|\bwhsec_[\w+/=-]+"  # the secrets of webhooks
    r"|\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?"  # JSON web tokens
    r"|(?<=\bbearer )\s*[^\s\"',;]+|(?<=\bbasic )\s*[^\s\"',;]{8,}"
    r"|(?<=://)[^\s/@:]*:[^\s/]*(?=@)"  # user and password in an address
    r"|(?<=\bpassword=)[^\s&\"']+|(?<=\bpasswd=)[^\s&\"']+|(?<=\bpwd=)[^\s&\"']+"
    r"|(?<=\btoken=)[^\s&\"']+|(?<=\bsecret=)[^\s&\"']+|(?<=\bapi_key=)[^\s&\"']+"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_KEYS: Final = re.compile(
    r"(?:^|[_.-])(?:password|passwd|pwd|secret|token|authorization|api[_-]?key|cookie|credentials?"
    r"|private[_-]?key|dsn|variables|arguments|parameters)$",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """``text`` without what looks like a secret."""
    return _SECRETS.sub(HIDDEN, text)


def redacted(value: Any) -> Any:
    """``value``, and what it holds, without secrets; by their look, or by the name they go by."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, bytes):
        return redact(value.decode("utf-8", "replace"))
    if isinstance(value, Mapping):
        return {
            key: HIDDEN if isinstance(key, str) and _KEYS.search(key) else redacted(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [redacted(item) for item in value]
    return value
