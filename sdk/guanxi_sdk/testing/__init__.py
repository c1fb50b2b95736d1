"""Test kit for plugin authors: ``guanxi`` boots an application with the plugins under test."""

from guanxi_sdk.testing.app import App, GraphQLFailed, global_id
from guanxi_sdk.testing.boot import Boot
from guanxi_sdk.testing.clock import Clock

__all__ = ["App", "Boot", "Clock", "GraphQLFailed", "global_id"]
