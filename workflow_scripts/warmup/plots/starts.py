"""How the architectures of a study start: one figure, and a page with a sentence and the deviations of each.

In: the tables of rule audit_starts and the sentences of `statistics.words.starts`; the table of
`statistics.effect.start_differences`. Out: a drawing and an HTML page of each.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import polars
from matplotlib.figure import Figure

from warmup import html_page
from warmup.plots import style

GROUPS = ("embedding", "mixer", "feed_forward", "norm", "other", "between_stages", "final_norm", "head")
STEP_SIZES = (0.001, 0.1)


def figure(networks: polars.DataFrame, labels: Mapping[str, str]) -> Figure:
    """Residual stream by depth, step sizes, first loss, and where the first gradient goes, by architecture.

    The first task stands for all in the residual stream and the gradient; step sizes do not depend on it.
    """
    names = networks["architecture"].unique(maintain_order=True).to_list()
    colour = style.colours(names)
    drawing, axes = style.figure(2, 2, width=4.6, height=0.32 * len(names) + 1.8)
    shown = {name: networks.filter(architecture=name) for name in names}
    first = {name: part.filter(task=part["task"][0]) for name, part in shown.items()}
    ticks = [labels.get(name, name) for name in names]

    stream = axes[0, 0]
    for name, part in first.items():
        rms = part.filter(quantity="residual_rms").sort("layer")
        stream.plot(
            rms["layer"] + 1, rms["value"], "o-", color=colour[name], markersize=3, label=labels.get(name, name)
        )
    stream.set(yscale="log", xlabel="blocks passed", ylabel="root mean square", title="Residual stream")
    stream.xaxis.get_major_locator().set_params(integer=True)
    stream.legend(fontsize=6.5)

    steps = axes[0, 1]
    steps.axvspan(*STEP_SIZES, color="#e8f1e8", zorder=0)
    for height, part in enumerate(first.values()):
        sizes = part.filter(quantity="step_size")
        if sizes.is_empty():
            steps.text(STEP_SIZES[0], height, "no step sizes", fontsize=6.5, color="#888", va="center")
            continue
        low, middle, high = (sizes.filter(quantile=q)["value"] for q in (0.0, 0.5, 1.0))
        steps.plot([low.min(), high.max()], [height, height], color=colour[names[height]], linewidth=3)
        steps.plot(middle.to_list(), [height] * len(middle), "|", color="black", markersize=9)
    steps.set(
        xscale="log", title="Step sizes Delta (shaded: 0.001 to 0.1)", xlabel="range over channels; | median of a layer"
    )

    losses = axes[1, 0]
    for marker, task in zip("osD^v", networks["task"].unique(maintain_order=True), strict=False):
        ratios = [_ratio(part.filter(task=task)) for part in shown.values()]
        losses.plot(ratios, range(len(names)), marker, linestyle="", markersize=4, label=labels.get(task, task))
    losses.axvline(1.0, color="#999", linewidth=0.8)
    losses.set(title="First loss / loss of knowing nothing", xlabel="ratio")
    losses.legend(fontsize=6.5)

    shares, left = axes[1, 1], [0.0] * len(names)
    for index, group in enumerate(GROUPS):
        widths = [_share(part, group) for part in first.values()]
        if any(widths):
            shares.barh(range(len(names)), widths, left=left, color=style.PALETTE[index], label=group.replace("_", " "))
            left = [a + b for a, b in zip(left, widths, strict=True)]
    shares.set(title="First gradient (squared) by layer", xlabel="share")
    shares.legend(fontsize=6.5, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.18))
    for axis in (steps, losses, shares):
        axis.set_yticks(range(len(names)), ticks, fontsize=7)
        axis.set_ylim(len(names) - 0.4, -0.6)
    return drawing


def page(sentences: Sequence[str], deviating: polars.DataFrame, labels: Mapping[str, str]) -> str:
    """A sentence per architecture, then every parameter that lies farther from its authors' law than chance allows."""
    rows = "".join(
        f"<tr><td>{escape(str(labels.get(row['architecture'], row['architecture'])))}</td>"
        f"<td><code>{escape(row['place'])}</code></td><td class='number'>{row['mean']:.3g}</td>"
        f"<td class='number'>{row['deviation']:.3g}</td><td>{escape(row['law'])}</td>"
        f"<td class='number'>{row['distance']:.2f}</td></tr>"
        for row in deviating.iter_rows(named=True)
    )
    heads = ("architecture", "parameter", "mean", "standard deviation", "authors' law", "distance (0 to 1)")
    table = (
        f"<h2>Parameters that do not start as their authors start them</h2><table><tr>"
        f"{''.join(f'<th>{head}</th>' for head in heads)}</tr>{rows}</table>"
        if rows
        else "<p>Every parameter that has a law starts as its authors start it.</p>"
    )
    return html_page.page("How the networks start", "".join(f"<p>{escape(one)}</p>" for one in sentences) + table)


def _ratio(part: polars.DataFrame) -> float:
    values: dict[Any, float] = dict(part.select("quantity", "value").iter_rows())
    return values["first_loss"] / values["uniform_loss"] if "first_loss" in values else float("nan")


def _share(part: polars.DataFrame, group: str) -> float:
    own = polars.col("group").str.split(".").list.last() == group
    return float(part.filter(polars.col("quantity") == "gradient_share", own)["value"].sum())


TITLES = {
    "optimum": "Best warmup (share of training)",
    "regret": "Regret of no warmup (loss)",
    "log_spike_ratio": "Log of the spike ratio",
}


def differences_figure(table: polars.DataFrame, words: Mapping[str, Any]) -> Figure:
    """Differences, authors' less library's, with their intervals; a cross where there is no interval."""
    cells = table.select("architecture", "task", "recipe").unique(maintain_order=True).rows()
    drawing, axes = style.figure(1, len(TITLES), width=3.6, height=0.34 * len(cells) + 1.2, sharey=True)
    colour = style.colours([cell[0] for cell in cells])
    for axis, (quantity, title) in zip(axes[0], TITLES.items(), strict=True):
        axis.axvline(0.0, color="#999", linewidth=0.8)
        for height, (architecture, task, recipe) in enumerate(cells):
            row = table.filter(architecture=architecture, task=task, recipe=recipe, quantity=quantity).row(
                0, named=True
            )
            if row["difference"] is not None:
                axis.plot(row["difference"], height, "o", color=colour[architecture], markersize=4)
            if row["difference_low"] is None:
                axis.plot(0.0, height, "x", color="#999", markersize=4)
            else:
                ends = [row["difference_low"], row["difference_high"]]
                axis.plot(ends, [height] * 2, color=colour[architecture], linewidth=1.2)
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("authors' less library's start", fontsize=8)
    names = [f"{_label(architecture, words)}, {_label(task, words)}" for architecture, task, _ in cells]
    axes[0, 0].set_yticks(range(len(cells)), names, fontsize=7)
    axes[0, 0].set_ylim(len(cells) - 0.5, -0.5)
    return drawing


def differences_page(table: polars.DataFrame, words: Mapping[str, Any]) -> str:
    """A sentence per pair of twins and task: both values, their difference and its interval, or why there is none."""
    parts = []
    for (architecture, task), rows in table.group_by("architecture", "task", maintain_order=True):
        clauses = "; ".join(_clause(row) for row in rows.iter_rows(named=True))
        parts.append(f"<p>{escape(f'{_label(architecture, words)}, {_label(task, words)}: {clauses}.')}</p>")
    about = "<p>Each number is with the authors' start, against the library's; the difference is the first less the "
    return html_page.page(
        "Authors' and library's start",
        f"{about}second, with its {words['confidence']:.0%} interval. No verdict is drawn.</p>{''.join(parts)}",
    )


def _clause(row: Mapping[str, Any]) -> str:
    name = TITLES[row["quantity"]][0].lower() + TITLES[row["quantity"]][1:]
    if row["authors"] is None or row["library"] is None or row["difference"] is None:
        return f"{name}: {row['note'] or 'cannot say'}"
    values = f"{name} {row['authors']:.3g} against {row['library']:.3g}, difference {row['difference']:+.3g}"
    if row["difference_low"] is None:
        return f"{values} ({row['note']})"
    return f"{values} [{row['difference_low']:.3g}, {row['difference_high']:.3g}], n = {row['n']}"


def _label(name: object, words: Mapping[str, Any]) -> str:
    return str(words["labels"].get(str(name), name))
