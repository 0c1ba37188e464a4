"""What is to be done and where: items, plan, run folder, leases, launchers."""
