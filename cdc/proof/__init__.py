"""Comparing both sides; no encoding is shared with what wrote them."""
