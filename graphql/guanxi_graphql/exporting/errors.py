"""What stops an export."""

from guanxi_sdk import GuanxiError


class ExportFailed(GuanxiError):
    """The export cannot be done, or not to its end. One line: what is wrong, and the remedy."""
