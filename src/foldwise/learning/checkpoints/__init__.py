"""A trained network as files, and the winner among them."""
