"""Road networks: invented and real ones, and ways through them."""
