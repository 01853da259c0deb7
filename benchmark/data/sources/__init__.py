"""Where weights and data come from: hub, package registries, archives, and pictures decoded from them."""
