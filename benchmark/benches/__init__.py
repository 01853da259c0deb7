"""Side-by-side measurements, one script each, run by `exitbench bench NAME`: what the README claims, made again."""
