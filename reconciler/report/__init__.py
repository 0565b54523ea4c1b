"""How it is told: terminal, JSON, shell. Words, layout and colour are made here and nowhere else."""
