"""What training aims at and how it steps: losses and optimisers."""
