"""The paper's figures and tables as studies: grids of runs that params.yaml declares (`studies`).

To add one: give it `studies.<name>` in params.yaml, and the stage of its cells in studies/dvc.yaml. What a paper publishes
of it is in `paper.py`.
"""
