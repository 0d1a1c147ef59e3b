"""The pipeline that makes the embedded base models: corpus, tokenizer, pretraining."""
