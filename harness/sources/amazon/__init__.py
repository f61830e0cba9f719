"""Machines and images of Amazon EC2. No live cloud has been reached by its tests."""
