"""Loss landscapes: what each criterion is around the weights of a network, and on the path of its training."""
