"""What runs inside a zygote: the standard library only, and nothing of the parent's process."""
