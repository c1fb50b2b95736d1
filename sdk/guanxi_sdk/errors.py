"""Every error of the SDK.

::

    GuanxiError
    ├── PluginError          an author's mistake, raised when the plugin is defined or composed
    └── Refusal              the caller's request cannot be done; reaches the client
        ├── Invalid          one argument is wrong         → payload ``errors``
        ├── NotFound         missing, foreign or malformed  → payload ``errors``
        ├── Conflict         somebody else was faster       → payload ``errors``
        ├── Unauthenticated  no valid token                 → top-level error
        └── Forbidden        a right is missing             → top-level error
"""


class GuanxiError(Exception):
    """Base of every error that guanxi raises on purpose."""


class PluginError(GuanxiError):
    """A plugin's definition is wrong; the message names the culprit and the remedy."""

    def __init__(self, plugin: str, message: str) -> None:
        super().__init__(f"plugin '{plugin}': {message}" if plugin else message)
        self.plugin = plugin


class Refusal(GuanxiError):
    """The request was understood and cannot be done. ``path`` is in Python spelling."""

    code = "REFUSED"

    def __init__(self, path: str | None, message: str, *, code: str | None = None) -> None:
        super().__init__(f"{path} {message}" if path else message)
        self.path = path
        self.message = message
        if code:
            self.code = code


class Invalid(Refusal):
    """One argument is wrong: ``Invalid("body", "is longer than 3 characters")``."""

    code = "INVALID"


class NotFound(Refusal):
    """There is no such object, or it belongs to somebody else: the answer is the same."""

    code = "NOT_FOUND"

    def __init__(self, path: str | None = "id", message: str = "does not exist") -> None:
        super().__init__(path, message)


class Conflict(Refusal):
    """The object changed since it was read; read it again and repeat."""

    code = "CONFLICT"

    def __init__(
        self,
        path: str | None = "version",
        message: str = "is no longer current: read the object again and repeat",
    ) -> None:
        super().__init__(path, message)


class Unauthenticated(Refusal):
    """No token, or one that is unknown, expired or revoked."""

    code = "UNAUTHENTICATED"

    def __init__(self, message: str = "A valid API token is required.") -> None:
        super().__init__(None, message)


class Forbidden(Refusal):
    """The caller lacks a permission, or the clearance for a confidential value."""

    code = "FORBIDDEN"

    def __init__(self, permission: str, message: str | None = None) -> None:
        super().__init__(None, message or f"This needs the permission '{permission}'.")
        self.permission = permission
