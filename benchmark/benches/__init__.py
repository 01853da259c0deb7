"""Benchmarks behind the documentation's claims, one script each: `exitbench bench NAME`."""
