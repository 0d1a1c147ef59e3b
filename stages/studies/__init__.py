"""Studies: the figures and tables of the paper, as grids of runs that `studies` in params.yaml declares.

To add a study, add `studies.<name>` to params.yaml and the stage of its cells to studies/dvc.yaml. The numbers that the
papers publish are in `paper.py`.
"""
