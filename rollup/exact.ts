/**
 * A sum whose value is the exact sum of all that was added, rounded once: it has the same digits in
 * whatever order the numbers came. After Shewchuk: it keeps parts that do not overlap.
 */
export class ExactSum {
  private readonly parts: number[] = [];

  add(number: number): void {
    const { parts } = this;
    let x = number;
    let kept = 0;
    for (let i = 0; i < parts.length; i += 1) {
      let y = parts[i] ?? 0;
      if (Math.abs(x) < Math.abs(y)) [x, y] = [y, x];
      const high = x + y;
      const low = y - (high - x);
      if (low !== 0) {
        parts[kept] = low;
        kept += 1;
      }
      x = high;
    }
    parts[kept] = x;
    parts.length = kept + 1;
  }

  /** The sum, correctly rounded; not finite where it is beyond a double's range. */
  get value(): number {
    const { parts } = this;
    let i = parts.length - 1;
    let high = parts[i] ?? 0;
    let low = 0;
    for (i -= 1; i >= 0; i -= 1) {
      const before = high;
      const part = parts[i] ?? 0;
      high = before + part;
      low = part - (high - before);
      if (low !== 0) break;
    }
    // Half-way cases are rounded by what lies below them.
    const below = i > 0 ? (parts[i - 1] ?? 0) : 0;
    if ((low < 0 && below < 0) || (low > 0 && below > 0)) {
      const twice = low * 2;
      const other = high + twice;
      if (twice === other - high) high = other;
    }
    return high + 0;
  }
}
