"""The server's requests and answers: OpenAI's completions API, with the further options of vLLM's that make sense here."""

import time
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from stages.decoding.beam import Search
from stages.decoding.sampling import Sampling
from stages.models.model import GenerativeLM

MOST_CHOICES = 128


class StreamOptions(BaseModel):
    """`include_usage`: a last chunk has the usage."""

    model_config = ConfigDict(extra="forbid")
    include_usage: bool = False


class Completion(BaseModel):
    """The body of `POST /v1/completions`.

    `prompt` is one source or several, as in training: `name : The Oak | food : Thai`. `model` is a prefix of the bank
    or the base model. With `use_beam_search`, `n` are the best of `beam_width` hypotheses, and `temperature` is not
    read. Options of OpenAI's API that are not here are refused.
    """

    model_config = ConfigDict(extra="forbid")
    model: str
    prompt: str | Annotated[list[str], Field(min_length=1, max_length=MOST_CHOICES)]
    n: Annotated[int, Field(ge=1, le=MOST_CHOICES)] = 1
    max_tokens: Annotated[int, Field(ge=1)] = 16
    min_tokens: Annotated[int, Field(ge=0)] = 0
    stream: bool = False
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    use_beam_search: bool = False
    beam_width: Annotated[int, Field(ge=1, le=MOST_CHOICES)] | None = None
    length_penalty: Annotated[float, Field(ge=-10, le=10)] = 1.0
    user: str | None = None  # not read: whoever asks is known by the prefix

    @model_validator(mode="after")
    def _fit(self) -> "Completion":
        if self.use_beam_search and self.n > (self.beam_width or self.n):
            raise ValueError(f"n is {self.n}, more than the hypotheses of beam_width {self.beam_width}")
        if not self.use_beam_search and self.beam_width is not None:
            raise ValueError("beam_width is given, but not use_beam_search")
        if self.min_tokens > self.max_tokens:
            raise ValueError(f"min_tokens is {self.min_tokens}, more than max_tokens {self.max_tokens}")
        return self

    @property
    def prompts(self) -> list[str]:
        """The prompts, also of one."""
        return [self.prompt] if isinstance(self.prompt, str) else self.prompt

    def options(self, lm: GenerativeLM, beam: int, banned: tuple[int, ...], seed: int) -> list[Search | Sampling]:
        """How each text of one prompt is decoded: a beam search gives all `n`, sampling one at a time.

        `beam` is the width where the request gives none; `seed` is that of the first text where it gives none.
        """
        if self.use_beam_search:
            width = max(self.n, beam) if self.beam_width is None else self.beam_width
            return [Search(width, self.length_penalty, self.max_tokens, lm.end, banned, self.min_tokens)]
        first = seed if self.seed is None else self.seed
        return [
            Sampling(self.max_tokens, self.temperature, self.top_p, first + number, self.min_tokens)
            for number in range(self.n)
        ]


class LoadAdapter(BaseModel):
    """The body of `POST /v1/load_adapter`: a name, and a directory of a trained run below the server's `--adapters`."""

    model_config = ConfigDict(extra="forbid")
    name: str
    path: str


class UnloadAdapter(BaseModel):
    """The body of `POST /v1/unload_adapter`."""

    model_config = ConfigDict(extra="forbid")
    name: str


def models(base: str, names: Sequence[str], started: int) -> dict[str, Any]:
    """The answer to `GET /v1/models`: the base model, then the prefixes, which name it as their `parent`."""

    def one(name: str, parent: str | None) -> dict[str, Any]:
        return {
            "id": name, "object": "model", "created": started, "owned_by": "bank" if parent else "base", "root": name,
            "parent": parent,
        }  # fmt: skip

    return {"object": "list", "data": [one(base, None), *(one(name, base) for name in names)]}


def choice(index: int, text: str, reason: str | None) -> dict[str, Any]:
    """A text of an answer, or a part of it. `reason`: `end` or `length` of an event."""
    finish: Literal["stop", "length"] | None = {"end": "stop", "length": "length", None: None}[reason]
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish}


def usage(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    """Tokens of the prompts, and of the texts."""
    return {
        "prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }  # fmt: skip


def answer(name: str, model: str, choices: Sequence[dict[str, Any]], used: dict[str, int] | None) -> dict[str, Any]:
    """An answer, or a chunk of a stream. `name` is the same for all chunks."""
    head = {"id": name, "object": "text_completion", "created": int(time.time()), "model": model}
    return {**head, "choices": list(choices), "usage": used}


def error_of(status: int, message: str, kind: str) -> dict[str, Any]:
    """The body of an error, as OpenAI's client reads it."""
    return {"error": {"message": message, "type": kind, "param": None, "code": status}}
