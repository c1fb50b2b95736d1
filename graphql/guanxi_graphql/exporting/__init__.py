"""Taking rows out, as JSON Lines or CSV, by the way that every read goes."""

from guanxi_graphql.exporting.errors import ExportFailed
from guanxi_graphql.exporting.running import Exported, Wanted, export

__all__ = ["ExportFailed", "Exported", "Wanted", "export"]
