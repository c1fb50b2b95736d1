"""A plugin's settings: stored as JSON, checked against its Settings class."""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from guanxi_sdk import GuanxiError, Plugin
from guanxi_sdk.values import Settings

_WHERE: Final = re.compile(r" - at `\$\.?([^`]*)`")


class SettingsError(GuanxiError):
    """A setting does not fit; the message names the key and what is expected."""


def settings_of(plugin: type[Plugin[Any]], stored: Mapping[str, Any]) -> Settings:
    """What a tenant has stored, as the plugin's Settings; what is not stored takes its default.

    Keys that this version does not know are passed over, so that a version can drop a setting and
    the one before can find it again. A value that no longer fits raises :class:`SettingsError`.
    """
    try:
        return msgspec.convert(dict(stored), plugin.manifest.settings)
    except msgspec.ValidationError as error:
        raise SettingsError(_explained(plugin, error)) from None


def check_settings(plugin: type[Plugin[Any]], given: Mapping[str, Any]) -> dict[str, Any]:
    """``given`` as it is to be stored, or :class:`SettingsError` for a wrong key or value."""
    known = plugin.manifest.settings.__struct_fields__
    for key in given:
        if key not in known:
            raise SettingsError(
                f"plugin '{plugin.manifest.name}' has no setting '{key}'; "
                f"it has {', '.join(sorted(known)) or 'none'}."
            )
    complete = settings_of(plugin, given)
    return {key: msgspec.to_builtins(getattr(complete, key)) for key in given}


def read_settings(plugin: type[Plugin[Any]], given: Mapping[str, str]) -> dict[str, Any]:
    """Settings written as text: ``max_length=3``, lists and objects as JSON."""
    types = {f.name: f.type for f in msgspec.structs.fields(plugin.manifest.settings)}
    return check_settings(
        plugin, {key: _read(text, types.get(key, Any)) for key, text in given.items()}
    )


def _read(text: str, expected: Any) -> Any:
    """The text itself where that fits, else what it says as JSON."""
    try:
        return msgspec.to_builtins(msgspec.convert(text, expected, strict=False))
    except msgspec.ValidationError:
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError:
            return text


def _explained(plugin: type[Plugin[Any]], error: msgspec.ValidationError) -> str:
    message = str(error)
    match = _WHERE.search(message)
    reason = _WHERE.sub("", message).replace("`", "")
    reason = reason[:1].lower() + reason[1:]
    if match is None:
        return f"the settings of plugin '{plugin.manifest.name}' do not fit: {reason}."
    return f"setting '{match[1]}' of plugin '{plugin.manifest.name}' does not fit: {reason}."
