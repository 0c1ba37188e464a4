"""What is asked: the study file, the plan made from it, and the run folder that mirrors both."""
