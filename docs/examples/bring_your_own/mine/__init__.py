"""What is brought to exitbench from outside: a model, an exit rule, a dataset and an attack, one file each."""
