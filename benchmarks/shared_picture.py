"""The picture of benchmarks/shared.py."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

PATH: Final = Path(__file__).parent.parent / "docs" / "shared.png"
SHOWN: Final = {
    "4": "4 processes",
    "16": "16 processes",
    "slow": "4 processes,\nresponses of 0.95 to 1.35 s",
    "jitter": "4 processes,\n0 to 40 ms on the way",
}
# Okabe and Ito's colours, which stay apart for colour-blind eyes.
STORES: Final = {
    "redis": ("RedisTokenBucket", "#0072b2"),
    "postgres": ("PostgresTokenBucket", "#009e73"),
    "pyrate": ("pyrate-limiter, RedisBucket", "#999999"),
}
INK, FAINT = "#24292f", "#d0d7de"

# Of a condition: the share of the limit, requests refused, all requests, and the poorest and richest process's share.
Figures = tuple[float, int, int, float, float]


def draw(results: Mapping[str, Figures]) -> None:
    """Draw share, refusals and fairness by condition and store."""
    import matplotlib as mpl  # noqa: PLC0415  # slow to import, and needed once

    mpl.use("Agg")
    mpl.rcParams.update({"font.size": 9.5, "text.color": INK, "axes.labelcolor": INK, "font.family": "DejaVu Sans"})
    from matplotlib import pyplot as plt  # noqa: PLC0415  # as above

    titles = ("accepted, share of the limit", "429s per 300 requests", "poorest to richest, of a fair share")
    figure, panels = plt.subplots(1, 3, figsize=(12, 4.6), sharey=True)
    for panel, title in zip(panels, titles, strict=True):
        panel.set_title(title, loc="left", fontsize=10.5, fontweight="bold")
        panel.set_yticks(range(len(SHOWN)), SHOWN.values())
        panel.spines[["top", "right", "left"]].set_visible(False)
        panel.spines["bottom"].set_color(FAINT)
        panel.tick_params(colors=INK, length=0)
        panel.grid(axis="x", color=FAINT, linewidth=0.6)
        panel.set_axisbelow(True)
    for place, condition in enumerate(SHOWN):
        for slot, (store, (label, colour)) in enumerate(STORES.items()):
            if (found := results.get(f"{store}-{condition}")) is None:
                continue
            share, refused, requests, poorest, richest = found
            y, often = place + (slot - 1) * 0.26, 300 * refused / requests
            panels[0].barh(y, 100 * share, 0.22, color=colour, label=label if place == 0 else None)
            panels[1].barh(y, often, 0.22, color=colour)
            panels[2].barh(y, richest - poorest, 0.22, left=poorest, color=colour)
            for panel, at, text in (
                (panels[0], 100 * share, f"{100 * share:.1f} %"),
                (panels[1], often, f"{often:.1f}"),
                (panels[2], richest, f"{poorest:.2f} to {richest:.2f}"),
            ):
                panel.annotate(text, (at, y), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8)
    panels[0].invert_yaxis()
    panels[0].set_xlim(0, 118)
    panels[0].set_xticks([0, 25, 50, 75, 100], ["0", "25", "50", "75", "100 %"])
    panels[1].set_xlim(
        0, 1.2 * max(1.0, *(300 * refused / requests for _, refused, requests, _, _ in results.values()))
    )
    panels[2].axvline(1, color=INK, linewidth=0.8)
    panels[2].set_xlim(0, 2)
    figure.suptitle(
        "One limit of ten a second, shared by real processes", x=0.012, ha="left", fontsize=14, weight="bold"
    )
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper left", bbox_to_anchor=(0.006, 0.93), ncols=3, frameon=False)
    figure.text(
        0.012,
        0.012,
        "30 s after 3 s of warm-up, on loopback, against a sliding window that counts arrivals; up to 10 ms on the "
        "way, responses after 50 ms, unless it says otherwise. benchmarks/shared.py",
        fontsize=8,
        color="#57606a",
    )
    figure.tight_layout(rect=(0, 0.03, 1, 0.88), w_pad=1.5)
    figure.savefig(PATH, dpi=130, facecolor="white")
    plt.close(figure)
