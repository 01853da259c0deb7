"""The folder that `exitbench export` writes: graphs of stages and of the exit rule, and what runs them."""
