"""Measures a server under load: latencies that no pause hides, goodput, errors, and whether the client kept up."""
