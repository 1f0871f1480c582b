"""Images before and after a network: decoding and preprocessing, class labels, and heat maps drawn over photographs.

The modules need NumPy and Pillow only, so that the gateway and the command line use the same functions as training.
"""
