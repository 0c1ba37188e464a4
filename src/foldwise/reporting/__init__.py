"""What the reader gets: one HTML file, tables, and the words that go with them."""
