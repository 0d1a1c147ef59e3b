"""Section `serve` of params.yaml: how much a server, or `stages.generate`, does at a time."""

from stages.core.sections import Count, Positive, Section


class Serve(Section):
    """The section `serve`.

    `rows` of the batch at a time (a sentence takes one for each beam); `memory_mb`: for prefixes that are loaded;
    `max_tokens`: the most tokens of a text; `queue`: requests that may wait; `request_kb`: the size of a request;
    `seconds`: how long one may take.
    """

    rows: Count
    memory_mb: Count
    max_tokens: Count
    queue: Count
    request_kb: Count
    seconds: Positive
