"""Sources of weights and data: the Hugging Face hub, package registries, archives, and image decoding."""
