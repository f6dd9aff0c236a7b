"""The picture of benchmarks/limiter.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from conditions import JITTER_50, PLAIN, SECOND, WIDE, WIDE_SECOND, Condition, Score
from contenders import CONTENDERS, Contender

PATH: Final = Path(__file__).parent.parent / "docs" / "limiter.png"
SHOWN: Final = (PLAIN, SECOND, WIDE, WIDE_SECOND, JITTER_50)
WINDOWS: Final = {"sliding": "sliding window", "gcra(1)": "leaky bucket without a burst"}

INK, FAINT = "#24292f", "#d0d7de"
# Okabe and Ito's colours, which stay apart for colour-blind eyes.
COLOURS: Final = ("#0072b2", "#e69f00", "#009e73", "#999999")

Means = Mapping[tuple[Contender, Condition, str], Score]


def draw(means: Means, messages: int) -> None:
    """Draw share and refusals by condition and contender, for a lenient and a strict window."""
    import matplotlib as mpl  # noqa: PLC0415  # slow to import, and needed once

    mpl.use("Agg")
    mpl.rcParams.update({"font.size": 9.5, "text.color": INK, "axes.labelcolor": INK, "font.family": "DejaVu Sans"})
    from matplotlib import pyplot as plt  # noqa: PLC0415  # as above

    values: list[tuple[str, Callable[[Score], float], str]] = [
        ("accepted, share of the limit", lambda score: 100 * score.share, "{:.1f} %"),
        ("429s per 1,000 messages", lambda score: 1000 * score.refused / score.messages, "{:,.3g}"),
    ]
    figure, grid = plt.subplots(2, 2, figsize=(12, 9), sharey=True, sharex="col")
    for row, (window, label) in enumerate(WINDOWS.items()):
        for column, (title, value, text) in enumerate(values):
            panel = grid[row][column]
            panel.set_title(f"{title} · {label}", loc="left", fontsize=10.5, fontweight="bold")
            for place, condition in enumerate(SHOWN):
                for slot, contender in enumerate(CONTENDERS):
                    amount, y = value(means[contender, condition, window]), place + (slot - 1.5) * 0.2
                    name = contender.name if place == row == column == 0 else None
                    panel.barh(y, amount, 0.18, color=COLOURS[slot], label=name)
                    panel.annotate(
                        text.format(amount) if amount < 1000 else f"{amount:,.0f}",
                        (amount, y),
                        xytext=(4, 0),
                        textcoords="offset points",
                        va="center",
                        fontsize=8,
                        color=INK,
                    )
            panel.set_yticks(range(len(SHOWN)), [condition.name for condition in SHOWN])
            panel.spines[["top", "right", "left"]].set_visible(False)
            panel.spines["bottom"].set_color(FAINT)
            panel.tick_params(colors=INK, length=0)
            panel.grid(axis="x", color=FAINT, linewidth=0.6)
            panel.set_axisbelow(True)
    grid[0][0].invert_yaxis()
    for panel in grid[:, 0]:
        panel.set_xlim(0, 118)
        panel.set_xticks([0, 25, 50, 75, 100], ["0", "25", "50", "75", "100 %"])
    for panel in grid[:, 1]:
        panel.set_xscale("symlog", linthresh=1, linscale=0.5)
        panel.set_xticks([0, 1, 10, 100, 1000], ["0", "1", "10", "100", "1,000"])
        panel.minorticks_off()
        panel.set_xlim(0, 20_000)
    grid[1][1].set_xlabel("logarithmic from 1 on, linear below")
    grid[1][0].set_xlabel("of ten a second, from the first arrival to the last")
    figure.suptitle(
        f"{messages:,} messages against ten a second, from a cold start", x=0.012, ha="left", fontsize=14, weight="bold"
    ).set_in_layout(False)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="upper left", bbox_to_anchor=(0.006, 0.965), ncols=4, frameon=False
    ).set_in_layout(False)
    figure.text(
        0.012,
        0.012,
        "Virtual time, means. Wide network: 40 ms + exponential 5 ms each way; jitter: 40 ms + up to 50 ms each way. "
        "Closed loop of 32 tasks (the retry sample: 20). benchmarks/limiter.py",
        fontsize=8,
        color="#57606a",
    )
    figure.tight_layout(rect=(0, 0.03, 1, 0.93), w_pad=1.5, h_pad=2)
    PATH.parent.mkdir(exist_ok=True)
    figure.savefig(PATH, dpi=130, facecolor="white")
    plt.close(figure)
