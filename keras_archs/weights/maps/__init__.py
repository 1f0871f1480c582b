"""One map per source of weights: from the names of its tensors to the variables of our networks.

A map also says how to order a tensor's axes; `keras_archs.weights.assignment` checks and assigns the values.
"""
