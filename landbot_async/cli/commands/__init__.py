"""The commands, one module for each group: what a command takes, and below it what it does.

`landbot --help` imports all of these modules, so whatever takes long to import is a `LazyModule` here.
"""
