"""The paper's figures and tables as studies: grids of runs that params.yaml declares (`studies`).

To add one: give it `studies.<name>` in params.yaml, say in `paper.py` how it is shown, and give it two stages in
stages/studies/dvc.yaml.
"""
