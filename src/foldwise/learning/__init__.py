"""Networks: what can be built, the one training loop, and prediction."""
