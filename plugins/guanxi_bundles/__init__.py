"""Bundles that come with guanxi, one TOML file each with its data beside it."""
