import { type Span, windowOf } from "../configs/rollups";

/** Spans that touch or overlap, as one. */
export function joined(spans: readonly Span[]): Span[] {
  const made: Span[] = [];
  for (const span of [...spans].sort((a, b) => a.start - b.start)) {
    const last = made.at(-1);
    if (last && span.start <= last.end) last.end = Math.max(last.end, span.end);
    else made.push({ ...span });
  }
  return made;
}

/** The parts of a span that lie in one window of minutes each. */
export function byWindow({ start, end }: Span): Span[] {
  const parts: Span[] = [];
  for (let from = start; from < end;) {
    const to = Math.min(end, windowOf("minute", from).end);
    parts.push({ start: from, end: to });
    from = to;
  }
  return parts;
}
