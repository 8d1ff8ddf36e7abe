"""Mail that comes in: read as far as it can be (mail), and told what it is about (opt_outs). Nothing is changed here.

What arrives was written by anybody, with any program: nothing in it is trusted but a sealed token.
"""
