"""The jobs: each a Ray program that reads like its data-flow picture."""
