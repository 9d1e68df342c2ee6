"""How the free hand is made: anatomy to mesh, skinning, correctives, shapes and skin.

`emo2.hands.template` runs it all; the product reads what was built.
"""
