"""Batches of tensors: normalised, cropped and augmented. The only part of this floor that needs torch."""
