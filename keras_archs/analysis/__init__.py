"""What a network costs, how it scales, and what it looks at: counts, measurements, searches, explanations and plots.

Networks never import this package; it builds them by name.
"""
