"""The generated world: names, a realisation grammar and domains, shared by the corpus and the mini tasks."""
