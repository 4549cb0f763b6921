"""The jobs: programs that read like their data-flow pictures. on_ray.py and late_pool.py are what they share."""
