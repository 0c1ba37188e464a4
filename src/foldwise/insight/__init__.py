"""A look inside training and data: loss landscapes, layers, attention, robustness, shallow baselines, throughput."""
