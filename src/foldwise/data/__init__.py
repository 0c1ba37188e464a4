"""Images in: layouts, decoding, the audit, the folds, and batches."""
