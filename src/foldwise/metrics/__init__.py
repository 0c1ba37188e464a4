"""One table of metrics, used by epoch choice, landscapes and the judge alike."""
