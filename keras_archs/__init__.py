"""CNN architectures for Keras, and the shortest way from a CNN's name to a REST endpoint.

Importing this package loads neither Keras nor TensorFlow; the first use of a builder does. The stub
``__init__.pyi`` beside this file lists the public names, for this module and for type checkers alike.
"""

from importlib.metadata import version

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = version("keras-archs")
