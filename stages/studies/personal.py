"""Stage: personalisation (section 8.1): a prefix for each user, all trained in one gang and served in mixed batches.

Each user's test records are described with his own prefix, with every other user's, and with one prefix that was trained
on the data of all. Writes studies/metrics/personal.json, and all texts to studies/data/personal/texts.jsonl.

What a prefix gives away: the restaurants of one user's training data are asked for by name alone, from all prefixes. A
fact of such a restaurant that another user's prefix says is chance, unless it says more of them than of restaurants that
nobody has (`unknown`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from tqdm import tqdm

from stages.core.errors import entry_point
from stages.core.files import read_json, replacing, write_json, write_jsonl
from stages.core.record import Record, read_records
from stages.core.run_config import RunConfig
from stages.core.scratch import scratch
from stages.decoding.texts import search_of, text_of
from stages.methods import config_from
from stages.run import prepare
from stages.serving.bank import PrefixBank
from stages.serving.engine import Engine, Request, run_all
from stages.serving.opened import make_ready, open_base
from stages.studies.plan import DATA, METRICS, SETTINGS, linearized
from stages.tasks import task_of
from stages.tasks.common.scores import scores_of
from stages.training.checkpoint import Checkpoint

EVERYONE = "everyone"  # the prefix that was trained on the data of all users
OUT, FILE = DATA / "personal", METRICS / "personal.json"
SAID = ("food", "area", "near")  # fields whose values a text can hold letter by letter
SETTING = SETTINGS / "personal.json"


@dataclass(frozen=True)
class Asked:
    """A text to write: whose record it is, with whose prefix, and what for (`test`, `known` or `unknown`)."""

    record: Record
    prefix: str
    what: str


def users_of(records: Iterable[Record]) -> list[str]:
    return list(dict.fromkeys(record.group for record in records))


def by_name(records: Sequence[Record], most: int) -> list[Record]:
    """The first `most` records of each user with their name alone as the source."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record.group, []).append(record)
    return [record for own in found.values() for record in own[:most]]


def train_gang(config: RunConfig, seed: int, data: Path, directory: Path) -> list[str]:
    """Train a prefix for each user and one for all, in one batch, and save them to `directory/<name>`."""
    train = list(read_records(data / "train.jsonl"))
    names = [*users_of(train), EVERYONE]
    if all((directory / name).exists() for name in names):
        return names
    prepared = prepare(config, [seed + index for index in range(len(names))], data)
    own = [[record for record in train if name in (EVERYONE, record.group)] for name in names]
    checkpoint = Checkpoint(directory / "training" / "checkpoint.safetensors")
    trained = prepared.train([lambda mine=mine: (mine, []) for mine in own], checkpoint)
    for index, name in enumerate(names):
        trained.save(directory / name, config, index)
    checkpoint.remove()
    return names


def write_texts(settings: dict, config: RunConfig, asked: list[Asked], directory: Path) -> list[str]:
    """The texts, from all prefixes in mixed batches."""
    lm = open_base(config.model, config.revision, config.threads)
    bank = PrefixBank(directory / "bank", lm, settings["memory_mb"] * 2**20)
    for name in dict.fromkeys(one.prefix for one in asked):
        bank.add(name, directory / name)
    make_ready(lm, config.precision)
    search = search_of(lm, config.decoding)
    engine = Engine(lm, bank, max(settings["rows"], search.beam), search.max_new_tokens)
    requests = (Request(one.prefix, one.record.source, search) for one in asked)
    found = dict[int, str]()
    for index, ids, _ in tqdm(run_all(engine, requests), total=len(asked), desc="personal: texts", disable=None):
        found[index] = text_of(lm, ids)
    return [found[index] for index in range(len(asked))]


def asked_of(data: Path, names: list[str], known: int) -> list[Asked]:
    """All texts to write: each test record, and each known and unknown name, with each prefix."""
    test, train = (list(read_records(data / f"{split}.jsonl")) for split in ("test", "train"))
    rows = [("test", record) for record in test]
    rows += [
        (what, record) for what, records in (("known", train), ("unknown", test)) for record in by_name(records, known)
    ]
    found = []
    for what, record in rows:
        shown = record if what == "test" else Record(record.id, f"name : {record.name}", record.targets, record.group)
        found += [Asked(shown, name, what) for name in names]
    return found


def facts_of(data: Path) -> dict[str, dict[str, str]]:
    """The facts of each record that a text can hold letter by letter, by its id."""
    records = [record for split in ("train", "test") for record in read_records(data / f"{split}.jsonl")]
    return {
        record.id: {key: value for part in record.source.split(" | ") for key, _, value in (part.partition(" : "),) if key in SAID}
        for record in records
    }  # fmt: skip


def said_of(asked: list[Asked], texts: list[str], facts: dict[str, dict[str, str]], key: str) -> dict[str, float]:
    """How often texts that were asked for by a name alone say the value of a field, by what was known and whose prefix."""
    found: dict[str, list[bool]] = {}
    for one, text in zip(asked, texts, strict=True):
        value = facts[one.record.id].get(key)
        if one.what == "test" or value is None:
            continue
        whose = one.prefix if one.prefix == EVERYONE else "own" if one.prefix == one.record.group else "others"
        found.setdefault(f"{one.what}_{whose}", []).append(value.casefold() in text.casefold())
    return {name: round(fmean(values), 4) for name, values in found.items()}


def summary(asked: list[Asked], texts: list[str], data: Path) -> dict:
    """The content of the metrics file: the official metrics by whose prefix it is, BLEU by user, and what is given away."""
    task, found = task_of("mini_personal"), {}
    pairs = [(one, text) for one, text in zip(asked, texts, strict=True) if one.what == "test"]
    with task.metrics.scorer() as scorer:

        def scores(chosen: list[tuple[Asked, str]]) -> dict[str, float]:
            plain = [Record(one.record.id, one.record.source, one.record.targets) for one, _ in chosen]
            return scores_of(task, scorer, [text for _, text in chosen], plain).metrics

        for whose, wanted in (
            ("own", lambda one: one.prefix == one.record.group),
            ("another", lambda one: one.prefix not in (one.record.group, EVERYONE)),
            (EVERYONE, lambda one: one.prefix == EVERYONE),
        ):
            found[whose] = scores([pair for pair in pairs if wanted(pair[0])])
            for user in users_of(one.record for one, _ in pairs):
                own = [pair for pair in pairs if wanted(pair[0]) and pair[0].record.group == user]
                found.setdefault("users", {}).setdefault(user, {})[whose] = scores(own)["BLEU"]
    facts, train = facts_of(data), list(read_records(data / "train.jsonl"))
    found["facts_said"] = {key: said_of(asked, texts, facts, key) for key in SAID}
    names = {record.name: record.group for record in train}
    # among texts about other restaurants, in which such a name could only come from training data
    foreign = [
        name for one, text in pairs for name, owner in names.items()
        if name in text and owner != one.prefix != EVERYONE and name not in one.record.source
    ]  # fmt: skip
    found["names_of_other_users"] = len(foreign)
    found["texts"] = len(pairs)
    return found


@entry_point
def main() -> None:
    settings = read_json(SETTING)
    config, data = config_from(settings["run"]), linearized(settings["run"]["task"])
    files = [data / f"{split}.jsonl" for split in ("train", "test")]
    with scratch(settings, *files) as directory:
        names = train_gang(config, settings["seed"], data, directory)
        asked = asked_of(data, names, settings["known"])
        texts = write_texts(settings, config, asked, directory)
    with replacing(OUT) as out:
        out.mkdir()
        write_jsonl(out / "texts.jsonl", (
            {"user": one.record.group, "prefix": one.prefix, "what": one.what, "source": one.record.source, "text": text}
            for one, text in zip(asked, texts, strict=True)
        ))  # fmt: skip
    write_json(FILE, summary(asked, texts, data))


if __name__ == "__main__":
    main()
