"""What a notebook has of Slurm: the magic `%slurm`, and a form. The rest of `mpidist_slurm` works without IPython and widgets.

- `options`: what is written after `%slurm`, as a `Slurm`.
- `variables`: the sessions that the user's namespace has.
- `output`: what the ranks of a job have written.
- `magics`: `%slurm`.
- `fields`, `form`: `allocation_form()`.
"""
