/** An exact fraction. Its denominator is over 0, and it is in lowest terms. */
export interface Rational {
  numerator: bigint;
  denominator: bigint;
}

const gcd = (a: bigint, b: bigint): bigint => (b === 0n ? (a < 0n ? -a : a) : gcd(b, a % b));

function lowest(numerator: bigint, denominator: bigint): Rational {
  const common = gcd(numerator, denominator) || 1n;
  const sign = denominator < 0n ? -1n : 1n;
  return { numerator: (sign * numerator) / common, denominator: (sign * denominator) / common };
}

/**
 * The exact value of a decimal such as `0.1` or `1e-3`, or of a fraction of two such as `5/9`.
 * @throws RangeError if the text is no such number.
 */
export function rational(text: string | number): Rational {
  const [above = "", below] = String(text).split("/");
  if (below !== undefined) return divide(rational(above), rational(below));
  const [, sign = "", whole = "", fraction = "", exponent = "0"] =
    /^([+-]?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/i.exec(above) ?? [];
  if (whole === "") throw new RangeError(`"${text}" is no decimal number`);
  const digits = BigInt(`${sign}${whole}${fraction}`);
  const power = BigInt(exponent) - BigInt(fraction.length);
  return power < 0n ? lowest(digits, 10n ** -power) : lowest(digits * 10n ** power, 1n);
}

/** The product of two. */
export const multiply = (a: Rational, b: Rational): Rational =>
  lowest(a.numerator * b.numerator, a.denominator * b.denominator);

/** The quotient of two. */
export const divide = (a: Rational, b: Rational): Rational =>
  lowest(a.numerator * b.denominator, a.denominator * b.numerator);

/** The sum of two. */
export const add = (a: Rational, b: Rational): Rational =>
  lowest(a.numerator * b.denominator + b.numerator * a.denominator, a.denominator * b.denominator);

/** The first less the second. */
export const subtract = (a: Rational, b: Rational): Rational =>
  add(a, { numerator: -b.numerator, denominator: b.denominator });
