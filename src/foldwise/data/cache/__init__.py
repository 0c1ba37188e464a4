"""The decoded images of a study: written once, addressed by content, memory-mapped."""
