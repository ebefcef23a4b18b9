"""The work of the package as functions: what `pocketface.train`, `export` and so on are.

One module for each function. The commands call them with their flags, so each has a flag's worth of
parameters, more than eight where the command has more flags: a request object would have to be
learnt beside the flags, and notebooks would read worse.
"""
