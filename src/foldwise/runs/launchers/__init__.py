"""What starts workers: a table with a row for each kind of machine, and the rows."""
