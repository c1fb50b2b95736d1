"""The core of guanxi: tenants, plugins, editions and the data they share."""
