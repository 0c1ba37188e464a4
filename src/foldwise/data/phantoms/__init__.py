"""Built-in data sets: pictures drawn from a seed, with ground truth, groups and a stated difficulty."""
