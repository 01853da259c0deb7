"""Networks that come from elsewhere, and weights in and out: transformers, timm, and the authors' releases."""
