"""Comparing both sides, independently of what wrote them: no encoding is shared with the applier."""
