"""Items beside the fits: shallow baselines, networks asked about worse images, and pictures of the augmentation."""
