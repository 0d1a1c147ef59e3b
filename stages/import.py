"""Imports a PEFT adapter: `python -m stages.import`, see `stages/exchange/importing.py`."""

from stages.core.startup import model_imports

with model_imports():
    from stages.exchange.importing import main

if __name__ == "__main__":
    main()
