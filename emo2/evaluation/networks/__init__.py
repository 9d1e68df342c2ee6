"""The networks that published measures are made with: whose weights, and their architectures.

Nothing here is needed to build, test or use the studio. A measure whose weights are not there is
left out, or, where it was asked for by name, refused with the command that gets them.
"""
