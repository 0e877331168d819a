"""`syncnet speakers`: which face speaks when."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from syncnet.commands.output import check_picture, check_writable, write_text
from syncnet.errors import InputError, SyncNetError
from syncnet.model_names import DEFAULT_MODEL

if TYPE_CHECKING:
    from syncnet.speaker_results import SpeakersResult

FILMS = (".mp4", ".mov", ".mkv")
"""What the annotated film may be called."""


def speakers(
    files: Annotated[list[Path], typer.Argument(help="Recordings with one face or several, in any container.")],
    window: Annotated[
        int | None, typer.Option(help="Frames of 40 ms that each moment is judged by, 1 to 1000; 10 to 100 is usual.")
    ] = None,
    offset: Annotated[
        float | None, typer.Option(help="Audio minus video time in ms, if you know it; measured otherwise.")
    ] = None,
    people: Annotated[bool, typer.Option(help="Give faces that look alike in several shots one name.")] = False,
    audio_track: Annotated[int, typer.Option(help="Which sound track, counted from 0.")] = 0,
    model: Annotated[str, typer.Option(help="Model by name, or a folder written by syncnet export.")] = DEFAULT_MODEL,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per file and line.")] = False,
    csv_out: Annotated[
        Path | None, typer.Option("--csv", help="Write every face at every frame in the AVA-ActiveSpeaker layout.")
    ] = None,
    rttm_out: Annotated[Path | None, typer.Option("--rttm", help="Write the turns for diarisation tools.")] = None,
    video: Annotated[
        Path | None, typer.Option(help="Write the film with boxes: green speaks, red is silent (one file only).")
    ] = None,
    clips: Annotated[Path | None, typer.Option(help="Folder for each turn as a face clip with its sound.")] = None,
    timeline: Annotated[Path | None, typer.Option(help="Draw the turns (one file only).")] = None,
    thumbnails: Annotated[Path | None, typer.Option(help="Folder for a picture of each person.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")] = False,
) -> None:
    """Name the face that a voice belongs to, moment by moment; say so where it belongs to none that is seen.

    Lips that move to another sound (a dubbed film, a television in the background) are not called the speaker. Exit
    code 0: told; 2: a file could not be read or the command is wrong; 3: a file holds no face or no voice.

    Example: syncnet speakers panel.mp4 --video panel-speakers.mp4 --rttm panel.rttm
    """
    if len(files) > 1 and (video or timeline):
        raise InputError("--video and --timeline are for one recording: give a single file.")
    for out in (csv_out, rttm_out, video):
        check_writable(out)
    check_picture(timeline)
    for folder in (clips, thumbnails):
        check_folder(folder)
    if video is not None:
        check_film(video, files[0])

    from syncnet.commands.progress import file_progress
    from syncnet.speaker_analysis import speakers as find
    from syncnet.speaker_report import ava_csv, lines_in_words, result_dict, rttm

    worst = 0
    results: list[SpeakersResult] = []
    for path in files:
        try:
            with file_progress(path.name, quiet=quiet) as on_progress:
                result = find(
                    path,
                    window=window,
                    offset_ms=offset,
                    audio_track=audio_track,
                    join_people=people,
                    model=model,
                    on_progress=on_progress,
                )
            _write_media(result, path, video, clips, timeline, thumbnails, audio_track)
        except SyncNetError as error:
            worst = max(worst, error.exit_code) if worst != 2 else 2
            _report_failure(path, error, as_json)
            continue
        results.append(result)
        if result.reasons:
            worst = 3 if worst != 2 else 2
        if as_json:
            typer.echo(json.dumps(result_dict(result)))
        else:
            for line in lines_in_words(result):
                typer.echo(line)
    if csv_out is not None:
        write_text(csv_out, ava_csv(results))
    if rttm_out is not None:
        write_text(rttm_out, rttm(results))
    if worst:
        raise typer.Exit(worst)


def check_film(video: Path, source: Path) -> None:
    """Find out beforehand that the annotated film could not be written under this name; raises `InputError`."""
    if video.suffix.lower() not in FILMS:
        raise InputError(f"{video}: the annotated film is written as {', '.join(FILMS)}; end its name in one of them.")
    if video.resolve() == source.resolve():
        raise InputError(f"{video} is the recording itself: give the annotated copy another name.")


def check_folder(folder: Path | None) -> None:
    """Find out before the long work that a folder could not be made; raises `InputError`."""
    if folder is None:
        return
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: give the name of a folder.")
    check_writable(folder / "x" if folder.is_dir() else folder)


def _write_media(
    result: SpeakersResult,
    path: Path,
    video: Path | None,
    clips: Path | None,
    timeline: Path | None,
    thumbnails: Path | None,
    audio_track: int,
) -> None:
    """Write the films and pictures that were asked for."""
    if video is not None:
        from syncnet.speaker_video import save_video

        save_video(result, path, video, audio_track)
    if clips is not None:
        from syncnet.speaker_clips import save_clips

        save_clips(result, path, clips, audio_track)
    if timeline is not None or thumbnails is not None:
        from syncnet.speaker_plot import save_thumbnails, save_timeline
        from syncnet.speaker_plot import thumbnails as portraits

        pictures = portraits(result, path)
        if thumbnails is not None:
            save_thumbnails(pictures, thumbnails)
        if timeline is not None:
            save_timeline(result, pictures, timeline)


def _report_failure(path: Path, error: SyncNetError, as_json: bool) -> None:
    text = str(error)
    if as_json:
        typer.echo(json.dumps({"file": str(path), "turns": None, "error": text}))
    typer.secho(text if text.startswith(str(path)) else f"{path}: {text}", fg="red", err=True)
