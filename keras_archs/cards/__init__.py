"""Facts about each network that need no built model: papers, preprocessing, accuracy, cost and scaling rules.

One module per family holds its model cards; `origin` records which card and which weights a built model has.
"""
