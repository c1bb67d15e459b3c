"""HTTP out: how a request reaches a model server and how its reply comes back."""
