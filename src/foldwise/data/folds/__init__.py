"""Who is trained on and who is tested: grouped, stratified, seeded, and checked."""
