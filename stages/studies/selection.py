"""Selects the records that a study trains and tests on, and checks them before any training."""

from stages.core.errors import UserError
from stages.core.record import Record, read_records
from stages.studies.plan import Plan


def records_to_decode(plan: Plan) -> list[Record]:
    """The test records that are decoded: the first `plan.test` of the test groups, or all."""
    groups, most = plan.groups, plan.test
    records = read_records(plan.linearized / "test.jsonl")
    found = [record for record in records if groups is None or record.group in groups["test"]]
    return found if most == "full" else found[:most]


def training_groups(plan: Plan) -> set[str] | None:
    """The groups of the training and dev records; None: all groups."""
    groups = plan.groups
    if groups is None or groups["train"] is not None:
        return None if groups is None else set(groups["train"])
    found = {record.group for record in read_records(plan.linearized / "train.jsonl")}
    return found - {None, *groups["test"]}


def check_data(plan: Plan) -> None:
    """Raises UserError if the data have fewer training or test examples than the cell needs, or lack a group."""
    groups, task, where = plan.groups, plan.task, f"params.yaml: studies.{plan.study}"
    trained = training_groups(plan)
    if groups is not None:
        for split, wanted in (("train", trained), ("dev", trained), ("test", groups["test"])):
            found = {record.group for record in read_records(plan.linearized / f"{split}.jsonl")}
            if split == "dev" and groups["train"] is None and found & trained:
                continue  # groups that were not named: a rare one may be missing from the small dev split
            for group in sorted(wanted):
                if group not in found:
                    raise UserError(f"{where}.groups: {task} has no {split} record of {group}: it has {_listed(found)}")
    records = read_records(plan.linearized / "train.jsonl")
    total = sum(len(record.targets) for record in records if trained is None or record.group in trained)
    if not total:
        raise UserError(f"{where}.groups: no training example of {task} is left beside those of {groups['test']}")
    decoded, most = len(records_to_decode(plan)), plan.test
    if most != "full" and most > decoded:
        raise UserError(f"{where}.test: {most:,} is more than the {decoded:,} test records of {task}")
    if plan.size != "full" and plan.size > total:
        raise UserError(f"{where}.sizes: {plan.size:,} is more than the {total:,} training examples of {task}")


def _listed(groups: set[str | None]) -> str:
    return ", ".join(sorted(filter(None, groups))) or "no groups"
