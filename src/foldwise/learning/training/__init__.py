"""One fit: set up, train, choose the epoch, predict the test fold once."""
