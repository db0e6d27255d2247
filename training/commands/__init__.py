"""The commands: each takes the parsed arguments, and prints or writes its results.

`training.cli` imports the module of a command when it runs, because most import large libraries.
"""
