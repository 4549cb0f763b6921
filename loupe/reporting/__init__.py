"""What a person reads of a run: tables for the terminal, and one page of HTML that needs nothing else."""
