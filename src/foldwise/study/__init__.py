"""What is asked: the study file, its factors, variants and configurations."""
