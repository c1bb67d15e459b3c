"""The proxy: what stands between a client and the model servers."""
