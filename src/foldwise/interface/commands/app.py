"""`foldwise app`: the winner on a page of this computer, on which images are dropped."""

from __future__ import annotations

import threading
import webbrowser
from typing import Annotated

import typer

from foldwise.interface.study_options import Model
from foldwise.interface.terminal import Device, TrustCode, console

Open = Annotated[bool, typer.Option("--open", help="Open it in the browser.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="[default: a free one]", show_default=False)]


def app(
    run: Model, open_: Open = False, port: Port = 0, device: Device = "auto", trust_code: TrustCode = False
) -> None:
    """A page on this computer: drop images on the winner, and see what it says and which training images are like them."""
    from foldwise.pipeline.trying import trying

    def say(text: str) -> None:
        console().print(f"{text[:1].upper()}{text[1:]}.", markup=False, highlight=False)

    with trying(run, device=device, port=port, trust_code=trust_code, say=say) as address:
        say(f"The model of {run} is at {address} on this computer only; Ctrl-C ends it")
        if open_:
            webbrowser.open(address)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            say("\nthe page is no longer served")
