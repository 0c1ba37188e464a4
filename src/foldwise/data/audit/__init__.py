"""The audit: what is wrong with a data set, or would make a comparison unfair."""
