"""What is learnt: one kind of task per file, chosen by name.

A task module has `Task(settings, folder)`: batches as pure functions of (seed, step), the validation set, the loss and
the metric, and the adapters that connect any backbone to it (see `_task` for what all tasks share).
"""
