"""The README's picture of `landbot demo`: `python docs/demo.py` draws docs/demo.svg in a minute."""  # noqa: INP001  # a script, no package

import io
from pathlib import Path

import anyio
from rich.console import Console

from landbot_async.cli.demo.campaign import KILLED, play_campaign
from landbot_async.cli.demo.play import PLANS, Job, play
from landbot_async.cli.demo.screen import Screen, picture


async def main() -> None:
    """Run the demo without a terminal, and record the last picture of each part."""
    console = Console(record=True, force_terminal=True, width=92, file=io.StringIO(), highlight=False)
    screen = Screen(console)
    screen.opening()
    kept = True
    for plan in (*PLANS, KILLED):
        job = Job(plan)
        screen.heading(job)
        report = await (play_campaign(job) if plan is KILLED else play(job))
        console.print(picture(job, ascii_only=False))
        screen.closing(report)
        kept = kept and report.kept
    screen.verdict(kept=kept)
    if not kept:
        raise SystemExit("A promise was broken, as on a busy machine: the picture stays as it was.")
    console.save_svg(str(Path(__file__).with_suffix(".svg")), title="landbot demo")


if __name__ == "__main__":
    anyio.run(main)
