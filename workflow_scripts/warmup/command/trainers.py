"""A schedule in the words of each trainer: the exact lines, their unit, and where the trainer's rates differ from ours.

In: a `Plan`. Out: `Lines`, with the rates that the trainer will use at every update. "run" lines are executed by a test
on the real scheduler (tests/unit/test_schedule.py); "read" ones rest on the trainer's source, which is named.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from warmup import schedules
from warmup.command.share_code import share_code
from warmup.errors import UserError
from warmup.schedules.inverse_square_root import TIMESCALE_WITHOUT_WARMUP
from warmup.statistics.base.intervals import Floats


class NotExpressibleError(UserError):
    """The trainer has no such schedule; the message says what it has."""


@dataclass(frozen=True)
class Plan:
    """A training: `recipe` (schedule, peak_learning_rate, start, floor, schedule_options), optimiser updates, warmup.

    `options`: those of the schedule, defaults filled in; `accumulate`: batches per update.
    """

    recipe: Mapping[str, Any]
    steps: int
    warmup: int
    options: Mapping[str, Any]
    accumulate: int = 1

    @property
    def peak(self) -> float:
        """Peak learning rate."""
        return float(self.recipe["peak_learning_rate"])

    @property
    def floor(self) -> float:
        """Share of the peak at the end."""
        return float(self.recipe["floor"])

    @property
    def decay(self) -> int:
        """Updates of the tail of warmup-stable-decay."""
        return math.floor(self.options["decay_fraction"] * self.steps + 0.5)

    def rates(self) -> Floats:
        """Our learning rate of each update [steps]."""
        return schedules.learning_rates(self.recipe, self.steps, self.warmup)

    def later(self) -> Floats:
        """Our rates one update later: the first is where the ramp starts from, or the peak where there is none."""
        first = self.peak * (float(self.recipe["start"]) if self.warmup else 1.0)
        return np.concatenate([[first], self.rates()[:-1]])

    def late(self) -> str:
        """The same in words."""
        first = self.later()[0]
        return f"one update late: update t has our rate of update t - 1, the first has {first:g}"


@dataclass(frozen=True)
class Lines:
    """What to write, in which `unit` the trainer counts, how it `differs` from our rates (empty: not at all)."""

    text: str
    unit: str
    rates: Floats
    differs: str
    checked: str
    source: str
    beware: list[str] = field(default_factory=list)


def pytorch(plan: Plan) -> Lines:
    """torch.optim.lr_scheduler.LambdaLR."""
    text = share_code(plan.recipe, plan.options, plan.steps, plan.warmup)
    text += (
        "\n# the optimizer's own lr is the peak, "
        f"{plan.peak:g}; call scheduler.step() after every optimizer.step()\n"
        "scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, share)\n"
    )
    beware = ["on resume load scheduler.state_dict(): LambdaLR made anew begins at update 0"]
    return Lines(text, "optimizer updates", plan.rates(), "", "run", "torch 2.13.0", beware)


def lightning(plan: Plan) -> Lines:
    """LambdaLR, counted by Lightning."""
    text = share_code(plan.recipe, plan.options, plan.steps, plan.warmup)
    text += (
        "\ndef configure_optimizers(self):\n"
        f"    optimizer = torch.optim.AdamW(self.parameters(), lr={plan.peak:g})\n"
        "    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, share)\n"
        '    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}\n'
        f"\n# Trainer(max_steps={plan.steps}, ...)\n"
    )
    beware = ['without "interval": "step" Lightning advances the schedule once per epoch']
    return Lines(text, "optimizer updates", plan.rates(), "", "run", "lightning 2.6.6", beware)


def hf(plan: Plan) -> Lines:
    """transformers' Trainer."""
    name, arguments, exact = _hf_scheduler(plan)
    kwargs = f", lr_scheduler_kwargs={json.dumps(arguments)}" if arguments else ""
    text = (
        f"TrainingArguments(..., learning_rate={plan.peak:g}, max_steps={plan.steps}, warmup_steps={plan.warmup},\n"
        f'                  lr_scheduler_type="{name}"{kwargs})\n'
    )
    differs = "" if exact else plan.late()
    beware = [
        "warmup_steps below 1 reads as a fraction of training, and warmup_steps=1 as one step",
        "max_steps counts optimizer updates, after gradient accumulation",
    ]
    if plan.recipe["schedule"] == "cosine":
        beware.append('"cosine" and "cosine_with_min_lr" are one update late; "cosine_warmup_with_min_lr" is not')
    rates = plan.rates() if exact else plan.later()
    return Lines(text, "optimizer updates", rates, differs, "run", "transformers 5.23.0", beware)


def _hf_scheduler(plan: Plan) -> tuple[str, dict[str, Any], bool]:
    """transformers' name, its arguments, and whether the rates are ours at the same update."""
    schedule, start = plan.recipe["schedule"], float(plan.recipe["start"])
    if schedule == "cosine" and start == 0:
        return "cosine_warmup_with_min_lr", {"min_lr_rate": plan.floor}, True
    if schedule == "linear" and start == 0 and plan.floor == 0:
        return "linear", {}, False
    if schedule == "constant" and start == 0:
        return "constant_with_warmup", {}, False
    if schedule == "inverse_square_root" and start == 0 and plan.floor == 0:
        timescale = plan.options["timescale"] or plan.warmup or TIMESCALE_WITHOUT_WARMUP
        return "inverse_sqrt", {"timescale": timescale}, False
    if schedule == "wsd" and start == plan.floor and plan.options["plateau"] == 1 and _wsd_tail(plan, _HF_TAILS):
        tail = {"num_decay_steps": plan.decay, "decay_type": plan.options["tail"], "min_lr_ratio": plan.floor}
        return "warmup_stable_decay", tail, False
    raise NotExpressibleError(
        f"transformers has no {_named(plan)}: it has cosine with a floor, linear, constant and inverse square root "
        "down to 0, wsd whose ramp starts at its floor; with Trainer(optimizers=(optimizer, scheduler)) it takes the "
        "lines of --for pytorch"
    )


_HF_TAILS = ("1-sqrt", "linear", "cosine")
_TITAN_TAILS = {"1-sqrt": "sqrt", "linear": "linear", "cosine": "cosine"}
_MEGATRON_TAILS = {"1-sqrt": "minus_sqrt", "linear": "linear", "cosine": "cosine"}


def _wsd_tail(plan: Plan, known: Any) -> bool:
    return plan.recipe["schedule"] == "wsd" and plan.options["tail"] in known


def _named(plan: Plan) -> str:
    told = f"{plan.recipe['schedule']} with start {plan.recipe['start']:g}, floor {plan.floor:g}"
    return told + (f", plateau {plan.options['plateau']:g}" if plan.recipe["schedule"] == "wsd" else "")


def torchtitan(plan: Plan) -> Lines:
    """torchtitan's [lr_scheduler]."""
    schedule = plan.recipe["schedule"]
    stable = _wsd_tail(plan, _TITAN_TAILS) and plan.options["plateau"] == 1
    if plan.recipe["start"] or not (schedule in ("cosine", "linear") or stable):
        raise NotExpressibleError(f"torchtitan has no {_named(plan)}: it has cosine, linear and wsd from a start of 0")
    decay = plan.decay if stable else plan.steps - plan.warmup
    kind = _TITAN_TAILS[plan.options["tail"]] if stable else schedule
    rows = [f"total_steps={plan.steps}", f"warmup_steps={plan.warmup}", f'decay_type="{kind}"']
    rows += [f"decay_ratio={decay / plan.steps!r}"] if stable else []
    rows += [f"min_lr_factor={plan.floor:g}"]
    text = f"optimizer: lr={plan.peak:g}\nlr_scheduler: {', '.join(rows)}\n"
    ours = plan.rates()
    rates = np.where(np.arange(plan.steps) < plan.warmup, ours, plan.later())
    differs = "the ramp is ours; the decay is one update late, so that its end stays above the floor"
    return Lines(
        text, "optimizer updates", rates, differs, "read", _source("torchtitan"), ["warmup_steps is 200 by default"]
    )


def nanogpt(plan: Plan) -> Lines:
    """nanoGPT's train.py."""
    if plan.recipe["schedule"] != "cosine" or plan.recipe["start"]:
        raise NotExpressibleError(f"nanoGPT has no {_named(plan)}: it has cosine from a start of 0")
    text = (
        f"learning_rate = {plan.peak:g}\nmin_lr = {plan.peak * plan.floor:g}\ndecay_lr = True\n"
        f"warmup_iters = {plan.warmup - 1}\nlr_decay_iters = {plan.steps - 1}\nmax_iters = {plan.steps - 1}\n"
    )
    beware = [
        "one less than the warmup: the ramp is (it + 1) / (warmup_iters + 1), whose end is already the decay's first",
        "one less than the updates: max_iters is the last index, so that max_iters + 1 updates are made",
    ]
    return Lines(text, "optimizer updates", plan.rates(), "", "read", _source("nanogpt"), beware)


def litgpt(plan: Plan) -> Lines:
    """litgpt pretrain."""
    if plan.recipe["schedule"] != "cosine" or plan.recipe["start"]:
        raise NotExpressibleError(f"litgpt has no {_named(plan)}: it has cosine from a start of 0")
    text = (
        f"optimizer:\n  init_args:\n    lr: {plan.peak:g}\ntrain:\n  lr_warmup_steps: {plan.warmup}\n"
        f"  min_lr: {plan.peak * plan.floor:g}\n  max_tokens: ...   # {plan.steps} updates x tokens of one\n"
    )
    amount = "one update" if plan.accumulate == 1 else f"1/{plan.accumulate} of an update"
    place = np.arange(plan.steps) + 1 - 1 / plan.accumulate  # of the last batch of an update, in updates
    done = (place - plan.warmup) / max(1, plan.steps - plan.warmup)
    wave = plan.floor + (1 - plan.floor) * 0.5 * (1 + np.cos(np.pi * done))
    rates = plan.peak * np.where(place < plan.warmup, place / max(1, plan.warmup), wave)
    beware = [
        "lr_warmup_steps counts updates, and is multiplied by the accumulated batches; max_iters counts batches",
        "lr_warmup_fraction is a fraction of an epoch, not of training",
    ]
    differs = f"{amount} late: the rate is set for each batch, from zero"
    return Lines(text, "updates (rates move with each batch)", rates, differs, "read", _source("litgpt"), beware)


def olmo_core(plan: Plan) -> Lines:
    """OLMo-core's schedulers."""
    classes = {"cosine": "CosWithWarmup", "linear": "LinearWithWarmup", "constant": "ConstantWithWarmup"}
    schedule = plan.recipe["schedule"]
    if schedule not in classes:
        raise NotExpressibleError(f"these lines know cosine, linear and constant of OLMo-core, not {_named(plan)}")
    rows = [f"warmup={plan.warmup}", f"warmup_min_lr={plan.peak * plan.recipe['start']:g}"]
    rows += [f"alpha_f={plan.floor:g}", f"t_max={plan.steps}"] if schedule != "constant" else []
    text = f"scheduler={classes[schedule]}({', '.join(rows)})   # optim: lr={plan.peak:g}\n"
    beware = ["units are steps unless units=SchedulerUnits.tokens, then warmup and t_max are tokens"]
    return Lines(text, "optimizer updates", plan.rates(), "", "read", _source("olmo-core"), beware)


def megatron(plan: Plan) -> Lines:
    """Megatron-LM's arguments."""
    schedule, stable = plan.recipe["schedule"], _wsd_tail(plan, _MEGATRON_TAILS) and plan.recipe["schedule"] == "wsd"
    if not (schedule in ("cosine", "linear", "constant") or (stable and plan.options["plateau"] == 1)):
        raise NotExpressibleError(
            f"Megatron-LM has no {_named(plan)}: it has cosine, linear, constant, wsd up to the peak"
        )
    style = "WSD" if stable else schedule
    text = (
        f"--lr {plan.peak:g} --min-lr {plan.peak * plan.floor:g} "
        f"--lr-warmup-init {plan.peak * plan.recipe['start']:g} --lr-warmup-iters {plan.warmup} \\\n"
        f"--train-iters {plan.steps} --lr-decay-iters {plan.steps} --lr-decay-style {style}"
    )
    if stable:
        text += f" \\\n--lr-wsd-decay-style {_MEGATRON_TAILS[plan.options['tail']]} --lr-wsd-decay-iters {plan.decay}"
    beware = [
        "--lr-warmup-fraction is a fraction of --lr-decay-iters, and excludes --lr-warmup-iters",
        "counts samples inside: with --rampup-batch-size the ramp lasts longer than --lr-warmup-iters",
        "a checkpoint's values win on resume unless --override-opt-param-scheduler",
    ]
    return Lines(text + "\n", "iterations (updates)", plan.later(), plan.late(), "read", _source("megatron"), beware)


TRAINERS: dict[str, Callable[[Plan], Lines]] = {
    "pytorch": pytorch,
    "hf": hf,
    "lightning": lightning,
    "torchtitan": torchtitan,
    "nanogpt": nanogpt,
    "litgpt": litgpt,
    "olmo-core": olmo_core,
    "megatron": megatron,
}

SOURCES = {
    "torchtitan": ("pytorch/torchtitan", "torchtitan/components/optimizer/lr_scheduler.py", "b5bcd76c66d0"),
    "nanogpt": ("karpathy/nanoGPT", "train.py", "3adf61e154c3"),
    "litgpt": ("Lightning-AI/litgpt", "litgpt/pretrain.py and litgpt/args.py", "26857050fe3f"),
    "olmo-core": ("allenai/OLMo-core", "src/olmo_core/optim/scheduler.py and train/trainer.py", "fa6c5014c9f6"),
    "megatron": ("NVIDIA/Megatron-LM", "megatron/core/optimizer_param_scheduler.py", "00caa53af309"),
}
"""Repository, file and commit in which a rule was read."""


def _source(trainer: str) -> str:
    repository, path, commit = SOURCES[trainer]
    return f"{repository}, {path}, commit {commit}"
