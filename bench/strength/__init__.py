"""What a base model is worth: methods on a task, each with its own tuning, over several seeds."""
