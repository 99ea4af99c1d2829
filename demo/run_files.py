"""The pages of a run, served as they are, but shut in: report and pairs page, and the recordings that they link."""

from pathlib import Path

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse, Response

from demo.run_folder import RunSession

PATH = "run-files/"  # beside the page
# A run folder may come from somebody else. In a sandbox its pages have an origin of their own: they can neither read the
# demo's answers nor act for a listener.
SHUT_IN = {
    "Content-Security-Policy": "sandbox allow-scripts allow-popups",  # the gate says who may hold them in a frame
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
RECORDINGS = ("synthesized", "pair-audio", "variants", "corpus")  # folders that pages link audio from
AUDIO = {".wav": "audio/wav", ".flac": "audio/flac"}


class Pages:
    """What of a run folder may be fetched: its pages by name, and recordings in their folders; nothing else.

    Args:
        session: the run.
    """

    def __init__(self, session: RunSession) -> None:
        self.out = session.run.out
        folder = session.recipe.evaluate.folder
        self._pages = {"Report": f"{folder}/report.html"}
        for system in session.recipe.systems:
            where = session.recipe.folder(system).relative_to(self.out).as_posix()
            self._pages[f"Pairs of {system}"] = "pairs.html" if where == "." else f"{where}/pairs.html"

    def found(self) -> dict[str, str]:
        """Titles and addresses of the pages that are there."""
        return {title: f"{PATH}{path}" for title, path in self._pages.items() if self.file(path) is not None}

    def file(self, path: str) -> Path | None:
        """A file that may be fetched; None for any other, links out of the folder included."""
        parts = Path(path).parts
        allowed = path in self._pages.values() or (
            bool(parts) and parts[0] in RECORDINGS and Path(path).suffix in AUDIO and ".." not in parts
        )
        if not allowed or "\0" in path:
            return None
        root = self.out.resolve()
        try:
            file = (root / path).resolve()
            return file if file.is_relative_to(root) and file.is_file() else None
        except OSError:  # a name that is too long, a link in a circle
            return None


def router(pages: Pages) -> APIRouter:
    """Serves them."""
    routes = APIRouter(prefix=f"/{PATH.rstrip('/')}")

    @routes.get("/{path:path}", include_in_schema=False)
    def get(path: str) -> Response:
        file = pages.file(path)
        if file is None:
            raise HTTPException(404, "no page or recording of this run")
        kind = AUDIO.get(file.suffix, "text/html; charset=utf-8")
        # For the browser a page in a sandbox is another site, which may play the recordings, and cannot read them.
        shared = {"Cross-Origin-Resource-Policy": "cross-origin"} if file.suffix in AUDIO else {}
        return FileResponse(file, media_type=kind, headers={**SHUT_IN, **shared})

    return routes
