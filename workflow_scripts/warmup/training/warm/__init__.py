"""Warm starts: one process per study and machine imports torch and transformers once and forks a child per training.

A job stays a job: `client` hands its order to the process of its study, waits, and exits as the child does. `server` is
that process, `surroundings` what a child takes over from its client, `address` where the two meet, `messages` how they
speak. docs/performance.md tells what a user sees of it.
"""
