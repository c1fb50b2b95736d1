"""What a package promises is what it holds."""

import importlib
import types

import pytest


@pytest.mark.parametrize(
    "name",
    [
        "guanxi_sdk",
        "guanxi_sdk.testing",
        "guanxi_customers",
        "guanxi_tiers",
        "guanxi_relationships",
        "guanxi_webhooks",
    ],
)
def test_all_names_are_exported(name):
    module = importlib.import_module(name)
    public = {
        key
        for key, value in vars(module).items()
        if not key.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert public == set(module.__all__)


def test_everything_public_in_the_sdk_is_documented():
    import guanxi_sdk

    for name in guanxi_sdk.__all__:
        thing = getattr(guanxi_sdk, name)
        if name not in ("SQL",):
            assert thing.__doc__, name
            if isinstance(thing, type):
                for key, member in vars(thing).items():
                    if not key.startswith("_") and callable(member):
                        assert member.__doc__, f"{name}.{key}"
