"""Answers, methods and claims in sentences."""
