"""HTTP in: the listeners, and what they answer themselves."""
