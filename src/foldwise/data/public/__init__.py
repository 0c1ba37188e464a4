"""Public data sets by name: fetched, checked, unpacked and laid out so that foldwise reads them."""
