/**
 * A sum of floats without any rounding but one at its end (Shewchuk 1997, as Python's `fsum`): the same
 * values give the same digits in whatever order they come.
 */
export class ExactSum {
  /** Floats that do not overlap, whose sum is the exact one; the smallest first. */
  private readonly partials: number[] = [];
  private overflown = false;

  /** Adds a finite value. */
  add(value: number): void {
    const { partials } = this;
    let x = value;
    let kept = 0;
    for (const partial of partials) {
      let y = partial;
      if (Math.abs(x) < Math.abs(y)) [x, y] = [y, x];
      const high = x + y;
      if (!Number.isFinite(high)) this.overflown = true;
      const low = y - (high - x);
      if (low !== 0) {
        partials[kept] = low;
        kept += 1;
      }
      x = high;
    }
    partials[kept] = x;
    partials.length = kept + 1;
  }

  /** The float nearest to the sum; NaN where it, or a part of it, is beyond all floats. */
  get value(): number {
    const { partials } = this;
    if (this.overflown) return Number.NaN;
    let i = partials.length - 1;
    if (i < 0) return 0;
    let high = partials[i] ?? 0;
    let low = 0;
    while (i > 0 && low === 0) {
      i -= 1;
      const x = high;
      const y = partials[i] ?? 0;
      high = x + y;
      low = y - (high - x);
    }
    const next = i > 0 ? (partials[i - 1] ?? 0) : 0;
    // Half of the last digit is rounded by what stands below it, and not to the even one.
    if ((low < 0 && next < 0) || (low > 0 && next > 0)) {
      const y = low * 2;
      const x = high + y;
      if (y === x - high) high = x;
    }
    // No negative zero.
    return high + 0;
  }
}
