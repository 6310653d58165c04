"""The parts of the page, each from one look at the agent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.page.advice import groups
from agent.page.history import quarters
from agent.page.markup import button, figures, moment, overlay, section, size, table, text
from agent.page.sight import boxes_of
from agent.standing import since
from agent.wording import pictures_text, rate_text, size_text, span_text

if TYPE_CHECKING:
    from agent.inputs import Input
    from agent.page.sight import Sight

NONE = "-"
HERE = {"quarantined": ' Or look <a href="#quarantine">below</a>, and try them again there.'}
SIGNS = {"healthy": "✓", "degraded": "!", "error": "✕"}
NEAR_S = 365 * 86_400.0


def verdict(sight: Sight) -> str:
    """Say how the agent is, what is wrong, and what to do."""
    status = sight.status
    word = status.judgement.health.value
    problems = "".join(
        f'<li class="{one.health.value}"><strong>{text(one.what)}</strong><span>{text(one.remedy)}.'
        f"{HERE.get(one.key, '')}</span></li>"
        for one in status.judgement.problems
    )
    listed = f"<ul>{problems}</ul>" if problems else "<p>Nothing to do.</p>"
    if status.paused_since is not None:
        order = button("resume", "Let uploads go on")
    else:
        order = button("pause", "Pause uploads")
    rest = status.tariff.get("resting") if status.running else None
    said = f"{pictures_text(status.waiting)} waiting, {status.delivered:,} delivered"
    said += f"; uploads rest: {text(rest['reason'])}" if rest else ""
    return (
        f'<section id="verdict" class="{word}" aria-label="Verdict"><p class="word"><span class="sign" '
        f'aria-hidden="true">{SIGNS[word]}</span><strong>{word.capitalize()}</strong></p>'
        f'<p class="line">{said}.</p>{listed}<div class="orders">{order}</div></section>\n'
    )


def numbers(sight: Sight) -> str:
    """Show queue, uploads and device as figures."""
    status = sight.status
    outlook, rates, device = status.outlook, status.outlook.rates, status.device
    oldest = "" if status.oldest_age_s is None else f"oldest {span_text(status.oldest_age_s)}"
    drained = "" if outlook.drained_s is None else f"empty in {span_text(outlook.drained_s)}"
    if not status.waiting:
        drained = "nothing waits"
    last = status.last_delivery
    ago = f"last {span_text(since(last['delivered_at'], status.wall))} ago" if last else "none yet"
    full = f"full in {span_text(outlook.full_s)}" if outlook.full_s is not None and outlook.full_s < NEAR_S else ""
    trying = "" if status.next_try_s is None else f"next try in {span_text(status.next_try_s)}"
    heat = "" if device.temperature_c is None else f"{device.temperature_c:.0f} °C"
    slowed = ", ".join(device.throttling) or ("not slowed down" if heat else "")
    disk = "" if device.disk_percent is None else f"{device.disk_percent:.0f} %"
    tiles = [
        ("Waiting", f"{status.waiting:,}", size_text(status.held_bytes), oldest or drained, drained if oldest else ""),
        ("Uploads", rate_text(rates.delivered_s), f"{size_text(rates.delivered_bytes_s)}/s", ago, trying),
        ("Delivered", f"{status.delivered:,}", f"{status.quarantined:,} set aside", "", ""),
        ("Disk", disk or NONE, f"room for {size_text(outlook.room_bytes)}", full, ""),
        (
            "Device",
            heat or (f"{device.memory_percent:.0f} %" if device.memory_percent else NONE),
            slowed or "memory in use",
            _clock(sight),
            f"up {span_text(device.uptime_s)}" if device.uptime_s else "",
        ),
    ]
    shown = "".join(
        f'<li><span class="name">{name}</span><span class="figure">{text(figure)}</span>'
        + "".join(f"<span>{text(line)}</span>" for line in lines if line)
        + "</li>"
        for name, figure, *lines in tiles
    )
    return f'<section id="numbers" aria-label="Figures"><ul class="tiles">{shown}</ul></section>\n'


def _clock(sight: Sight) -> str:
    synchronised = (sight.status.state or {}).get("clock_synchronised")
    if synchronised is None:
        return ""
    return "clock synchronised" if synchronised else "clock not synchronised"


def sources(sight: Sight) -> str:
    """Show each source with its last picture."""
    cards = "".join(_card(one, sight) for one in sight.status.inputs)
    empty = '<p class="empty">No source is configured: add a [[watch]] or a [[camera]].</p>'
    return section("sources", "Sources", f'<div class="cards">{cards}</div>' if cards else empty)


def _card(one: Input, sight: Sight) -> str:
    status = sight.status
    age = one.age_s(status.boot_s)
    if age is None and one.last_at is not None:
        age = since(one.last_at, status.wall)
    fps = one.fps_at(status.boot_s) if status.running else None
    asked = "" if one.asked_fps is None else f" of {rate_text(one.asked_fps)} asked"
    account = status.accounts.get(one.name)
    word, mark = _condition(one, running=status.running)
    pairs = (
        ("Last picture", "" if age is None else f"{span_text(age)} ago"),
        ("Pace", f"{rate_text(fps)}{asked}" if fps is not None else asked.removeprefix(" of ")),
        ("Format", text(one.format)),
        ("Restarts", str(one.restarts) if one.restarts else ""),
        ("Bad frames", str(one.bad) if one.bad else ""),
        ("Captured", f"{account.captured:,}" if account else ""),
        ("Waiting", f"{account.waiting:,}" if account else ""),
    )
    problem = f'<p class="problem">{text(one.problem)}</p>' if one.problem else ""
    return (
        f'<article>{_picture(one, sight)}<div class="about"><h3>{text(one.name)}'
        f' <span class="mark {mark}">{word}</span></h3><p class="note">{text(one.kind)}'
        f"{' · ' + text(one.shown) if one.shown else ''}</p>{problem}{figures(pairs)}</div></article>"
    )


def _picture(one: Input, sight: Sight) -> str:
    preview = sight.previews.get(one.name)
    if preview is None:
        return '<div class="picture none"><span>No picture to show</span></div>'
    boxes = boxes_of(preview)
    names = ", ".join(sorted({name for name, _ in boxes})[:5])
    about = f"Last picture of {one.name}" + (f", {len(boxes)} boxes: {names}" if boxes else "")
    link = f"/pictures/{text(one.name)}?at={text(preview.captured_at)}"
    return (
        f'<a class="picture" href="{link}"><img src="{link}" alt="{text(about)}" loading="lazy" decoding="async">'
        f"{overlay(boxes)}</a>"
    )


def _condition(one: Input, *, running: bool) -> tuple[str, str]:
    if not running:
        return "agent down", "error"
    if one.problem:
        return ("paused" if one.kind == "folder" else "lost"), "error"
    if one.ended:
        return "ended", "quiet"
    return ("open", "healthy") if one.open else ("opening", "degraded")


def history(sight: Sight) -> str:
    """Show six hours; the chart is drawn by the script, the table is there without it."""
    lines = (
        (
            moment_at(sight, sample.boot_s),
            f"{sample.waiting:,}",
            size(sample.held_bytes),
            f"{delivered:,}",
            words or NONE,
        )
        for sample, delivered, words in quarters(sight.status.samples)
    )
    heads = ("Until", "Waiting", "Held", "Delivered", "Out of order")
    shown = table("The last six hours, by the quarter of an hour", heads, lines, empty="Nothing is known yet.")
    body = (
        '<div id="chart" data-source="/history.json" hidden></div>'
        f"<details><summary>The same as a table</summary>{shown}</details>"
    )
    return section("history", "The last six hours", body)


def moment_at(sight: Sight, boot_s: float) -> str:
    """Return a moment of the boot clock as local time of day."""
    at = sight.wall.timestamp() - (sight.status.boot_s - boot_s)
    local = type(sight.wall).fromtimestamp(at).astimezone()
    return f'<time datetime="{local.isoformat(timespec="seconds")}">{local:%H:%M}</time>'


def deliveries(sight: Sight) -> str:
    """List what arrived last."""
    lines = (
        (
            moment(row["delivered_at"]),
            text(row["source"]),
            f"<code>{text(row['filename'])}</code>",
            size(row["size"]),
            text(row["result"]),
            text(row["image_id"] or NONE),
        )
        for row in sight.deliveries
    )
    heads = ("Delivered (UTC)", "Source", "File", "Size", "Result", "Image")
    shown = table("The last 20 deliveries", heads, lines, empty="Nothing was delivered yet.")
    return section("deliveries", "Deliveries", shown)


def quarantine(sight: Sight) -> str:
    """List what was refused and why, each with a button to try it again."""
    lines = (
        (
            text(row["source"]),
            f"<code>{text(row['filename'])}</code>",
            size(row["size"]),
            text(row["reason"] or NONE),
            button("retry", "Retry", item=row["id"], about=text(row["filename"])) if row["metadata"] else "no picture",
        )
        for row in sight.quarantined
    )
    shown = table(
        "Pictures that were set aside",
        ("Source", "File", "Size", "Reason", "Again"),
        lines,
        empty="Nothing was set aside.",
    )
    every = f'<div class="orders">{button("retry", "Retry all")}</div>' if len(sight.quarantined) > 1 else ""
    counted = f"{pictures_text(sight.status.quarantined)} set aside" if sight.status.quarantined else ""
    return section("quarantine", "Quarantine", shown + every, note=counted)


def errors(sight: Sight) -> str:
    """List what went wrong, grouped, with what to do."""
    lines = (
        (text(one.what), f"{one.count:,}", moment(one.last) or NONE, f"{text(one.remedy)}.") for one in groups(sight)
    )
    shown = table(
        "What went wrong", ("What", "How often", "Last (UTC)", "What to do"), lines, empty="Nothing went wrong."
    )
    return section("errors", "Errors", shown)
