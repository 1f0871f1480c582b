"""From images with known classes to numbers and to trained networks: image folders, heads, fine-tuning, evaluation.

Importing this package loads neither Keras nor scikit-learn; the first use of a function that needs them does.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
