"""What commands print for people: values of the read model as Rich renderables."""

from proctor.ui.text.blocks import facts, heading, listing, table

__all__ = ["facts", "heading", "listing", "table"]
