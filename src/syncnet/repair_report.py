"""Timelines, verdicts and repairs -> JSON and lines of words."""

from __future__ import annotations

from typing import Any

from syncnet.repair import FixResult
from syncnet.timeline import Timeline, clock
from syncnet.verdict import Verdict


def timeline_dict(found: Timeline) -> dict[str, Any]:
    """The JSON object of a timeline; the schema is documented in docs/json.md."""
    return {
        "kind": found.kind,
        "words": found.words,
        "trusted": found.trusted,
        "reasons": list(found.reasons),
        "start_s": round(found.start_s, 3),
        "end_s": round(found.end_s, 3),
        "rate_ms_per_min": round(found.rate_ms_per_min, 2),
        "rate_interval": [round(bound, 2) for bound in found.rate_interval],
        "segments": [
            {
                "start_s": round(s.start_s, 3),
                "end_s": round(s.end_s, 3),
                "start_ms": round(s.start_ms, 1),
                "end_ms": round(s.end_ms, 1),
                "interval_ms": [round(bound, 1) for bound in s.interval_ms],
                "confidence": round(s.confidence, 3),
                "windows": s.windows,
            }
            for s in found.segments
        ],
        "inherited": [
            {"start_s": round(i.start_s, 3), "end_s": round(i.end_s, 3), "offset_ms": round(i.offset_ms, 1)}
            for i in found.inherited
        ],
    }


def timeline_lines(found: Timeline) -> list[str]:
    """What is to be said besides one offset: drift, steps, and where the offset is that of the neighbours."""
    lines = []
    if found.kind in ("drift", "steps", "intermittent"):
        lines.append(f"over time: {found.words}")
        lines += [f"over time, not to be trusted: {reason}" for reason in found.reasons]
    if found.inherited:
        total = sum(i.end_s - i.start_s for i in found.inherited)
        first = found.inherited[0]
        where = f"{clock(first.start_s)} to {clock(first.end_s)}"
        more = f" and {len(found.inherited) - 1} more stretches" if len(found.inherited) > 1 else ""
        lines.append(f"no speaking face for {total:.0f} s ({where}{more}): taken to be as beside them")
    return lines


def verdict_dict(verdict: Verdict) -> dict[str, Any]:
    """The JSON object of a verdict."""
    low, high = verdict.tolerance.range_ms
    return {
        "state": verdict.state,
        "norm": verdict.tolerance.name,
        "allowed_ms": [low, high],
        "worst_ms": None if verdict.worst_ms is None else round(verdict.worst_ms, 1),
        "words": verdict.words,
    }


def fix_dict(result: FixResult) -> dict[str, Any]:
    """The JSON object of a repair; the schema is documented in docs/fix.md."""
    plan = result.plan
    return {
        "file": str(result.source),
        "written": None if result.target is None else str(result.target),
        "outcome": result.outcome,
        "words": result.words,
        "trusted": result.trusted,
        "reasons": list(result.reasons),
        "mode": None if plan is None else plan.mode,
        "plan": [] if plan is None else list(plan.words),
        "before": None if result.before is None else timeline_dict(result.before),
        "after": None if result.after is None else timeline_dict(result.after),
        "misplaced_ms": None if result.misplaced_ms is None else round(result.misplaced_ms, 2),
        "notes": list(result.notes),
    }


def fix_lines(result: FixResult) -> list[str]:
    """What was found and done, a line each."""
    lines = [f"{result.source}: before: {result.before.words if result.before else 'not measured'}"]
    if result.outcome == "already in sync":
        return [*lines, "  nothing to repair, nothing written"]
    verb = "would" if result.outcome == "planned" else "done:"
    lines += [f"  {verb} {step}" for step in (result.plan.words if result.plan else ())]
    if result.target is not None:
        lines.append(f"{result.target}: after: {result.after.words if result.after else 'not measured'}")
        if result.misplaced_ms is not None:
            lines.append(f"  the new sound lies within {abs(result.misplaced_ms):.1f} ms of its place (by correlation)")
    lines += [f"  not to be trusted: {reason}" for reason in result.reasons]
    return lines + [f"  note: {note}" for note in result.notes]
