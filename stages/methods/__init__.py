"""Methods: one file each, which says which parameters move and how the model comes to see them."""
